"""BERT's and RoBERTa's forward pass without padding, for inference on a CPU or an NVIDIA GPU.

The tokens of all texts of a batch lie one after another, shape (t, h): the products, which are
nearly all of the arithmetic, see no padding, and attention goes by groups of equal length. Where
only the first token of each text is asked for, the last layer is computed for it alone. Weights are
copied, and on a CPU laid out for its instructions (``packed_linear.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ance_plugin.encode.packed_attention import Layout, attend, find_scale, send
from ance_plugin.encode.packed_linear import PackedLinear, join_linears
from ance_plugin.encode.packed_norm import PackedNorm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What each device computes in; a GPU's kernel of attention has no float32.
_TYPES = {"cpu": (torch.float32, torch.bfloat16), "cuda": (torch.bfloat16, torch.float16)}
# Bodies of one and the same computation; in the last two, positions start after the padding's.
_BERT, _ROBERTA = "BertModel", ("RobertaModel", "XLMRobertaModel")


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """Token ids of several texts, one after another.

    Attributes:
        ids: Shape (t,), int64.
        types: Token types, shape (t,), int64; None where all are 0.
        layout: Where each text is among them.
    """

    ids: Tensor
    types: Tensor | None
    layout: Layout

    @classmethod
    def join(
        cls, rows: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None
    ) -> "PackedTexts":
        """Join texts; those of equal length should be neighbours, which makes attention faster.

        Args:
            rows: Token ids of each text, at least one each, without padding.
            types: Their token types, for bodies that tell the two texts of a pair apart.

        Raises:
            ValueError: A text has no tokens.
        """
        lengths = [len(row) for row in rows]
        if not all(lengths):
            raise ValueError(f"text {lengths.index(0)} of {len(rows)} has no tokens")
        return cls(
            ids=torch.from_numpy(_concatenate(rows)),
            types=None if types is None else torch.from_numpy(_concatenate(types)),
            layout=Layout.of(lengths),
        )

    def to(self, device: torch.device) -> "PackedTexts":
        """Put the tensors on a device."""
        types = None if self.types is None else send(self.types, device)
        return PackedTexts(send(self.ids, device), types, self.layout.to(device))


class PackedBody:
    """The forward pass of a BERT or RoBERTa body over texts without padding.

    It computes what the body computes in ``eval`` mode, with the weights that the body had when
    this was made. In bfloat16 the sums that layers add to, and their norms, are held in float32, so
    that states are nearer to those of float32 than the body's own.

    Args:
        body: What ``is_supported`` accepts; texts are taken to its device.

    Raises:
        ValueError: The body is of another kind.
    """

    def __init__(self, body: "PreTrainedModel") -> None:
        if not is_supported(body):
            raise ValueError(f"{type(body).__name__} has no packed forward pass with its settings")
        parts: Any = body
        embeddings = parts.embeddings
        self._device = embeddings.word_embeddings.weight.device
        self._words, self._positions, self._types = (
            table.weight.detach()
            for table in (
                embeddings.word_embeddings,
                embeddings.position_embeddings,
                embeddings.token_type_embeddings,
            )
        )
        self._padding = int(embeddings.padding_idx) if _skips_padding(body) else None
        self._norm = PackedNorm(embeddings.LayerNorm)
        self._layers = [_Layer(layer) for layer in parts.encoder.layer]

    @torch.inference_mode()
    def encode_all(self, texts: PackedTexts) -> Tensor:
        """Compute the states of all tokens, shape (t, h), float32."""
        texts = texts.to(self._device)
        states = self._embed(texts)
        for layer in self._layers:
            states = layer.transform(*states, texts.layout)
        return states[0]

    @torch.inference_mode()
    def encode_first(self, texts: PackedTexts) -> Tensor:
        """Compute the state of each text's first token, shape (n, h), float32."""
        texts = texts.to(self._device)
        states = self._embed(texts)
        for layer in self._layers[:-1]:
            states = layer.transform(*states, texts.layout)
        return self._layers[-1].transform(*states, texts.layout, only=texts.layout.starts)[0]

    @torch.inference_mode()
    def encode_mean(self, texts: PackedTexts) -> Tensor:
        """Compute the mean of each text's states, shape (n, h), float32."""
        states = self.encode_all(texts)
        means = torch.empty(len(texts.layout.starts), states.shape[1], device=states.device)
        for group in texts.layout.groups:
            in_texts = states[group.tokens].view(group.num_texts, group.length, -1)
            torch.mean(in_texts, dim=1, out=means[group.texts])
        return means

    def _embed(self, texts: PackedTexts) -> tuple[Tensor, Tensor]:
        places = _count_places(texts, self._padding)
        types = self._types[0] if texts.types is None else self._types[texts.types]
        words = self._words[texts.ids].float()
        states = self._norm(words.add_(types).add_(self._positions[places]))
        return states, states.to(self._words.dtype)


class _Layer:
    """One layer: attention, then two products with GELU between them; each is added and normed."""

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - of three classes of transformers
        attention = layer.attention.self
        self._num_heads = int(attention.num_attention_heads)
        scale = find_scale(attention.query.weight.device.type, attention.attention_head_size)
        self._query = join_linears(attention.query, scale=scale)
        self._keys_values = join_linears(attention.key, attention.value)
        self._attended = join_linears(layer.attention.output.dense)
        self._attention_norm = PackedNorm(layer.attention.output.LayerNorm)
        inner, outer = layer.intermediate.dense, layer.output.dense
        self._inner = PackedLinear(inner.weight, inner.bias, "gelu")
        self._outer = PackedLinear(outer.weight, outer.bias)
        self._norm = PackedNorm(layer.output.LayerNorm)

    def transform(
        self, states: Tensor, rows: Tensor, layout: Layout, *, only: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute new states, in float32 and in the weights' type.

        Args:
            states: Of all tokens, shape (t, h), float32.
            rows: The same in the weights' type.
            layout: Where the texts are.
            only: Places of n tokens; the others' new states are left out.
        """
        keys_values = self._keys_values(rows)
        if only is not None:
            states, rows = states[only], rows[only]
        found = attend(self._query(rows), keys_values, layout, num_heads=self._num_heads)
        states, rows = self._attention_norm.add(states, self._attended(found))
        return self._norm.add(states, self._outer(self._inner(rows)))


def is_supported(body: nn.Module) -> bool:
    """Say whether a body is computed by ``PackedBody``: BERT or RoBERTa as they were published.

    Args:
        body: A transformers model; other kinds, other activations than GELU and relative positions
            are not.
    """
    if type(body).__name__ not in (_BERT, *_ROBERTA):
        return False
    parts: Any = body
    config = parts.config
    weight = parts.embeddings.word_embeddings.weight
    return (
        config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not config.is_decoder
        and not config.add_cross_attention
        and config.num_hidden_layers > 0
        and weight.dtype in _TYPES.get(weight.device.type, ())
    )


def count_changes(body: nn.Module) -> list[int]:
    """Count how often each weight was changed in place, to see whether a packed copy is stale.

    Args:
        body: What was packed; weights of inference mode cannot be changed, and count 0.
    """
    return [0 if weight.is_inference() else weight._version for weight in body.parameters()]


def _skips_padding(body: nn.Module) -> bool:
    return type(body).__name__ in _ROBERTA


def _concatenate(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])


def _count_places(texts: PackedTexts, padding: int | None) -> Tensor:
    """Number each text's tokens from 0; with ``padding``, as RoBERTa does.

    There the first is ``padding + 1``, and a token that is the padding's own id, which a text may
    hold as ``<pad>``, is not counted and stands at ``padding``.
    """
    counted = torch.ones_like(texts.ids) if padding is None else texts.ids.ne(padding).long()
    seen = counted.cumsum(0)
    starts, lengths = texts.layout.starts, texts.layout.offsets.diff()
    before = (seen - counted)[starts].repeat_interleave(lengths, output_size=len(seen))
    places = seen - before
    return places - 1 if padding is None else places * counted + padding

"""The encoder that searches and encodes: texts in, float32 vectors out."""

from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ance_plugin.encode.batching import count_tokens, pad, plan_batches
from ance_plugin.encode.checkpoint import Checkpoint, load_checkpoint
from ance_plugin.encode.cores import map_on_cores
from ance_plugin.encode.device import choose_device, choose_precision, torch_dtype
from ance_plugin.encode.layouts.folder import Tower
from ance_plugin.encode.model import count_positions
from ance_plugin.encode.packed import PackedBody, PackedTexts, count_changes, is_supported
from ance_plugin.encode.packed_attention import send
from ance_plugin.encode.settings import as_unicode
from ance_plugin.records import Document

BATCH_SIZE = 256
_BATCHES_ON_DEVICE = 256  # whose vectors are fetched together


class Encoder:
    """Encode queries and documents with one checkpoint, in batches of like length.

    Args:
        checkpoint: What ``load_checkpoint`` gave; its model is moved and cast in place.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best there is.
        precision: ``fp32``, ``bf16`` or ``fp16`` for the body; None takes bf16 where the device has
            instructions for it, else fp32. Pooling, head and normalisation are always fp32.
        batch_size: Texts a batch at most; long texts go in smaller batches.

    Raises:
        ValueError: The device or the precision cannot be used here.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str | None = None,
        precision: str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.name = checkpoint.name
        self.settings = checkpoint.settings
        self.overrides = checkpoint.overrides
        self.tower = checkpoint.describe_tower()
        self.identity = checkpoint.identify()
        self.dimension = checkpoint.model.dimension
        self.num_positions = count_positions(checkpoint.model.body)
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.batch_size = batch_size
        self.tokenizer = checkpoint.tokenizer
        model = checkpoint.model.to(self.device)
        self._model = model.to_compute_type(torch_dtype(self.precision)).eval()
        self._packed: PackedBody | None = None
        self._packed_changes: list[int] = []

    @classmethod
    def load(
        cls,
        name: str,
        *,
        overrides: Mapping[str, Any] | None = None,
        **options: Any,  # noqa: ANN401 - __init__'s own types
    ) -> "Encoder":
        """Load a checkpoint by folder or hub name.

        Args:
            name: See ``sources.find_checkpoint``.
            overrides: Fields of ``EncoderSettings`` to use in place of the checkpoint's own.
            **options: This class's own arguments.

        Returns:
            The encoder, ready to encode.
        """
        checkpoint = load_checkpoint(name, **overrides or {})
        checkpoint.model.requires_grad_(requires_grad=False)
        return cls(checkpoint, **options)

    def encode(self, query: str) -> NDArray[np.float32]:
        """Encode one query to a vector of shape (d,), as Pyserini's query encoders do."""
        vector: NDArray[np.float32] = self.encode_queries([query])[0]
        return vector

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries; an empty query is encoded as its special tokens alone.

        Args:
            queries: Their texts.

        Returns:
            Shape (q, d), float32; of length one only where the settings normalise.
        """
        self._require_tower("query")
        return self.encode_tokens(self.tokenize_queries(queries))

    def encode_documents(
        self,
        documents: Sequence[Document],
        *,
        max_tokens: int | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float32]:
        """Encode documents, title and text joined by the template or as a pair.

        Args:
            documents: What to encode.
            max_tokens: Tokens a document is cut to, in place of the settings' own.
            on_progress: Called after each batch with the number of documents in it.

        Returns:
            Shape (n, d), float32; of length one only where the settings normalise.

        Raises:
            ValueError: ``max_tokens`` is more than the body has positions.
        """
        limit = max_tokens or self.settings.max_document_tokens
        self.require_positions(limit)
        return self.encode_tokens(
            self.tokenize_documents(documents, limit), on_progress=on_progress
        )

    @property
    def special_tokens(self) -> tuple[str, str]:
        """The texts of the first token and of the one that ends or separates texts.

        Raises:
            ValueError: The tokenizer lacks one.
        """
        first, last = self.tokenizer.cls_token, self.tokenizer.sep_token
        if None in (first, last):
            raise ValueError(f"{self.name}: its tokenizer has no first or no separating token")
        return str(first), str(last)

    @property
    def vocabulary_size(self) -> int:
        """How many token ids there are."""
        return len(self.tokenizer)

    @property
    def padding_token(self) -> int:
        """The id that fills up short texts."""
        return int(self.tokenizer.pad_token_id)

    def tokenize(
        self,
        texts: Sequence[str],
        max_tokens: int,
        *,
        pairs: Sequence[str] | None = None,
        adds_special_tokens: bool = True,
    ) -> list[list[int]]:
        """Turn texts into token ids, cut at the right to ``max_tokens``, special tokens included.

        Args:
            texts: Taken as they are: neither lower-cased nor rendered.
            max_tokens: Tokens a text is cut to; of a pair, the longer text is cut first.
            pairs: The second text of each pair; None where texts stand alone.
            adds_special_tokens: Whether the tokenizer puts its first and last token around a text.

        Returns:
            One list of ids a text, without padding.
        """
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(
            [as_unicode(text) for text in texts],
            None if pairs is None else [as_unicode(text) for text in pairs],
            truncation=True,
            max_length=max_tokens,
            add_special_tokens=adds_special_tokens,
            return_attention_mask=False,
        )["input_ids"]
        return ids

    def encode_tokens(
        self,
        rows: Sequence[list[int]],
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float32]:
        """Encode token ids as they are, in batches of like length.

        Args:
            rows: Ids of each text, at least one each and no more than the body has positions.
            on_progress: Called after each batch with the number of texts in it.

        Returns:
            Shape (n, d), float32; of length one only where the settings normalise.

        Raises:
            ValueError: A text has more tokens than the body has positions, or a token that the body
                does not know.
        """
        self.require_positions(max(map(len, rows), default=0))
        self._require_vocabulary(max((max(row) for row in rows if row), default=0))
        self._pack()
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)
        is_packed, device = self._packed is not None, self.device.type
        most = count_tokens(device, self.precision, is_packed=is_packed)
        batches = plan_batches([*map(len, rows)], max_texts=self.batch_size, max_tokens=most)
        compute_each = map_on_cores if is_packed and device == "cpu" else map
        computed = compute_each(lambda batch: self._forward([rows[i] for i in batch]), batches)
        together_at_most = 1 if device == "cpu" else _BATCHES_ON_DEVICE
        for together in batched(zip(batches, computed, strict=True), together_at_most):
            places = np.concatenate([batch for batch, _ in together])
            vectors[places] = torch.cat([found for _, found in together]).cpu().numpy()
            if on_progress is not None:
                on_progress(len(places))
        return vectors

    def tokenize_queries(self, queries: Sequence[str]) -> list[list[int]]:
        """Turn queries into token ids as the settings say: lower-cased or not, cut, not padded."""
        lowered = self.settings.is_lowercased
        texts = [query.lower() if lowered else query for query in queries]
        return self.tokenize(texts, self.settings.max_query_tokens)

    def tokenize_documents(self, documents: Sequence[Document], max_tokens: int) -> list[list[int]]:
        """Turn documents into token ids: rendered or paired, cut to ``max_tokens``, not padded.

        Args:
            documents: What to tokenize.
            max_tokens: Tokens a document is cut to, special tokens included.

        Returns:
            One list of ids a document.

        Raises:
            ValueError: This is the tower that encodes queries.
        """
        self._require_tower("document")
        if not self.settings.is_document_pair:
            render = self.settings.render
            return self.tokenize([render(d.title, d.text) for d in documents], max_tokens)
        pairs = [self.settings.render_pair(d.title, d.text) for d in documents]
        titles = [title for title, _ in pairs if title]
        paired = self.tokenize(titles, max_tokens, pairs=[text for title, text in pairs if title])
        alone = self.tokenize([text for title, text in pairs if not title], max_tokens)
        by_kind = {True: iter(paired), False: iter(alone)}  # DPR makes no pair without a title
        return [next(by_kind[bool(title)]) for title, _ in pairs]

    def _require_tower(self, side: Tower) -> None:
        if self.tower is not None and self.tower["side"] != side:
            other = {"query": "question", "document": "context"}[side]
            raise ValueError(
                f"{self.name} is the tower that encodes a {self.tower['side']}, not a {side}; "
                f"give the {other} encoder it was trained with"
            )

    def require_positions(self, num_tokens: int) -> None:
        """Raise ValueError where the body has no positions for so many tokens."""
        if num_tokens > self.num_positions:
            raise ValueError(
                f"{num_tokens} tokens are too many for {self.name}, which has "
                f"{self.num_positions} positions"
            )

    def _require_vocabulary(self, token: int) -> None:
        known: int = self._model.body.get_input_embeddings().weight.shape[0]  # type: ignore[index, assignment]
        if token >= known:
            raise ValueError(
                f"{self.name}: its tokenizer gives token {token}, but its weights have {known} "
                "tokens; the two are of different models"
            )

    @torch.inference_mode()
    def _forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Compute float32 vectors; on a GPU they are still being computed when this returns."""
        if self._packed is None:
            padded = (torch.from_numpy(part) for part in pad(rows, self.padding_token))
            vectors = self._model(*(send(part, self.device) for part in padded))
        else:
            texts = PackedTexts.join(rows)
            is_first = self._model.pooling == "cls"
            encode = self._packed.encode_first if is_first else self._packed.encode_mean
            vectors = self._model.finish_pooled(encode(texts))
        result: torch.Tensor = vectors.float()
        return result

    def _pack(self) -> None:
        """Lay fixed weights out for inference, anew where they were changed since.

        Weights that may be trained are left as they are: fused optimisers change them uncounted.
        """
        body = self._model.body
        if any(weight.requires_grad for weight in body.parameters()):
            self._packed = None
            return
        changes = count_changes(body)
        if self._packed is None or changes != self._packed_changes:
            self._packed = PackedBody(body) if is_supported(body) else None
            self._packed_changes = changes

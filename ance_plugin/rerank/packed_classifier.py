"""A classifier's forward pass without padding, for scoring (``encode/packed.py``).

Batches of pairs of like length have little padding; the gain is in what is not computed (the last
layer for any token but the first), in weights that are laid out once, and in fused operations.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from ance_plugin.encode.packed import PackedBody, PackedTexts, is_supported
from ance_plugin.rerank.pairs import Pair

if TYPE_CHECKING:
    from transformers import PreTrainedModel

type Head = Callable[[Tensor], Tensor]  # states of first tokens, (b, h) float32, to logits


class PackedClassifier:
    """Logits of pairs, with the weights that the model has when they are first laid out.

    Args:
        model: What ``can_pack`` accepts.
        has_types: Whether the model is told which token is whose.
    """

    def __init__(self, model: "PreTrainedModel", *, has_types: bool) -> None:
        self._model = model
        self._has_types = has_types

    @cached_property
    def _body(self) -> PackedBody:
        return PackedBody(self._model.base_model)  # type: ignore[arg-type]

    @cached_property
    def _head(self) -> Head:
        return _HEADS[type(self._model).__name__](self._model)

    def lay_out(self) -> None:
        """Copy and lay out the weights if they are not: do so before several threads call."""
        _ = self._body, self._head

    @torch.inference_mode()
    def __call__(self, pairs: Sequence[Pair]) -> Tensor:
        """Compute logits, shape (b, classes), float32; pairs of equal length should be neighbours.

        Args:
            pairs: At least one.
        """
        types = [pair.types for pair in pairs] if self._has_types else None
        texts = PackedTexts.join([pair.ids for pair in pairs], types)
        return self._head(self._body.encode_first(texts))


def can_pack(model: "PreTrainedModel") -> bool:
    """Say whether ``PackedClassifier`` computes what the model computes as it is now.

    It does not where weights may be trained, as it copies them (and a fused optimiser changes them
    without a trace), or where the body computes in another type than theirs (``autocast_body``).

    Args:
        model: A classifier.
    """
    body: Any = model.base_model
    is_as_published = type(model).__name__ in _HEADS and "forward" not in vars(body)
    is_fixed = not model.training and not any(w.requires_grad for w in model.parameters())
    return is_as_published and is_fixed and is_supported(body)


def _bert_head(model: Any) -> Head:  # noqa: ANN401 - BertForSequenceClassification
    """Read the pooler, which is held as the body is, into float32."""
    pooler = model.bert.pooler.dense
    weight, bias = pooler.weight.detach().float(), pooler.bias.detach().float()

    def classify(states: Tensor) -> Tensor:
        logits: Tensor = model.classifier(functional.linear(states, weight, bias).tanh())
        return logits

    return classify


def _roberta_head(model: Any) -> Head:  # noqa: ANN401 - RobertaForSequenceClassification
    def classify(states: Tensor) -> Tensor:
        logits: Tensor = model.classifier(states[:, None])
        return logits

    return classify


_HEADS: dict[str, Callable[[Any], Head]] = {
    "BertForSequenceClassification": _bert_head,
    "RobertaForSequenceClassification": _roberta_head,
    "XLMRobertaForSequenceClassification": _roberta_head,
}

"""One step of a cross-encoder's training: groups in, changed weights out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ance_plugin.encode.batching import plan_batches
from ance_plugin.records import Document
from ance_plugin.rerank.cross_encoder import CrossEncoder, collate
from ance_plugin.rerank.pairs import Pair
from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings, GroupLoss
from ance_plugin.train.groups import DrawnGroup, list_texts
from ance_plugin.train.optimizers import learning_rate

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from transformers import PreTrainedModel


class GroupStep:
    """Take steps; dropout is a function of the seed and the step, and PyTorch's generator stays.

    Args:
        model: What is trained, in float32 on its device.
        optimizer: Of its weights.
        scorer: Whose tokenizer, lengths and template make the pairs; it holds the same model.
        documents: docid -> document of whatever is drawn.
        settings: The loss, the learning rate, and how much goes through the model at once.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        optimizer: "Optimizer",
        scorer: CrossEncoder,
        documents: Mapping[str, Document],
        settings: CrossEncoderSettings,
    ) -> None:
        self._model: Any = model
        self._optimizer = optimizer
        self._scorer = scorer
        self._documents = documents
        self._settings = settings

    def run(self, groups: Sequence[DrawnGroup], step: int) -> float:
        """Take one step.

        Args:
            groups: One of each topic.
            step: Its number, from 0.

        Returns:
            The loss before it, the mean over topics.

        Raises:
            ValueError: The loss is not finite.
        """
        pairs = self._make_pairs(groups)
        lengths = [max(len(pair.ids) for pair in group) * len(group) for group in pairs]
        chunks = plan_batches(
            lengths, max_texts=len(groups), max_tokens=self._settings.chunk_tokens
        )
        self._model.train()
        device = self._scorer.device
        total = 0.0
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(_mix(self._settings.seed, step))
            for chunk in chunks:
                loss = self._loss([pairs[place] for place in chunk])
                weighted = loss * (len(chunk) / len(groups))
                weighted.backward()  # type: ignore[no-untyped-call]
                total += float(weighted.detach())
        if not np.isfinite(total):
            raise ValueError(f"step {step}: the loss is {total}; lower --learning-rate")
        self._change_weights(step)
        return total

    def _change_weights(self, step: int) -> None:
        settings = self._settings
        rate = learning_rate(
            step,
            peak=settings.learning_rate,
            num_steps=settings.num_steps,
            lr_warmup_steps=settings.lr_warmup_steps,
        )
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = rate
        if settings.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), settings.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _make_pairs(self, groups: Sequence[DrawnGroup]) -> list[list[Pair]]:
        tokenizer = self._scorer.pairs
        queries, documents = list_texts(groups, self._documents)
        rows = zip(
            tokenizer.tokenize(queries), self._scorer.tokenize_documents(documents), strict=True
        )
        made = iter([tokenizer.join(*row) for row in rows])
        return [[next(made) for _ in group.docids] for group in groups]

    def _loss(self, groups: Sequence[Sequence[Pair]]) -> Tensor:
        """Give the mean loss of some topics' groups."""
        inputs = collate([pair for group in groups for pair in group], self._scorer.pairs)
        on_device = {name: value.to(self._scorer.device) for name, value in inputs.items()}
        scores = self._model(**on_device)[0][:, 0].float()
        sizes = [len(group) for group in groups]
        return group_loss(scores.split(sizes), self._settings.loss)


def group_loss(scores: Sequence[Tensor], loss: GroupLoss) -> Tensor:
    """Give the mean loss of groups.

    Args:
        scores: Of each group, shape (1 + x,), the positive's first; x may differ.
        loss: ``softmax`` or ``bce``.

    Returns:
        A scalar.
    """
    if loss == "softmax":
        losses = [-torch.log_softmax(group, dim=0)[0] for group in scores]
    else:
        losses = [
            nn.functional.binary_cross_entropy_with_logits(
                group, torch.eye(1, len(group), device=group.device)[0]
            )
            for group in scores
        ]
    return torch.stack(losses).mean()


def _mix(seed: int, step: int) -> int:
    """Give a seed of dropout that no other step has."""
    return int(np.random.SeedSequence([seed, 2, step]).generate_state(1, np.uint64)[0] >> 1)

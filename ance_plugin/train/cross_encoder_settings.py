"""What training a cross-encoder was asked for, checked before any work."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ance_plugin.records import Document, Qrels, Run

type GroupLoss = Literal["softmax", "bce"]

GROUP_LOSSES: tuple[str, ...] = ("softmax", "bce")


@dataclass(frozen=True, slots=True)
class CrossEncoderSettings:
    """How a cross-encoder is trained.

    Attributes:
        num_steps: Optimiser steps in all.
        batch_size: Topics a step.
        negatives_per_topic: Negatives beside the positive of each topic.
        loss: ``softmax``: cross entropy of the positive among its group, the mean over topics;
            ``bce``: binary cross entropy, the mean over the pairs of a group, then over topics.
        learning_rate: At its highest; falls linearly to 0.
        lr_warmup_steps: Steps in which the rate rises from 0.
        weight_decay: Of matrices; biases and layer norms have none.
        max_grad_norm: Gradients are scaled down to this norm; None leaves them.
        max_length: Tokens of query and document.
        template: How a document's title and text are joined.
        precision: ``bf16`` or ``fp32``; None is bf16 where the device computes in it.
        chunk_tokens: Tokens that go through the model at once, padding included.
        save_steps: Steps between two states for a resumed run, and between two dev measures; None
            is a tenth of all.
        seed: Of a new classifier, the order of topics, negatives and dropout.
    """

    num_steps: int = 1000
    batch_size: int = 8
    negatives_per_topic: int = 7
    loss: GroupLoss = "softmax"
    learning_rate: float = 2e-5
    lr_warmup_steps: int = 100
    weight_decay: float = 0.01
    max_grad_norm: float | None = 1.0
    max_length: int = 256
    template: str = "{title} {text}"
    precision: str | None = None
    chunk_tokens: int = 16_384
    save_steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        for name in ("num_steps", "batch_size", "negatives_per_topic", "chunk_tokens"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("lr_warmup_steps", "seed"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        decay, rate = self.weight_decay, self.learning_rate
        _require("weight_decay", decay, 0 <= decay < math.inf, "at least 0, and finite")
        _require("learning_rate", rate, 0 < rate < math.inf, "above 0, and finite")
        norm, save_steps = self.max_grad_norm, self.save_steps
        _require("max_grad_norm", norm, norm is None or norm > 0, "above 0")
        _require("save_steps", save_steps, save_steps is None or save_steps >= 1, "at least 1")
        _require("loss", self.loss, self.loss in GROUP_LOSSES, f"one of {', '.join(GROUP_LOSSES)}")
        precisions = (None, "bf16", "fp32")
        _require("precision", self.precision, self.precision in precisions, "bf16 or fp32")

    @property
    def steps_between_states(self) -> int:
        """Steps after which a state is saved, and the dev topics are measured."""
        return self.save_steps or max(1, self.num_steps // 10)

    def to_json(self) -> dict[str, Any]:
        """Give the settings as they stand in ``metadata.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Dev:
    """Topics by which the best weights are chosen; never those of a test.

    Attributes:
        run: A first-stage run, to be reranked.
        queries: qid -> query.
        documents: docid -> document of the top of the run.
        qrels: Judgments; every judged topic counts.
        measure: As ``measures`` names it.
        depth: Documents of each topic that are reranked.
    """

    run: Run
    queries: Mapping[str, str]
    documents: Mapping[str, Document]
    qrels: Qrels
    measure: str = "ndcg@10"
    depth: int = 100


def _require(name: str, value: object, is_right: bool, expected: str) -> None:  # noqa: FBT001
    if not is_right:
        raise ValueError(f"{name} must be {expected}, found {value!r}")

"""What a training run was asked for: read from flags over a recipe over the defaults, and checked.

The resolved settings stand in ``training.json`` of the output folder, from which a run is resumed
and a refresher on another host starts.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ance_plugin.measures import check_measures
from ance_plugin.train.negatives.settings import MiningSettings

REFRESH_MODES = ("sync", "async", "static")
type Schedule = Literal["linear", "cosine", "constant"]

_PART_TOLERANCE = 0.05  # 0.33 is a third

SCHEDULES = ("linear", "cosine", "constant")
OPTIMIZERS = ("adamw", "lamb")
LOSS_NAMES = ("softmax", "pairwise-nll", "margin-mse", "kl")


@dataclass(frozen=True, slots=True)
class Data:
    """Where texts and judgments come from; names as the readers of ``formats`` take them.

    Attributes:
        collection: Documents.
        topics: Training topics.
        qrels: Judgments of the training topics; every relevance from 1 is a positive.
        dev_topics: Topics on which checkpoints are compared; None for no comparison.
        dev_qrels: Their judgments.
        tokens: Directory of the tokenized collection; None is ``tokens`` in the output folder.
        bm25_negatives: Negatives artifact whose documents are the source ``bm25`` of the mix.
        sparse_index: Lucene index in which to find them, where no artifact is given.
        triples: MS MARCO's file of triples from which to take them, likewise.
        teacher: Cross-encoder that scores positives and candidates, for ``teacher_threshold`` and
            the losses that learn from it; None for none.
    """

    collection: str
    topics: str
    qrels: str
    dev_topics: str | None = None
    dev_qrels: str | None = None
    tokens: str | None = None
    bm25_negatives: str | None = None
    sparse_index: str | None = None
    triples: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where one of dev topics and dev qrels is missing."""
        if (self.dev_topics is None) != (self.dev_qrels is None):
            raise ValueError("--dev-topics and --dev-qrels go together")
        if sum(source is not None for source in self.bm25_sources) > 1:
            raise ValueError("give one of --negatives, --sparse-index and --triples")

    @property
    def bm25_sources(self) -> tuple[str | None, ...]:
        """Where the source ``bm25`` of the mix may come from; one of them is set at most."""
        return self.bm25_negatives, self.sparse_index, self.triples


@dataclass(frozen=True, slots=True)
class Start:
    """The encoder to start from, and settings in place of its own.

    Attributes:
        init: Checkpoint folder, training folder or hub name.
        overrides: Fields of ``EncoderSettings``.
        head_dimension: Width of a new ANCE head (Linear, LayerNorm; random) on a body that has
            none; None leaves the encoder as it is.
        maxp: Encode long documents in Microsoft's chunks, the best of which speaks for them.
    """

    init: str
    overrides: dict[str, Any] = field(default_factory=dict)
    head_dimension: int | None = None
    maxp: Literal["chunks"] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        _require_choice("maxp", self.maxp, (None, "chunks"))
        _require(
            self.head_dimension is None or self.head_dimension >= 1,
            *("head_dimension", self.head_dimension, "at least 1"),
        )


@dataclass(frozen=True, slots=True)
class Optimization:
    """How weights change.

    Attributes:
        num_steps: Optimiser steps in all.
        batch_size: Topics a batch, over all ranks; in-batch negatives come from one batch.
        accumulate: Batches whose gradients are averaged into one step.
        negatives_per_topic: Own negatives of each topic in a batch.
        loss: ``softmax``, ``pairwise-nll`` (the paper's), ``margin-mse`` or ``kl``.
        temperature: Scores are divided by it; None is 1, or 0.05 where vectors have length one.
        in_batch_weight: How much each document of other topics in the batch counts, against one
            for the topic's own negatives; 0 leaves them out.
        optimizer: ``adamw`` or ``lamb`` (the paper's).
        learning_rate: At its highest.
        lr_warmup_steps: Steps in which the rate rises from 0.
        schedule: ``linear`` or ``cosine`` down to 0, or ``constant``.
        save_steps: Steps between two states for --resume; None saves one at each refresh.
        weight_decay: Of matrices; biases and layer norms have none.
        max_grad_norm: Gradients are scaled down to this norm; 0 leaves them.
        precision: ``bf16`` or ``fp32``; None is bf16 where the device computes in it.
        grad_cache: Encode each batch twice, so that its size is not bound by memory.
        chunk_tokens: Tokens that go through the encoder at once, padding included; texts of one
            chunk share a draw of dropout. None is 1,024 on a CPU, else 16,384.
        gradient_checkpointing: Compute activations again instead of keeping them.
        seed: Of batches, dropout, negatives and a new head.
    """

    num_steps: int = 1000
    batch_size: int = 32
    accumulate: int = 1
    negatives_per_topic: int = 2
    loss: str = "softmax"
    temperature: float | None = None
    in_batch_weight: float = 1.0
    optimizer: str = "adamw"
    learning_rate: float = 2e-5
    lr_warmup_steps: int = 50
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    precision: str | None = None
    grad_cache: bool = False
    chunk_tokens: int | None = None
    gradient_checkpointing: bool = False
    save_steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        _require_choice("loss", self.loss, LOSS_NAMES)
        _require_choice("optimizer", self.optimizer, OPTIMIZERS)
        _require_choice("schedule", self.schedule, SCHEDULES)
        _require_choice("precision", self.precision, (None, "bf16", "fp32"))
        for name in ("num_steps", "batch_size", "accumulate"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("negatives_per_topic", "lr_warmup_steps", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name in ("weight_decay", "in_batch_weight", "max_grad_norm"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, name, value, "at least 0, and finite")
        for name in ("learning_rate", "temperature", "save_steps", "chunk_tokens"):
            value = getattr(self, name)
            _require(value is None or 0 < value < math.inf, name, value, "above 0, and finite")
        if self.loss != "softmax" and self.negatives_per_topic == 0:
            raise ValueError(f"loss {self.loss} needs negatives_per_topic of at least 1, found 0")
        if self.loss == "softmax" and self.negatives_per_topic == 0 and self.in_batch_weight == 0:
            raise ValueError("with negatives_per_topic 0 and in_batch_weight 0 nothing is learnt")
        if self.in_batch_weight > 0 and self.negatives_per_topic == 0 and self.batch_size == 1:
            raise ValueError("a batch of one topic has no in-batch negatives")


@dataclass(frozen=True, slots=True)
class Refresh:
    """When negatives are made anew, and by whom.

    Attributes:
        mode: ``sync`` alternates with training in one process; ``async`` goes on beside it in a
            process of its own; ``static`` makes negatives once, before the first step.
        refresh_steps: Steps from one published checkpoint to the next.
        refresh_share: Share of the topics that get new negatives at each refresh.
        max_staleness: Steps by which negatives may lag behind in ``async``; None for no bound.
        when_stale: ``block`` waits for newer negatives, ``warn`` goes on.
        refresher: ``own`` starts a process, ``external`` expects ``train refresh --watch``.
        device: Where the refresher computes; None is the trainer's.
        threads: Cores of the refresher on a CPU; None is all in ``sync``, half in ``async``.
        precision: Of encoding; None is bf16 where the device computes in it.
        dev_measure: What checkpoints are compared by.
        dev_depth: Hits a dev topic.
        patience: Refreshes without a better dev measure after which training ends; None for
            no such end.
        keep_checkpoints: How many of the newest to keep beside the best.
    """

    mode: str = "sync"
    refresh_steps: int = 500
    refresh_share: float = 1.0
    max_staleness: int | None = None
    when_stale: str = "block"
    refresher: str = "own"
    device: str | None = None
    threads: int | None = None
    precision: str | None = None
    dev_measure: str = "ndcg@10"
    dev_depth: int = 100
    patience: int | None = None
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        _require_choice("refresh", self.mode, REFRESH_MODES)
        _require_choice("when_stale", self.when_stale, ("block", "warn"))
        _require_choice("refresher", self.refresher, ("own", "external"))
        _require_choice("refresh_precision", self.precision, (None, "bf16", "fp32", "fp16"))
        check_measures([self.dev_measure])
        share = self.refresh_share
        is_part = 0 < share <= 1 and abs(1 / share - round(1 / share)) < _PART_TOLERANCE
        _require(is_part, "refresh_share", share, "1, 1/2, 1/3 and so on")
        for name in ("refresh_steps", "dev_depth", "keep_checkpoints"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("max_staleness", "patience", "threads"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "at least 1")
        cutoff = int(self.dev_measure.partition("@")[2].partition("-")[0] or 0)
        if cutoff > self.dev_depth:
            raise ValueError(f"dev_measure {self.dev_measure} needs dev_depth {cutoff} or more")
        if self.max_staleness is not None and self.mode != "async":
            raise ValueError("max_staleness is of async refreshes")
        if self.max_staleness is not None and self.max_staleness < self.refresh_steps:
            raise ValueError(
                f"max_staleness {self.max_staleness} is below refresh_steps {self.refresh_steps}: "
                "training would wait for ever"
            )


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """All of a training run's settings."""

    data: Data
    start: Start
    optimization: Optimization
    negatives: MiningSettings
    refresh: Refresh

    def __post_init__(self) -> None:
        """Raise ValueError where settings of different groups do not go together."""
        if self.refresh.patience is not None and self.data.dev_topics is None:
            raise ValueError("patience needs dev topics, on which to see that nothing gets better")
        needs_teacher = self.optimization.loss in ("margin-mse", "kl")
        if needs_teacher and self.data.teacher is None:
            raise ValueError(f"loss {self.optimization.loss} needs --teacher, a cross-encoder")
        if self.negatives.teacher_threshold is not None and self.data.teacher is None:
            raise ValueError("--teacher-threshold needs --teacher, a cross-encoder")
        if self.negatives.mix.get("bm25", 0) > 0 and not any(self.data.bm25_sources):
            raise ValueError(
                "a mix with bm25 needs BM25 negatives: --sparse-index, --triples or --negatives"
            )
        if self.optimization.negatives_per_topic > self.negatives.num_negatives:
            raise ValueError(
                f"negatives_per_topic {self.optimization.negatives_per_topic} is above "
                f"num_negatives {self.negatives.num_negatives}"
            )

    @property
    def has_ann(self) -> bool:
        """Whether negatives come from an index of the collection."""
        return self.negatives.mix.get("ann", 0) > 0

    def to_json(self) -> dict[str, Any]:
        """Give the settings as they stand in ``training.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrainSettings":
        """Read what ``to_json`` gave."""
        groups = {item.name: item.type for item in fields(cls)}
        return cls(**{name: kind(**content[name]) for name, kind in groups.items()})  # type: ignore[operator]


def _require(is_right: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001
    if not is_right:
        raise ValueError(f"{name} must be {expected}, found {value!r}")


def _require_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        known = ", ".join(str(choice) for choice in choices if choice is not None)
        raise ValueError(f"{name} must be one of {known}, found {value!r}")

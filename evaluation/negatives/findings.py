"""What the analyses of negatives find, and how they were asked to look."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.negatives.gradients import Gradients
from evaluation.negatives.inputs import Names

MEASURES = ("ndcg@10", "mrr@10", "hole_rate@10", "judged@10")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to look.

    Attributes:
        depth: First hits that are compared; of a strategy, its first negatives.
        num_topics: Topics whose triples are measured.
        batch_size: Topics a batch, for in-batch negatives.
        seed: Of what is drawn.
        device: Where to compute; None is the best there is.
        precision: fp32 or bf16; None is bf16 where the device has instructions for it.
    """

    depth: int = 100
    num_topics: int = 50
    batch_size: int = 32
    seed: int = 0
    device: str | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        for name, least in (("depth", 1), ("num_topics", 1), ("batch_size", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy's negatives, seen by one checkpoint.

    Attributes:
        num_negatives: Of all topics together.
        overlap: Share of them among the topics' first ``depth`` other documents at test time; None
            where there are none.
        gradients: What its triples say; None where there are none.
    """

    num_negatives: int
    overlap: float | None
    gradients: Gradients | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one checkpoint shows.

    Attributes:
        series: Its series.
        label: Its name.
        step: Of the training run.
        encoder: What identifies it.
        num_topics: Topics with a positive in the collection, on which all is measured.
        strategies: Name -> what its negatives are to this checkpoint.
        bm25_overlap: Share of its first ``depth`` hits that are among BM25's; None without BM25.
        measures: Of its first ``depth`` hits.
    """

    series: str
    label: str
    step: int | None
    encoder: dict[str, Any]
    num_topics: int
    strategies: dict[str, Strategy]
    bm25_overlap: float | None
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything a report says.

    Attributes:
        names: Where everything came from.
        settings: How it was looked at.
        findings: Of each checkpoint, series by series, oldest first.
        bm25_measures: Of BM25's hits; None without them.
        logs: Series -> what its training run logged of overlap, losses and gradients.
        runs: Folders of the training runs.
        versions: Of packages.
    """

    names: Names
    settings: Settings
    findings: tuple[Finding, ...]
    bm25_measures: dict[str, float] | None
    logs: dict[str, list[dict[str, Any]]]
    runs: tuple[Path, ...]
    versions: dict[str, Any]

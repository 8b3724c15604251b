"""What a table of negatives says of one topic."""

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONS = ("positive", "duplicate", "margin", "cross-encoder", "absent")
"""Why a candidate is no negative, as ``num_dropped`` counts."""

PARALLEL = {
    "positive_scores": "positives",
    "positive_teacher_scores": "positives",
    "scores": "negatives",
    "ranks": "negatives",
    "sources": "negatives",
    "teacher_scores": "negatives",
}
"""Field -> the one it has an element for each element of."""


@dataclass(frozen=True, slots=True)
class TopicNegatives:
    """One topic's negatives, in the order they were drawn, and where they are from.

    Attributes:
        qid: The topic.
        positives: Its judged positives in the collection, by relevance descending, then docid.
        positive_scores: Of each positive, from the first source; None (or NaN) where unknown.
        negatives: The docids, no two the same.
        scores: Of each negative, from its source; None where that has none (``random``).
        ranks: Of each negative among its source's candidates, from 1; None likewise.
        sources: Of each negative: ``ann``, ``bm25``, ``random`` or ``triples``.
        teacher_scores: A cross-encoder's, of each negative; None where there was none.
        positive_teacher_scores: The same, of each positive.
        num_dropped: Reason (``REASONS``) -> candidates dropped for it; those that dropped none may
            be left out, and are when a table is read.
        round: Of mining.
        step: Of the checkpoint that the candidates are from.

    Raises:
        ValueError: Columns that belong together differ in length.
    """

    qid: str
    positives: tuple[str, ...]
    positive_scores: tuple[float | None, ...]
    negatives: tuple[str, ...]
    scores: tuple[float | None, ...]
    ranks: tuple[int | None, ...]
    sources: tuple[str, ...]
    teacher_scores: tuple[float, ...] | None = None
    positive_teacher_scores: tuple[float, ...] | None = None
    num_dropped: Mapping[str, int] = field(default_factory=dict)
    round: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where columns that belong together differ in length."""
        for name, other in PARALLEL.items():
            values, expected = getattr(self, name), len(getattr(self, other))
            if values is not None and len(values) != expected:
                raise ValueError(f"topic {self.qid}: {len(values)} {name} for {expected} {other}")

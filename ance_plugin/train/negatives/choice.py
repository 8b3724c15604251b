"""One topic's negatives while they are chosen, whatever they come from."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance_plugin.train.negatives.filters import keep_by_teacher
from ance_plugin.train.negatives.positives import TopicPositives

type Teacher = Callable[[str, Sequence[str]], NDArray[np.float32]]
"""(qid, docids) -> log-odds of relevance, shape (number of docids,), float32."""


class Offer(NamedTuple):
    """A candidate for a negative; score and rank are None where its source has none."""

    docid: str
    score: float | None = None
    rank: int | None = None


class Choice:
    """Take offers until there are enough; none twice, and none that is excluded.

    The cross-encoder scores only what would be taken, and the positives once.

    Args:
        qid: The topic.
        positives: Its positives, and what else is excluded from the start.
        num_negatives: How many are enough.
        teacher: Scores all that is taken; None scores nothing.
        threshold: Probability of relevance above which the teacher's word drops an offer; None
            drops none.
    """

    def __init__(
        self,
        qid: str,
        positives: TopicPositives,
        num_negatives: int,
        *,
        teacher: Teacher | None = None,
        threshold: float | None = None,
    ) -> None:
        self.qid = qid
        self.positives = positives
        self.taken: list[tuple[Offer, str]] = []
        self.teacher_scores: list[float] = []
        self.positive_teacher_scores: list[float] = []
        self.num_dropped: Counter[str] = Counter()
        self._num_negatives = num_negatives
        self._teacher = teacher
        self._threshold = threshold
        self._refused = set(positives.excluded)
        if positives.num_absent:
            self.num_dropped["absent"] = positives.num_absent

    @property
    def num_missing(self) -> int:
        """How many more there is room for."""
        return self._num_negatives - len(self.taken)

    def drop(self, docids: Iterable[str], reason: str) -> None:
        """Count documents as dropped and take none of them from any source."""
        for docid in docids:
            self.num_dropped[reason] += 1
            self._refused.add(docid)

    def take(self, source: str, offers: Iterable[Offer], count: int) -> None:
        """Take the first ``count`` offers that may be taken; fewer where there are fewer."""
        allowed = (offer for offer in offers if offer.docid not in self._refused)
        goal = len(self.taken) + min(count, self.num_missing)
        while len(self.taken) < goal:
            part: list[Offer] = []
            for offer in islice(allowed, goal - len(self.taken)):
                self._refused.add(offer.docid)  # at once, for the offers behind it
                part.append(offer)
            if not part:
                return
            kept = part if self._teacher is None else self._ask(self._teacher, part)
            self.taken.extend((offer, source) for offer in kept)

    def _ask(self, teacher: Teacher, part: list[Offer]) -> list[Offer]:
        """Score offers, and the positives if that was not done; keep what it does not drop."""
        asked = [] if self.positive_teacher_scores else list(self.positives.docids)
        scores = self._score(teacher, [*asked, *(offer.docid for offer in part)])
        if asked:
            self.positive_teacher_scores = scores[: len(asked)].tolist()
        scores = scores[len(asked) :]
        keeps = [True] * len(part)
        if self._threshold is not None:
            keeps = keep_by_teacher(scores, self._threshold).tolist()
            dropped = (offer.docid for offer, keep in zip(part, keeps, strict=True) if not keep)
            self.drop(dropped, "cross-encoder")
        self.teacher_scores += scores[np.array(keeps)].tolist()
        return [offer for offer, keep in zip(part, keeps, strict=True) if keep]

    def _score(self, teacher: Teacher, docids: list[str]) -> NDArray[np.float32]:
        scores = np.asarray(teacher(self.qid, docids), dtype=np.float32)
        if scores.shape != (len(docids),) or not np.isfinite(scores).all():
            raise ValueError(
                f"topic {self.qid}: expected {len(docids)} finite scores of the teacher, found "
                f"shape {scores.shape}" + ("" if np.isfinite(scores).all() else " with NaN or inf")
            )
        return scores

"""The negatives in use, by topic, as rows of the tokenized collection."""

import logging
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance_plugin.errors import FormatError
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.filters import keep_by_margin
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.negatives.table import Negatives

logger = logging.getLogger(__name__)


class TablePool:
    """Negatives from an artifact.

    Mining's margin is to a topic's best positive. Where a topic has several, the one that is shown
    may score far less, and what scores above it may well be relevant; so the margin holds for the
    positive that is shown, too.

    Args:
        negatives: The artifact's table.
        corpus: The documents; a negative that is none of them is left out.
        settings: By which the table was mined; None is a table without a margin.
    """

    def __init__(
        self, negatives: Negatives, corpus: Corpus, settings: MiningSettings | None = None
    ) -> None:
        self._negatives = negatives
        self._corpus = corpus
        self._margin = None if settings is None else settings.margin
        self._source = None if settings is None else settings.ranked_source
        self._has_rows: dict[str, bool] = {}

    def rows(self, qid: str, positive: int) -> NDArray[np.int64]:
        """Give the rows of a topic's negatives in drawn order; none for a topic without any.

        Args:
            qid: The topic.
            positive: Row of the positive they are shown beside. With a margin, negatives of the
                source that gave the positives' scores are left out unless they score below this
                positive by it; where that leaves none, the lowest of them stays.
        """
        if qid not in self._negatives:
            return np.empty(0, dtype=np.int64)
        topic, rows = self._negatives.by_qid(qid), self._corpus.rows
        places = [place for place, docid in enumerate(topic.negatives) if docid in rows]
        if self._margin is not None:
            places = self._keep(topic, places, self._corpus.docids[positive], self._margin)
        return np.array([rows[topic.negatives[place]] for place in places], dtype=np.int64)

    def _keep(
        self, topic: TopicNegatives, places: list[int], positive: str, margin: float
    ) -> list[int]:
        """Keep the places that do not score too near to a positive."""
        shown = dict(zip(topic.positives, topic.positive_scores, strict=True)).get(positive)
        if shown is None or math.isnan(shown):
            return places
        scores = {
            place: score
            for place in places
            if topic.sources[place] == self._source and (score := topic.scores[place]) is not None
        }
        keeps = keep_by_margin(list(scores.values()), shown, margin)
        near = {place for place, keep in zip(scores, keeps, strict=True) if not keep}
        if len(near) < len(places):
            return [place for place in places if place not in near]
        return [min(near, key=scores.__getitem__)] if near else []

    def has_rows(self, qid: str) -> bool:
        """Say whether a topic has negatives; filters and a small collection may leave none."""
        if qid not in self._has_rows:
            docids = self._negatives.by_qid(qid).negatives if qid in self._negatives else ()
            self._has_rows[qid] = any(docid in self._corpus.rows for docid in docids)
        return self._has_rows[qid]

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the cross-encoder's scores of a topic's positives and negatives.

        Raises:
            ValueError: The artifact was made without a teacher.
        """
        topic = self._negatives.by_qid(qid)
        if topic.teacher_scores is None or topic.positive_teacher_scores is None:
            raise ValueError(f"the negatives of topic {qid} have no teacher's scores")
        scored = dict(zip(topic.negatives, topic.teacher_scores, strict=True))
        scored |= dict(zip(topic.positives, topic.positive_teacher_scores, strict=True))
        docids = [self._corpus.docids[row] for row in rows.tolist()]
        return np.array([scored[docid] for docid in docids], dtype=np.float32)


def check_pool(pool: TablePool, qids: Sequence[str], *, step: int) -> None:
    """Warn of topics that have no negatives, in whose place other topics are visited.

    Args:
        pool: The negatives.
        qids: The training topics.
        step: Of the refresh, for messages.

    Raises:
        FormatError: No topic has negatives.
    """
    without = [qid for qid in qids if not pool.has_rows(qid)]
    if len(without) == len(qids):
        raise FormatError(
            f"the refresh of step {step} left no topic any negatives; is every document relevant, "
            "or --margin or --teacher-threshold too strict?"
        )
    if without:
        logger.warning(
            "%d of %d topics have no negatives, as %s; others are visited in their place",
            *(len(without), len(qids), without[0]),
        )


class EmptyPool:
    """No negatives of a topic's own: in-batch negatives alone."""

    def has_rows(self, qid: str) -> bool:
        """Say that a topic has none."""
        del qid
        return False

    def rows(self, qid: str, positive: int) -> NDArray[np.int64]:
        """Give no rows."""
        del qid, positive
        return np.empty(0, dtype=np.int64)

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the scores of no rows."""
        del qid
        return np.zeros(len(rows), dtype=np.float32)

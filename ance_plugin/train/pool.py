"""The negatives in use, by topic, as rows of the tokenized collection."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance_plugin.errors import FormatError
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.table import Negatives

logger = logging.getLogger(__name__)


class TablePool:
    """Negatives from an artifact.

    Args:
        negatives: The artifact's table.
        corpus: The documents; a negative that is none of them is left out.
    """

    def __init__(self, negatives: Negatives, corpus: Corpus) -> None:
        self._negatives = negatives
        self._corpus = corpus
        self._has_rows: dict[str, bool] = {}

    def rows(self, qid: str) -> NDArray[np.int64]:
        """Give the rows of a topic's negatives in drawn order; none for a topic without any."""
        if qid not in self._negatives:
            return np.empty(0, dtype=np.int64)
        rows, docids = self._corpus.rows, self._negatives.by_qid(qid).negatives
        return np.array([rows[docid] for docid in docids if docid in rows], dtype=np.int64)

    def has_rows(self, qid: str) -> bool:
        """Say whether a topic has negatives; filters and a small collection may leave none."""
        if qid not in self._has_rows:
            self._has_rows[qid] = len(self.rows(qid)) > 0
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

    def rows(self, qid: str) -> NDArray[np.int64]:
        """Give no rows."""
        del qid
        return np.empty(0, dtype=np.int64)

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the scores of no rows."""
        del qid
        return np.zeros(len(rows), dtype=np.float32)

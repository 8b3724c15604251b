"""The negatives in use, by topic, as rows of the tokenized collection."""

import numpy as np
from numpy.typing import NDArray

from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.table import Negatives


class TablePool:
    """Negatives from an artifact.

    Args:
        negatives: The artifact's table.
        corpus: The documents; a negative that is none of them is left out.
    """

    def __init__(self, negatives: Negatives, corpus: Corpus) -> None:
        self._negatives = negatives
        self._corpus = corpus

    def rows(self, qid: str) -> NDArray[np.int64]:
        """Give the rows of a topic's negatives in drawn order; none for a topic without any."""
        if qid not in self._negatives:
            return np.empty(0, dtype=np.int64)
        rows, docids = self._corpus.rows, self._negatives.by_qid(qid).negatives
        return np.array([rows[docid] for docid in docids if docid in rows], dtype=np.int64)

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


class EmptyPool:
    """No negatives of a topic's own: in-batch negatives alone."""

    def rows(self, qid: str) -> NDArray[np.int64]:
        """Give no rows."""
        del qid
        return np.empty(0, dtype=np.int64)

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the scores of no rows."""
        del qid
        return np.zeros(len(rows), dtype=np.float32)

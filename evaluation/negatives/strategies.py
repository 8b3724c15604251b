"""The negatives that each strategy would give the topics, as rows of the collection."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ance_plugin.records import Qrels, Run
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.positives import Positives
from ance_plugin.train.negatives.samplers import generator
from ance_plugin.train.topics import TrainingTopics

BM25, RANDOM, IN_BATCH = "BM25", "random", "in-batch"
STATIC, REFRESHED, OWN = "ANN static", "ANN refreshed", "ANN of its own"
DESCRIPTIONS = {
    BM25: "BM25's first hits",
    RANDOM: "any documents",
    IN_BATCH: "positives of other topics of a batch",
    STATIC: "found by the first checkpoint of the series",
    REFRESHED: "found by the checkpoint before",
    OWN: "found by the checkpoint itself, as if refreshed at every step",
}
_ROUND_RANDOM, _ROUND_IN_BATCH = 0, 1

type Rows = list[NDArray[np.int64]]
"""Rows of each topic's negatives, best first."""


def find_excluded(topics: TrainingTopics, qrels: Qrels, corpus: Corpus) -> Rows:
    """Find what is no topic's negative: its positives, and documents with the text of one."""
    positives = Positives(corpus, qrels)
    found = (positives.find(topic.qid).excluded for topic in topics.topics)
    return [
        np.array([corpus.rows[docid] for docid in docids if docid in corpus.rows], np.int64)
        for docids in found
    ]


def keep_negatives(rows: Sequence[NDArray[np.int64]], excluded: Rows, depth: int) -> Rows:
    """Drop what is no negative, and keep the first ``depth`` of each topic.

    Args:
        rows: Rows of each topic, -1 where there is none.
        excluded: Rows that are no negatives of each topic.
        depth: How many to keep.

    Returns:
        The rows of each topic, in the order given.
    """
    return [
        found[(found >= 0) & ~np.isin(found, refused)][:depth]
        for found, refused in zip(rows, excluded, strict=True)
    ]


def list_run(run: Run, topics: TrainingTopics, corpus: Corpus) -> Rows:
    """Give a run's hits as rows; what is not in the collection is -1."""
    return [
        np.array([corpus.rows.get(hit.docid, -1) for hit in run.get(topic.qid, [])], np.int64)
        for topic in topics.topics
    ]


def draw_random(topics: TrainingTopics, corpus: Corpus, *, count: int, seed: int) -> Rows:
    """Draw documents for each topic, none twice; all of a small collection."""
    size = min(count, corpus.num_documents)
    generators = (generator(seed, _ROUND_RANDOM, topic.qid) for topic in topics.topics)
    return [rng.choice(corpus.num_documents, size, replace=False) for rng in generators]


def draw_in_batch(topics: TrainingTopics, *, batch_size: int, seed: int) -> Rows:
    """Draw the other topics of a batch, and take the first positive of each."""
    firsts = np.array([rows[0] for rows in topics.positives], np.int64)
    found = []
    for place, topic in enumerate(topics.topics):
        rng = generator(seed, _ROUND_IN_BATCH, topic.qid)
        size = min(batch_size - 1, len(firsts) - 1)
        others = rng.choice(len(firsts) - 1, size, replace=False) if size else np.empty(0, np.int64)
        found.append(firsts[others + (others >= place)])
    return found


def measure_share(negatives: Rows, top: Rows) -> float | None:
    """Find the share of the negatives that are in the top; None where there are none."""
    total = sum(map(len, negatives))
    shared = sum(int(np.isin(own, best).sum()) for own, best in zip(negatives, top, strict=True))
    return shared / total if total else None


class RowPool:
    """Negatives that a batch is drawn from.

    Args:
        rows: qid -> rows, in the order in which they are drawn.
    """

    def __init__(self, rows: Mapping[str, NDArray[np.int64]]) -> None:
        self._rows = rows

    def rows(self, qid: str, positive: int) -> NDArray[np.int64]:
        """Give the rows of a topic's negatives, whatever positive is beside them."""
        del positive
        return self._rows[qid]

    def has_rows(self, qid: str) -> bool:
        """Say whether a topic has negatives."""
        return len(self._rows.get(qid, ())) > 0

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Refuse: no loss that is measured here reads them."""
        raise ValueError(f"topic {qid}: {len(rows)} documents have no teacher's scores")

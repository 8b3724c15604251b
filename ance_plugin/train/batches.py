"""Which topics, positives and negatives make up each step: a function of the seed and the step.

Nothing about the data is carried from step to step, so a resumed run and any number of ranks see
the same batches.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ance_plugin.train.corpus import Corpus
from ance_plugin.train.topics import TrainingTopics


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of one step and how they belong together: b queries, m documents, x negatives.

    Attributes:
        queries: Token ids of each query.
        documents: Token ids of each distinct document, in one piece or in MaxP's chunks.
        positives: Column (into ``documents``) of each query's positive, shape (b,), int64.
        negatives: Columns of each query's own negatives, shape (b, x), int64; x may be 0.
        bias: Added to the scores, shape (b, m), float32: 0 for a query's own documents, the
            logarithm of the in-batch weight for those of others, minus infinity for what may not
            count, as another positive of the same query or a duplicate of one.
        teacher: Cross-encoder scores, the positive's first, shape (b, 1 + x), float32; None where
            there are none.
    """

    queries: list[NDArray[np.integer]]
    documents: list[list[NDArray[np.integer]]]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    bias: NDArray[np.float32]
    teacher: NDArray[np.float32] | None = None


class NegativePool(Protocol):
    """The negatives in use, by topic."""

    def rows(self, qid: str, positive: int) -> NDArray[np.int64]:
        """Give the rows of a topic's negatives beside a positive's row, in the order of use."""
        ...

    def has_rows(self, qid: str) -> bool:
        """Say whether a topic has negatives."""
        ...

    def teacher_scores(self, qid: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the cross-encoder's scores of some of a topic's documents."""
        ...


class BatchSampler:
    """Draw the batches of a training run.

    Topics come in epochs, each in an order of its own. At its visit number v a topic shows its
    positive number v and its negatives from v times x, each list taken again from its start at its
    end. A topic without negatives, where there should be some, gives its visit to the next in the
    epoch's order that has some.

    Args:
        corpus: The documents.
        topics: The training topics.
        batch_size: Topics a batch.
        negatives_per_topic: Own negatives of each topic, x.
        in_batch_weight: How much each document of other topics counts; 0 leaves them out.
        chunk_tokens: Tokens of MaxP's chunks; None keeps a document in one piece.
        has_teacher: Whether batches carry the cross-encoder's scores.
        seed: Of the orders.
    """

    def __init__(
        self,
        corpus: Corpus,
        topics: TrainingTopics,
        *,
        batch_size: int,
        negatives_per_topic: int,
        in_batch_weight: float,
        chunk_tokens: int | None = None,
        has_teacher: bool = False,
        seed: int = 0,
    ) -> None:
        self._corpus = corpus
        self._topics = topics
        self._batch_size = batch_size
        self._num_negatives = negatives_per_topic
        self._other = math.log(in_batch_weight) if in_batch_weight > 0 else -math.inf
        self._chunk_tokens = chunk_tokens
        self._has_teacher = has_teacher
        self._seed = seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def draw(self, number: int, pool: NegativePool) -> Batch:
        """Draw a batch.

        Args:
            number: Which, from 0 in a run.
            pool: The negatives in use.

        Returns:
            The batch; the same for the same seed, number and pool.
        """
        visits = self._visits(number, pool)
        positives = [
            int(self._topics.positives[topic][visit % len(self._topics.positives[topic])])
            for topic, visit in visits
        ]
        negatives = [
            self._negatives(topic, visit, positive, pool)
            for (topic, visit), positive in zip(visits, positives, strict=True)
        ]
        columns: dict[int, int] = {}
        for row in (*positives, *(int(row) for rows in negatives for row in rows)):
            columns.setdefault(row, len(columns))
        return Batch(
            queries=[self._topics.tokens[topic] for topic, _ in visits],
            documents=[self._pieces(row) for row in columns],
            positives=np.array([columns[row] for row in positives], dtype=np.int64),
            negatives=np.array(
                [[columns[int(row)] for row in rows] for rows in negatives], dtype=np.int64
            ).reshape(len(visits), self._num_negatives),
            bias=self._bias(visits, positives, negatives, columns),
            teacher=self._teach(visits, positives, negatives, pool),
        )

    def _visits(self, number: int, pool: NegativePool) -> list[tuple[int, int]]:
        """List the topics of a batch, each with the number of its visits before."""
        first = number * self._batch_size
        visits = []
        for place in range(first, first + self._batch_size):
            epoch, position = divmod(place, len(self._topics))
            if self._order[0] != epoch:
                generator = np.random.default_rng([self._seed, epoch])
                self._order = (epoch, generator.permutation(len(self._topics)))
            visits.append((self._find_topic(position, pool), epoch))
        return visits

    def _find_topic(self, position: int, pool: NegativePool) -> int:
        """Give the topic at a position of the epoch, or the next one that can be trained."""
        order = self._order[1]
        if self._num_negatives == 0:
            return int(order[position])
        for offset in range(len(order)):
            topic = int(order[(position + offset) % len(order)])
            if pool.has_rows(self._topics.topics[topic].qid):
                return topic
        raise ValueError("no topic has negatives")

    def _negatives(
        self, topic: int, visit: int, positive: int, pool: NegativePool
    ) -> NDArray[np.int64]:
        count = self._num_negatives
        if count == 0:
            return np.empty(0, dtype=np.int64)
        rows = pool.rows(self._topics.topics[topic].qid, positive)
        return rows[(visit * count + np.arange(count)) % len(rows)]

    def _bias(
        self,
        visits: list[tuple[int, int]],
        positives: list[int],
        negatives: list[NDArray[np.int64]],
        columns: dict[int, int],
    ) -> NDArray[np.float32]:
        bias = np.full((len(visits), len(columns)), self._other, dtype=np.float32)
        hashes = self._corpus.hashes[np.fromiter(columns, dtype=np.int64)]
        for place, (topic, _) in enumerate(visits):
            relevant = self._corpus.hashes[self._topics.positives[topic]]
            bias[place, np.isin(hashes, relevant)] = -np.inf
            for row in (positives[place], *(int(row) for row in negatives[place])):
                bias[place, columns[row]] = 0.0
        return bias

    def _teach(
        self,
        visits: list[tuple[int, int]],
        positives: list[int],
        negatives: list[NDArray[np.int64]],
        pool: NegativePool,
    ) -> NDArray[np.float32] | None:
        if not self._has_teacher:
            return None
        shown = [
            np.concatenate([[positive], rows])
            for positive, rows in zip(positives, negatives, strict=True)
        ]
        qids = [self._topics.topics[topic].qid for topic, _ in visits]
        return np.stack(
            [pool.teacher_scores(qid, rows) for qid, rows in zip(qids, shown, strict=True)]
        )

    def _pieces(self, row: int) -> list[NDArray[np.integer]]:
        tokens = self._corpus.tokens(row)
        if self._chunk_tokens is None:
            return [tokens]
        step = self._chunk_tokens
        return [tokens[start : start + step] for start in range(0, len(tokens), step)]

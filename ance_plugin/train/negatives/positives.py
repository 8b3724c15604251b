"""A topic's positives, and the documents that have the same text as one of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance_plugin.records import Qrels
from ance_plugin.train.corpus import Corpus


@dataclass(frozen=True, slots=True)
class TopicPositives:
    """What may not be a topic's negative.

    Attributes:
        docids: The positives in the collection, by relevance descending, then docid.
        excluded: Docid -> why it is no negative: ``positive`` for each judged one, in the
            collection or not; ``duplicate`` for what has a positive's text.
        num_absent: Judged positives that are not in the collection.
    """

    docids: tuple[str, ...]
    excluded: dict[str, str]
    num_absent: int


class Positives:
    """Look up positives and their duplicates.

    Args:
        corpus: The collection.
        qrels: Judgments; a relevance of at least 1 makes a positive.
    """

    def __init__(self, corpus: Corpus, qrels: Qrels) -> None:
        self._corpus = corpus
        self._qrels = qrels
        self._shared_hashes, self._shared_rows = _find_shared(corpus.hashes)

    def has_any(self, qid: str) -> bool:
        """Say whether a topic has a positive in the collection."""
        judged = self._qrels.get(qid, {})
        return any(grade >= 1 and docid in self._corpus.rows for docid, grade in judged.items())

    def find(self, qid: str) -> TopicPositives:
        """Find a topic's positives.

        Raises:
            ValueError: It has none in the collection.
        """
        judged = {docid: grade for docid, grade in self._qrels.get(qid, {}).items() if grade >= 1}
        rows = self._corpus.rows
        present = [docid for docid in judged if docid in rows]
        if not present:
            raise ValueError(f"topic {qid} has no positive in {self._corpus.path}; skip it")
        present.sort(key=lambda docid: (-judged[docid], docid))
        excluded = {
            docid: "duplicate" for found in present for docid in self._find_equal(rows[found])
        }
        excluded.update(dict.fromkeys(judged, "positive"))
        return TopicPositives(tuple(present), excluded, len(judged) - len(present))

    def _find_equal(self, row: int) -> list[str]:
        """Find the documents with a document's text; empty where it is the only one."""
        hashed = self._corpus.hashes[row]
        first = int(np.searchsorted(self._shared_hashes, hashed))
        if first == len(self._shared_hashes) or self._shared_hashes[first] != hashed:
            return []
        last = int(np.searchsorted(self._shared_hashes, hashed, side="right"))
        return [self._corpus.docids[found] for found in self._shared_rows[first:last].tolist()]


def _find_shared(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Give the hashes that several rows have, ascending, once for each such row, and the rows."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_shared = np.zeros(len(hashes), dtype=np.bool_)
    is_equal = ordered[1:] == ordered[:-1]
    is_shared[1:] |= is_equal
    is_shared[:-1] |= is_equal
    return ordered[is_shared], order[is_shared]

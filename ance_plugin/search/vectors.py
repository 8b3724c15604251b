"""What every searcher of vectors has: queries are encoded here, hits are found by a subclass."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ance_plugin.packed_hits import Packed, docids_of, rank_packed, unpack
from ance_plugin.progress import track
from ance_plugin.records import Hit, Run, no_collection

QUERIES_AT_ONCE = 512
EXTRA_HITS = 8


class QueryEncoder(Protocol):
    """What turns one query into a vector of shape (d,); Pyserini's query encoders do."""

    def encode(self, query: str, /) -> NDArray[np.float32]:
        """Encode one query."""
        ...


@runtime_checkable
class BatchQueryEncoder(Protocol):
    """What turns queries into vectors of shape (q, d) in one call; ``encode.Encoder`` does."""

    def encode_queries(self, queries: Sequence[str], /) -> NDArray[np.float32]:
        """Encode several queries."""
        ...


@runtime_checkable
class PyseriniBatchEncoder(Protocol):
    """What Pyserini's ``batch_search`` looks for; our Pyserini encoder classes have it."""

    def encode_batch(self, queries: list[str], /) -> NDArray[np.float32]:
        """Encode several queries."""
        ...


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a first search found for one query: hits, best first, and their vectors, (m, d)."""

    hits: Sequence[Hit]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """What an index returned for one query: docids, scores and the index's own numbers of them."""

    docids: Sequence[str] | Packed
    scores: Sequence[float] | NDArray[np.floating]
    rows: Sequence[int] | NDArray[np.int64]


class VectorSearcher(ABC):
    """Encode queries, search for their vectors; subclasses know the index.

    Args:
        index_dir: The index folder.
        encoder: Ours, or any object with Pyserini's ``encode(query)``.

    Attributes:
        dimension: Width of the vectors.
        num_docs: Documents, or passages, in the index.
    """

    dimension: int
    num_docs: int

    def __init__(self, index_dir: Path, encoder: QueryEncoder | BatchQueryEncoder) -> None:
        self.index_dir = index_dir
        self.encoder = encoder

    def search(self, query: str | NDArray[np.float32], k: int = 10, threads: int = 1) -> list[Hit]:
        """Find the documents with the highest inner product.

        Args:
            query: A text, or a vector of shape (d,).
            k: Hits at most, at least 1.
            threads: Threads to search with.

        Returns:
            Hits, best first; fewer than ``k`` only where the index returns fewer.
        """
        vectors = self.encode([query]) if isinstance(query, str) else np.atleast_2d(query)
        return list(self.search_vectors(vectors, k, threads=threads)[0])

    def batch_search(
        self,
        queries: Sequence[str] | NDArray[np.float32],
        qids: Sequence[str],
        k: int = 10,
        threads: int = 1,
    ) -> Run:
        """Search for several queries at once.

        Args:
            queries: Texts, or vectors of shape (q, d).
            qids: Their ids, one each, no two the same.
            k: Hits at most for each query, at least 1.
            threads: Threads to search with.

        Returns:
            qid -> hits, best first, in the order of ``qids``.

        Raises:
            ValueError: ``k`` is below 1, or lengths differ.
        """

        def find(part: slice) -> list[Sequence[Hit]]:
            asked = queries[part]
            vectors = asked if isinstance(asked, np.ndarray) else self.encode(asked)
            return self.search_vectors(vectors, k, threads=threads)

        return search_in_parts(queries, qids, find, what="dense")

    def encode(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries, in one call where the encoder can; shape (q, d), float32."""
        if isinstance(self.encoder, BatchQueryEncoder):
            return self.encoder.encode_queries(queries)
        if isinstance(self.encoder, PyseriniBatchEncoder):
            return np.asarray(self.encoder.encode_batch(list(queries)), dtype=np.float32)
        return np.stack([self.encoder.encode(query) for query in queries]).astype(np.float32)

    def search_vectors(
        self, vectors: NDArray[np.float32], k: int, *, threads: int = 1
    ) -> list[Sequence[Hit]]:
        """Find the best documents for query vectors.

        Args:
            vectors: Shape (q, d), float32.
            k: Hits at most, at least 1.
            threads: Threads to search with.

        Returns:
            The hits of each query, best first.

        Raises:
            ValueError: ``k`` is below 1, or the vectors are not finite, or have another dimension
                than the index.
        """
        self.check_query_vectors(vectors, k)
        found = self._find(vectors, k, threads)
        return [rank_packed(one.docids, one.scores, k) for one in found]

    def search_feedback(
        self, vectors: NDArray[np.float32], k: int, *, threads: int = 1
    ) -> list[Feedback]:
        """Find the best documents with their vectors, as the index holds them.

        An index that compresses (PQ, SQ) gives back what it decodes, as in Pyserini.

        Raises:
            ValueError: As ``search_vectors``; or the index cannot give vectors back.
        """
        self.check_query_vectors(vectors, k)
        feedback = []
        for one in self._find(vectors, k, threads):
            hits = rank_packed(one.docids, one.scores, k)
            docids = unpack(one.docids) if isinstance(one.docids, np.ndarray) else one.docids
            places = dict(zip(docids, one.rows, strict=True))
            rows = [places[docid] for docid in docids_of(hits)]
            feedback.append(Feedback(hits, self._read_rows(rows)))
        return feedback

    @abstractmethod
    def _find(self, vectors: NDArray[np.float32], k: int, threads: int) -> Iterable[Found]:
        """Give at least k documents a query where there are so many, and all tied with the last."""

    @abstractmethod
    def _read_rows(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Read vectors back from the index; shape (m, d) for m rows."""

    def check_query_vectors(self, vectors: NDArray[np.float32], k: int) -> None:
        """Raise ValueError where ``k`` is below 1 or the vectors do not fit the index."""
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        if vectors.shape[1] != self.dimension:
            raise ValueError(
                f"the queries have {vectors.shape[1]} dimensions, the index {self.dimension}"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("the query vectors must be finite, found NaN or infinity")


def search_in_parts(
    queries: Sized,
    qids: Sequence[str],
    find: Callable[[slice], Sequence[Sequence[Hit]]],
    *,
    what: str,
) -> Run:
    """Search for a few hundred queries at a time, with a progress bar.

    Args:
        queries: Texts or vectors.
        qids: Their ids, one each, no two the same.
        find: Gives the hits of each of the queries in a slice.
        what: Names the work on the progress bar.

    Returns:
        qid -> hits, in the order of ``qids``.

    Raises:
        ValueError: Lengths differ.
    """
    if len(queries) != len(qids):
        raise ValueError(f"{len(queries)} queries but {len(qids)} qids")
    run: dict[str, Sequence[Hit]] = {}
    parts = split_evenly(len(qids))
    with no_collection():
        for part in track(parts, what=what, total=len(parts)):
            run.update(zip(qids[part], find(part), strict=True))
    return run


def split_evenly(num_queries: int) -> list[slice]:
    """Divide queries into parts of one size, at most ``QUERIES_AT_ONCE`` each.

    A small last part would be searched in another way than the others.
    """
    num_parts = -(-num_queries // QUERIES_AT_ONCE)
    ends = [num_queries * number // max(num_parts, 1) for number in range(num_parts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]

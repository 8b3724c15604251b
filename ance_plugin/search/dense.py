"""Dense search over a FAISS index folder, with Pyserini's ``search`` and ``batch_search``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.stored import StoredIndex, open_index
from ance_plugin.progress import track
from ance_plugin.ranking import rank
from ance_plugin.records import Hit, Run

QUERIES_AT_ONCE = 512
_EXTRA_HITS = 8


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


class DenseSearcher:
    """Search an index made here or by ``pyserini.index.faiss`` and ``pyserini.encode``.

    Args:
        index_dir: Folder with ``index`` and ``docid``.
        encoder: Ours, or any object with Pyserini's ``encode(query)``.
        ef_search: HNSW's search breadth; None leaves FAISS's own.
        nprobe: IVF's lists to visit; None leaves FAISS's own.

    Raises:
        FileNotFoundError: There is no such folder.
        ArtifactError: It is no index, or damaged.
        MismatchError: The index was made with another encoder, or another one's settings.
        ValueError: ``ef_search`` or ``nprobe`` is not a parameter of this index.
    """

    def __init__(
        self,
        index_dir: str | Path,
        encoder: QueryEncoder | BatchQueryEncoder,
        *,
        ef_search: int | None = None,
        nprobe: int | None = None,
    ) -> None:
        stored = open_index(Path(index_dir))
        dimension = getattr(encoder, "dimension", stored.faiss_index.d)
        stored.require_encoder(getattr(encoder, "identity", None), dimension)
        self.index_dir = stored.path
        self.encoder = encoder
        self.index = stored.faiss_index
        self.docids = stored.docids
        self.num_docs = len(stored.docids)
        self.dimension: int = stored.faiss_index.d
        _set_parameter(stored, "efSearch", ef_search)
        _set_parameter(stored, "nprobe", nprobe)

    def search(self, query: str | NDArray[np.float32], k: int = 10, threads: int = 1) -> list[Hit]:
        """Find the documents with the highest inner product.

        Args:
            query: A text, or a vector of shape (d,).
            k: Hits at most, at least 1.
            threads: FAISS's threads.

        Returns:
            Hits, best first; fewer than ``k`` only where the index returns fewer.
        """
        vectors = self.encode([query]) if isinstance(query, str) else np.atleast_2d(query)
        return self.search_vectors(vectors, k, threads=threads)[0]

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
            threads: FAISS's threads.

        Returns:
            qid -> hits, best first, in the order of ``qids``.

        Raises:
            ValueError: ``k`` is below 1, or lengths differ.
        """
        if len(queries) != len(qids):
            raise ValueError(f"{len(queries)} queries but {len(qids)} qids")
        run: Run = {}
        parts = range(0, len(qids), QUERIES_AT_ONCE)
        for first in track(parts, what="dense", total=len(parts)):
            part = queries[first : first + QUERIES_AT_ONCE]
            vectors = part if isinstance(part, np.ndarray) else self.encode(part)
            hits = self.search_vectors(vectors, k, threads=threads)
            run.update(zip(qids[first : first + QUERIES_AT_ONCE], hits, strict=True))
        return run

    def encode(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries, in one call where the encoder can; shape (q, d), float32."""
        if isinstance(self.encoder, BatchQueryEncoder):
            return self.encoder.encode_queries(queries)
        return np.stack([self.encoder.encode(query) for query in queries]).astype(np.float32)

    def search_vectors(
        self, vectors: NDArray[np.float32], k: int, *, threads: int = 1
    ) -> list[list[Hit]]:
        """Find the best documents for query vectors, shape (q, d), float32.

        Raises:
            ValueError: ``k`` is below 1, or the vectors are not finite, or have another dimension
                than the index.
        """
        import faiss

        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        if vectors.shape[1] != self.dimension:
            raise ValueError(
                f"the queries have {vectors.shape[1]} dimensions, the index {self.dimension}"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("the query vectors must be finite, found NaN or infinity")
        faiss.omp_set_num_threads(threads)
        scores, rows = self._search_past_ties(np.ascontiguousarray(vectors, np.float32), k)
        return [
            self._to_hits(query_scores, query_rows, k)
            for query_scores, query_rows in zip(scores, rows, strict=True)
        ]

    def _search_past_ties(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search deep enough that no document tied with the last hit is left out."""
        depth = min(k + _EXTRA_HITS, self.num_docs)
        while True:
            scores, rows = self.index.search(vectors, depth)
            is_cut = (rows[:, -1] >= 0) & (scores[:, min(k, depth) - 1] == scores[:, -1])
            if depth == self.num_docs or not is_cut.any():
                return scores, rows
            depth = min(2 * depth, self.num_docs)

    def _to_hits(self, scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[Hit]:
        is_hit = rows >= 0  # FAISS fills up with -1
        return rank([self.docids[row] for row in rows[is_hit].tolist()], scores[is_hit], k)


def _set_parameter(stored: StoredIndex, name: str, value: int | None) -> None:
    import faiss

    if value is None:
        return
    try:
        faiss.ParameterSpace().set_index_parameter(stored.faiss_index, name, value)
    except RuntimeError as err:
        kind = type(faiss.downcast_index(stored.faiss_index)).__name__
        raise ValueError(f"{stored.path}: {kind} has no parameter {name}") from err

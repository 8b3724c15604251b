"""Dense search over a FAISS index folder, with Pyserini's ``search`` and ``batch_search``."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.stored import StoredIndex, open_index
from ance_plugin.ranking import rank
from ance_plugin.records import Hit
from ance_plugin.search.vectors import (
    EXTRA_HITS,
    BatchQueryEncoder,
    Feedback,
    QueryEncoder,
    VectorSearcher,
)


class DenseSearcher(VectorSearcher):
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
        super().__init__(stored.path, encoder)
        self.index = stored.faiss_index
        self.docids = stored.docids
        self.num_docs = len(stored.docids)
        self.dimension = stored.faiss_index.d
        _set_parameter(stored, "efSearch", ef_search)
        _set_parameter(stored, "nprobe", nprobe)

    def search_vectors(
        self, vectors: NDArray[np.float32], k: int, *, threads: int = 1
    ) -> list[list[Hit]]:
        """Find the best documents for query vectors, shape (q, d), float32.

        Raises:
            ValueError: ``k`` is below 1, or the vectors are not finite, or have another dimension
                than the index.
        """
        scores, rows = self._search_rows(vectors, k, threads)
        return [
            self._to_hits(query_scores, query_rows, k)
            for query_scores, query_rows in zip(scores, rows, strict=True)
        ]

    def search_feedback(
        self, vectors: NDArray[np.float32], k: int, *, threads: int = 1
    ) -> list[Feedback]:
        """Find the best documents with their vectors, as the index holds them.

        An index that compresses (PQ, SQ) gives back what it decodes, as in Pyserini.

        Raises:
            ValueError: As ``search_vectors``; or the index cannot give vectors back.
        """
        scores, rows = self._search_rows(vectors, k, threads)
        found = []
        for query_scores, query_rows in zip(scores, rows, strict=True):
            hits = self._to_hits(query_scores, query_rows, k)
            places = {self.docids[row]: row for row in query_rows.tolist() if row >= 0}
            chosen = np.array([places[hit.docid] for hit in hits], dtype=np.int64)
            found.append(Feedback(hits, self._reconstruct(chosen)))
        return found

    def _search_rows(
        self, vectors: NDArray[np.float32], k: int, threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        import faiss

        self.check_query_vectors(vectors, k)
        faiss.omp_set_num_threads(threads)
        return self._search_past_ties(np.ascontiguousarray(vectors, np.float32), k)

    def _search_past_ties(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search deep enough that no document tied with the last hit is left out."""
        depth = min(k + EXTRA_HITS, self.num_docs)
        while True:
            scores, rows = self.index.search(vectors, depth)
            is_cut = (rows[:, -1] >= 0) & (scores[:, min(k, depth) - 1] == scores[:, -1])
            if depth == self.num_docs or not is_cut.any():
                return scores, rows
            depth = min(2 * depth, self.num_docs)

    def _to_hits(self, scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[Hit]:
        is_hit = rows >= 0  # FAISS fills up with -1
        return rank([self.docids[row] for row in rows[is_hit].tolist()], scores[is_hit], k)

    def _reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read vectors back from the index; shape (m, d) for m rows."""
        if not len(rows):
            return np.empty((0, self.dimension), dtype=np.float32)
        try:
            return self._read_rows(rows)
        except RuntimeError as err:
            import faiss

            kind = type(faiss.downcast_index(self.index)).__name__
            raise ValueError(
                f"{self.index_dir}: {kind} cannot give vectors back, which feedback (PRF) needs; "
                "index the vectors as Flat, HNSW32, SQfp16 or IVF256,Flat"
            ) from err

    def _read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        import faiss

        vectors: NDArray[np.float32]
        try:
            vectors = self.index.reconstruct_batch(rows)
        except RuntimeError:
            # IVF finds a row only by a map from rows to lists, which its files do not hold.
            inverted_lists = faiss.try_extract_index_ivf(self.index)
            if inverted_lists is None:
                raise
            inverted_lists.make_direct_map()
            vectors = self.index.reconstruct_batch(rows)
        return vectors


def _set_parameter(stored: StoredIndex, name: str, value: int | None) -> None:
    import faiss

    if value is None:
        return
    try:
        faiss.ParameterSpace().set_index_parameter(stored.faiss_index, name, value)
    except RuntimeError as err:
        kind = type(faiss.downcast_index(stored.faiss_index)).__name__
        raise ValueError(f"{stored.path}: {kind} has no parameter {name}") from err

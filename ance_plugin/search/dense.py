"""Dense search over a FAISS index folder, with Pyserini's ``search`` and ``batch_search``."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.codes import can_code
from ance_plugin.index.flat import LEAST_VECTORS, FlatIndex
from ance_plugin.index.stored import StoredIndex, open_index
from ance_plugin.index.threads import faiss_threads
from ance_plugin.packed_hits import Packed, pack
from ance_plugin.search.vectors import (
    EXTRA_HITS,
    BatchQueryEncoder,
    Found,
    QueryEncoder,
    VectorSearcher,
)

if TYPE_CHECKING:
    from ance_plugin.index.on_device import DeviceIndex

logger = logging.getLogger(__name__)

_QUERIES_TO_CODE = 32  # at once: fewer do not repay coding an index that has no codes
# Many hits of few vectors are too many to tell by codes; FAISS is fast for so many queries.
_BATCH, _VECTORS_A_HIT = 200, 500
_HITS_AT_ONCE = 20_000_000  # of a search past ties: 12 bytes each


class DenseSearcher(VectorSearcher):
    """Search an index made here or by ``pyserini.index.faiss`` and ``pyserini.encode``.

    A large flat index is searched by 8-bit codes of its vectors and then by the vectors, with the
    hits and scores of FAISS but for the last digit. One without codes, as Pyserini makes, gets
    them in memory with the first batch of queries.

    Args:
        index_dir: Folder with ``index`` and ``docid``.
        encoder: Ours, or any object with Pyserini's ``encode(query)``.
        ef_search: HNSW's search breadth; None leaves FAISS's own.
        nprobe: IVF's lists to visit; None leaves FAISS's own.
        device: A GPU (``cuda``, ``cuda:1``) that is to hold the vectors of a flat index and search
            them; without one, and where they do not fit, the CPU searches.

    Raises:
        FileNotFoundError: There is no such folder.
        ArtifactError: It is no index, or damaged.
        MismatchError: The index was made with another encoder, or another one's settings.
        ValueError: ``ef_search`` or ``nprobe`` is not a parameter of this index, or there is no
            such device.
    """

    def __init__(
        self,
        index_dir: str | Path,
        encoder: QueryEncoder | BatchQueryEncoder,
        *,
        ef_search: int | None = None,
        nprobe: int | None = None,
        device: str | None = None,
    ) -> None:
        stored = open_index(Path(index_dir))
        dimension = getattr(encoder, "dimension", stored.faiss_index.d)
        stored.require_encoder(getattr(encoder, "identity", None), dimension)
        super().__init__(stored.path, encoder)
        self.index = stored.faiss_index
        self.docids = stored.docids
        self.num_docs = len(stored.docids)
        self.dimension = stored.faiss_index.d
        self._stored = stored
        self._flat: FlatIndex | None = None
        self._on_device = None if device is None else _open_on_device(stored, device)
        _set_parameter(stored, "efSearch", ef_search)
        _set_parameter(stored, "nprobe", nprobe)

    def _find(self, vectors: NDArray[np.float32], k: int, threads: int) -> Iterator[Found]:
        for scores, rows in self._search(np.ascontiguousarray(vectors, np.float32), k, threads):
            is_hit = rows >= 0  # FAISS fills up with -1
            own = rows[is_hit]
            yield Found(self._docids_of(own, len(vectors) * k), scores[is_hit], own)

    @cached_property
    def _packed(self) -> Packed | None:
        return pack(self.docids)

    def _docids_of(self, rows: NDArray[np.int64], num_hits: int) -> list[str] | Packed:
        """Give docids; packed where so many hits are asked for that all are worth packing once."""
        packed = self._packed if num_hits >= self.num_docs else None
        if packed is not None:
            return packed[rows]
        return [self.docids[row] for row in rows.tolist()]

    def _search(
        self, vectors: NDArray[np.float32], k: int, threads: int
    ) -> Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        if self._on_device is not None:
            return self._on_device.search(vectors, k, threads)
        is_deep = self.num_docs < _VECTORS_A_HIT * k
        if self._flat is None and self._is_worth_coding(len(vectors), is_deep=is_deep):
            self._flat = _open_flat(self._stored)
        if self._flat is not None and not (is_deep and len(vectors) >= _BATCH):
            return self._flat.search(vectors, k, threads)
        with faiss_threads(threads):
            return self._search_past_ties(vectors, k)

    def _is_worth_coding(self, num_queries: int, *, is_deep: bool) -> bool:
        """Say whether codes repay being made, or PyTorch being loaded, for so many queries."""
        if self.num_docs < LEAST_VECTORS:
            return False
        if self._stored.codes is not None and "torch" in sys.modules:
            return True
        return num_queries >= _QUERIES_TO_CODE and not is_deep

    def _search_past_ties(
        self, vectors: NDArray[np.float32], k: int
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Search deep enough that no document tied with the last hit is left out.

        Deeper and deeper for the queries that need it; the others' hits are there already.
        """
        depth = min(k + EXTRA_HITS, self.num_docs)
        found = list(zip(*self.index.search(vectors, depth), strict=True))
        places = np.arange(len(vectors))
        while depth < self.num_docs:
            is_cut = [_is_cut(*found[place], k) for place in places]
            places = places[np.array(is_cut, dtype=np.bool_)]
            if not len(places):
                break
            depth = min(2 * depth, self.num_docs)
            for part in np.array_split(places, -(-len(places) * depth // _HITS_AT_ONCE)):
                deeper = zip(*self.index.search(vectors[part], depth), strict=True)
                for place, hits in zip(part, deeper, strict=True):
                    found[place] = hits
        return found

    def _read_rows(self, rows: Sequence[int]) -> NDArray[np.float32]:
        import faiss

        numbers = np.array(rows, dtype=np.int64)
        if not len(numbers):
            return np.empty((0, self.dimension), dtype=np.float32)
        try:
            return self._reconstruct(numbers)
        except RuntimeError as err:
            kind = type(faiss.downcast_index(self.index)).__name__
            raise ValueError(
                f"{self.index_dir}: {kind} cannot give vectors back, which feedback (PRF) needs; "
                "index the vectors as Flat, HNSW32, SQfp16 or IVF256,Flat"
            ) from err

    def _reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
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


def _is_cut(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> bool:
    """Say whether documents tied with the last of k hits may be missing behind the last row."""
    return bool(rows[-1] >= 0 and scores[k - 1] == scores[-1])


def _open_flat(stored: StoredIndex) -> FlatIndex | None:
    """Give the search by codes for an index that is searched faster so; None for any other."""
    vectors = stored.flat_vectors
    if vectors is None or not can_code(stored.faiss_index.d):
        return None
    return FlatIndex(vectors, stored.codes)


def _open_on_device(stored: StoredIndex, device: str) -> "DeviceIndex | None":
    """Bring a flat index's vectors to a GPU; None where the CPU is to search.

    Raises:
        ValueError: There is no such device.
    """
    from ance_plugin.encode.device import choose_device

    chosen, vectors = choose_device(device), stored.flat_vectors
    if chosen.type != "cuda" or vectors is None:
        return None
    from ance_plugin.index.on_device import DeviceIndex

    try:
        return DeviceIndex(vectors, chosen)
    except ValueError as err:
        logger.warning("%s: %s; searching on the CPU", stored.path, err)
        return None


def _set_parameter(stored: StoredIndex, name: str, value: int | None) -> None:
    import faiss

    if value is None:
        return
    try:
        faiss.ParameterSpace().set_index_parameter(stored.faiss_index, name, value)
    except RuntimeError as err:
        kind = type(faiss.downcast_index(stored.faiss_index)).__name__
        raise ValueError(f"{stored.path}: {kind} has no parameter {name}") from err

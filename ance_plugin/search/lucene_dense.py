"""Dense search in a Lucene index of vectors, with Pyserini's ``search`` and ``batch_search``."""

import json
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts, jvm
from ance_plugin.errors import AnceError
from ance_plugin.index.lucene_vectors import FIELD, KIND, lengthen, to_dot_products
from ance_plugin.index.stored import check_encoder
from ance_plugin.search.bm25 import hit_serializer, java_list
from ance_plugin.search.vectors import (
    EXTRA_HITS,
    BatchQueryEncoder,
    Found,
    QueryEncoder,
    VectorSearcher,
)

EF_SEARCH = 100
_QUERIES_AT_ONCE = 64

type _Hits = list[dict[str, Any]]


class LuceneDenseSearcher(VectorSearcher):
    """Search an index that ``python -m ance_plugin.index lucene-flat`` or ``lucene-hnsw`` made.

    Scores are inner products. A Lucene search cannot return more hits than its breadth
    (``ef_search``), and Anserini's searchers then return fewer than were asked for; here the
    breadth is raised to the number of hits, and again where a graph gives fewer.

    Args:
        index_dir: The index folder.
        encoder: Ours, or any object with Pyserini's ``encode(query)``.
        ef_search: HNSW's search breadth at least; None is 100. A flat index has none.

    Raises:
        FileNotFoundError: There is no such folder.
        ArtifactError: It is no Lucene index of vectors made here, or damaged.
        MismatchError: The index was made with another encoder, or another one's settings.
        ValueError: ``ef_search`` was given for a flat index.
        JavaError: There is no usable Java.
    """

    def __init__(
        self,
        index_dir: str | Path,
        encoder: QueryEncoder | BatchQueryEncoder,
        *,
        ef_search: int | None = None,
    ) -> None:
        path = Path(index_dir)
        metadata = artifacts.open_sealed(path, KIND)
        self.dimension = metadata["dimension"]
        dimension = getattr(encoder, "dimension", self.dimension)
        identity = getattr(encoder, "identity", None)
        check_encoder(path, metadata, self.dimension, identity, dimension)
        if ef_search is not None and metadata["factory"] != "lucene-hnsw":
            raise ValueError(f"{path}: {metadata['factory']} has no parameter efSearch")
        super().__init__(path, encoder)
        self.num_docs = metadata["num_vectors"]
        self.ef_search = ef_search or EF_SEARCH
        self._max_norm: float | None = metadata["max_norm"]
        # Anserini's searcher for flat indexes is this one with its breadth fixed at 1,000.
        name = "io.anserini.search.HnswDenseSearcher"
        with jvm.BRIDGE:
            self._settings = jvm.autoclass(f"{name}$Args")()
            self._settings.index = str(path)
            self._searcher = jvm.autoclass(name)(self._settings)
            self._serializer = hit_serializer()
        self._lock = threading.Lock()  # a search reads its breadth from the settings

    def _find(self, vectors: NDArray[np.float32], k: int, threads: int) -> Iterator[Found]:
        queries = lengthen(vectors, self._max_norm, are_queries=True)
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            part = [json.dumps(row) for row in queries[first : first + _QUERIES_AT_ONCE].tolist()]
            for hits in self._search_past_ties(part, k, threads):
                scores = to_dot_products([hit["score"] for hit in hits])
                rows = [hit["lucene_docid"] for hit in hits]
                yield Found([hit["docid"] for hit in hits], scores, rows)

    def _read_rows(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Read vectors back, without the number that an HNSW graph's have more."""
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)
        for place, row in enumerate(rows):
            start, values = self._segments[bisect_right(self._starts, row) - 1]
            vectors[place] = values.vectorValue(row - start)[: self.dimension]
        return vectors

    @cached_property
    def _segments(self) -> list[tuple[int, Any]]:
        """Each segment's first row and its vectors, in which every document has one."""
        fields = jvm.autoclass("org.apache.commons.lang3.reflect.FieldUtils")
        leaves = fields.readField(self._searcher, "reader", True).leaves()
        found = [leaves.get(number) for number in range(leaves.size())]
        return [(leaf.docBase, leaf.reader().getFloatVectorValues(FIELD)) for leaf in found]

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _ in self._segments]

    def _search_past_ties(self, queries: Sequence[str], k: int, threads: int) -> list[_Hits]:
        """Search deep enough for k hits, and that none tied with the last is left out."""
        depth = min(k + EXTRA_HITS, self.num_docs)
        breadth = max(depth, self.ef_search)
        while True:
            found = self._search(queries, depth, breadth, threads)
            is_short = any(len(hits) < depth for hits in found)
            is_cut = depth < self.num_docs and any(
                hits[min(k, len(hits)) - 1]["score"] == hits[-1]["score"] for hits in found if hits
            )
            if not (is_cut or (is_short and breadth < self.num_docs)):
                return found
            depth = min(2 * depth, self.num_docs) if is_cut else depth
            breadth = max(depth, min(2 * breadth, self.num_docs))

    def _search(
        self, queries: Sequence[str], depth: int, breadth: int, threads: int
    ) -> list[_Hits]:
        keys = [str(place) for place in range(len(queries))]
        lists = java_list(queries), java_list(keys)  # before the method is taken, see BRIDGE
        with self._lock:
            self._settings.efSearch = breadth
            result = self._searcher.batch_search(*lists, depth, threads)
        found = json.loads(self._serializer.writeValueAsString(result))
        missing = len(keys) - len(found)
        if missing:  # Anserini drops a query that failed, without its exception
            raise AnceError(f"{self.index_dir}: Lucene failed on {missing} of {len(keys)} queries")
        return [found[key] for key in keys]

"""Hybrid search: a dense and a sparse searcher, their hits fused as run files are."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ance_plugin.fusion.fuse import check_lists, fuse, fuse_hits
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.packed_hits import PackedHits
from ance_plugin.progress import track
from ance_plugin.ranking import rank
from ance_plugin.records import Hit, Run, no_collection
from ance_plugin.search.vectors import split_evenly


class Searcher(Protocol):
    """What both sides must offer; ours and Pyserini's searchers do.

    One that returns ``Hit``s must have them from ``ranking.rank``; others are ranked here.
    """

    def search(self, query: str, k: int, /) -> Sequence[Any]:
        """Return hits with ``docid`` and ``score``."""
        ...

    def batch_search(
        self, queries: list[str], qids: list[str], k: int, threads: int, /
    ) -> Mapping[str, Sequence[Any]]:
        """Return hits for each qid."""
        ...


class HybridSearcher:
    """Fuse what a sparse and a dense searcher find, with the result fusing their runs would have.

    Args:
        dense: ``DenseSearcher`` or Pyserini's ``FaissSearcher``.
        sparse: ``Bm25Searcher`` or Pyserini's ``LuceneSearcher``.
        params: How to fuse; its ``depth`` is the number of hits taken from each side. None is RRF.
    """

    def __init__(
        self, dense: Searcher, sparse: Searcher, params: FusionParams | None = None
    ) -> None:
        self.dense = dense
        self.sparse = sparse
        self.params = params or FusionParams()

    def search(self, query: str, k: int = 10) -> list[Hit]:
        """Search both sides for one query and fuse their hits; at most ``k``, best first."""
        sides = (self.sparse, self.dense)
        depth = self.params.depth
        return list(fuse_hits([_hits(side.search(query, depth)) for side in sides], self.params, k))

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1
    ) -> Run:
        """Search both sides for several queries and fuse their hits, some hundred at a time.

        Args:
            queries: The texts.
            qids: Their ids, one each, no two the same.
            k: Hits at most for each query, at least 1.
            threads: Threads that each side searches with.

        Returns:
            qid -> hits, best first, in the order of ``qids``.

        Raises:
            ValueError: ``k`` is below 1, or lengths differ.
        """
        queries, qids = list(queries), list(qids)
        if len(queries) != len(qids):
            raise ValueError(f"{len(queries)} queries but {len(qids)} qids")
        check_lists(2, self.params, k)
        run: dict[str, Sequence[Hit]] = {}
        parts = split_evenly(len(qids))
        with no_collection():
            for part in track(parts, what="hybrid", total=len(parts)):
                run |= self._search_part(queries[part], qids[part], k, threads)
        return run

    def _search_part(self, queries: list[str], qids: list[str], k: int, threads: int) -> Run:
        runs: list[Run] = []
        for side in (self.sparse, self.dense):
            found = side.batch_search(queries, qids, self.params.depth, threads)
            runs.append({qid: _hits(found.get(qid, ())) for qid in qids})
        return fuse(runs, self.params, k)


def _hits(found: Sequence[Any]) -> Sequence[Hit]:
    """Take docids and scores from anybody's hits; ours are as ``rank`` makes them already."""
    if isinstance(found, PackedHits):
        return found
    if isinstance(found, list) and found and type(found[0]) is Hit:
        return found
    return rank([hit.docid for hit in found], [hit.score for hit in found])

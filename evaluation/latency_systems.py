"""The systems whose queries are timed, made of the package's own searchers, stage by stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ance_plugin.fusion.fuse import fuse
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.records import Document, Hit, Run

if TYPE_CHECKING:
    from ance_plugin.rerank.cross_encoder import CrossEncoder
    from ance_plugin.search.bm25 import Bm25Searcher
    from ance_plugin.search.vectors import VectorSearcher
    from evaluation.stopwatch import Stopwatch


class System(Protocol):
    """What answers queries; ``name`` is the tag of the run that our commands make with it."""

    @property
    def name(self) -> str:
        """Of the system; several depths share it."""
        ...

    @property
    def depth(self) -> int | None:
        """Documents a query that are reranked; None without reranking."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what it keeps in memory."""
        ...

    def answer(self, queries: Sequence[str], stopwatch: "Stopwatch") -> Sequence[Sequence[Hit]]:
        """Answer queries, hits best first, and time the stages."""
        ...


@dataclass(frozen=True, slots=True)
class Bm25:
    """BM25 alone: Lucene analyses and searches in one stage."""

    searcher: "Bm25Searcher"
    k: int
    threads: int = 1
    name: str = "bm25"
    depth: int | None = None
    parts: tuple[str, ...] = ("sparse index",)

    def answer(self, queries: Sequence[str], stopwatch: "Stopwatch") -> Sequence[Sequence[Hit]]:
        """Search the Lucene index."""
        return search_bm25(self.searcher, queries, self.k, self.threads, stopwatch)


@dataclass(frozen=True, slots=True)
class Dense:
    """Dense search: queries to tokens, tokens to vectors, vectors to hits."""

    searcher: "VectorSearcher"
    k: int
    threads: int = 1
    name: str = "dense"
    depth: int | None = None
    parts: tuple[str, ...] = ("encoder and dense index",)

    def answer(self, queries: Sequence[str], stopwatch: "Stopwatch") -> Sequence[Sequence[Hit]]:
        """Encode the queries and search the index."""
        encoder: Any = self.searcher.encoder
        with stopwatch.stage("tokenise query"):
            rows = encoder.tokenize_queries(queries)
        with stopwatch.stage("encode query"):
            vectors = encoder.encode_tokens(rows)
        with stopwatch.stage("dense search"):
            return self.searcher.search_vectors(vectors, self.k, threads=self.threads)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """BM25 and dense search one after the other, then fused."""

    sparse: Bm25
    dense: Dense
    params: FusionParams
    k: int
    depth: int | None = None
    parts: tuple[str, ...] = ("sparse index", "encoder and dense index")

    @property
    def name(self) -> str:
        """Of the system."""
        return f"hybrid-{self.params.method}"

    def answer(self, queries: Sequence[str], stopwatch: "Stopwatch") -> Sequence[Sequence[Hit]]:
        """Search both sides, then fuse."""
        sides = [side.answer(queries, stopwatch) for side in (self.sparse, self.dense)]
        with stopwatch.stage("fuse"):
            runs: list[Run] = [
                {str(place): hits for place, hits in enumerate(side)} for side in sides
            ]
            return list(fuse(runs, self.params, self.k).values())


@dataclass(frozen=True, slots=True)
class Rerank:
    """BM25, whose first hits a cross-encoder scores again; texts are in memory."""

    searcher: "Bm25Searcher"
    model: "CrossEncoder"
    documents: Mapping[str, Document]
    depth: int
    threads: int = 1
    name: str = "bm25-rerank"
    parts: tuple[str, ...] = ("sparse index", "reranker", "texts")

    def answer(self, queries: Sequence[str], stopwatch: "Stopwatch") -> Sequence[Sequence[Hit]]:
        """Search, score the pairs of all queries together, and put the hits in order."""
        from ance_plugin.rerank.reranker import merge

        found = search_bm25(self.searcher, queries, self.depth, self.threads, stopwatch)
        with stopwatch.stage("fetch texts"):
            texts = [self.documents[hit.docid] for hits in found for hit in hits]
            asked = [query for query, hits in zip(queries, found, strict=True) for _ in hits]
        with stopwatch.stage("tokenise pairs"):
            pairs, _ = self.model.make_pairs(asked, texts)
        with stopwatch.stage("rerank"):
            scores = iter(self.model.score_pairs(pairs).tolist())
        with stopwatch.stage("sort"):
            return [merge(hits, [next(scores) for _ in hits]) for hits in found]


def search_bm25(
    searcher: "Bm25Searcher",
    queries: Sequence[str],
    k: int,
    threads: int,
    stopwatch: "Stopwatch",
) -> Sequence[Sequence[Hit]]:
    """Search a Lucene index; the stage is called ``bm25``.

    Args:
        searcher: Of the index.
        queries: What to search for.
        k: Hits a query.
        threads: Java's.
        stopwatch: Times it.

    Returns:
        Hits of each query.
    """
    with stopwatch.stage("bm25"):
        qids = [str(place) for place in range(len(queries))]
        return list(searcher.batch_search(queries, qids, k, threads).values())

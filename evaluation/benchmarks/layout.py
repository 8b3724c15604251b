"""The stages of a benchmark's systems: which command, with which flags, reading what.

bm25-index ─► bm25 ───────┬─► rrf, interpolation ─► rerank
vectors ─► index ─► dense ┘          ▲
             the same two on the tuning topics ─► tuned
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ance_plugin.fusion.methods import DEFAULT_DEPTH, DEFAULT_RRF_K
from evaluation.benchmarks.inputs import Inputs, JudgedTopics
from evaluation.benchmarks.models import Computing, Model
from evaluation.benchmarks.stages import Stage
from evaluation.benchmarks.table import Benchmark

KINDS = ("bm25", "dense", "rrf", "interpolation", "bm25-rerank", "dense-rerank", "rrf-rerank")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the systems of a benchmark are made.

    Attributes:
        kinds: Which systems, of ``KINDS``; None is all that can be made, but for ``rrf-rerank``.
        k1: BM25's term saturation.
        b: BM25's length normalisation.
        factory: Of the FAISS index.
        rerank_depth: Documents a topic that the cross-encoder scores.
        rrf_k: The constant of RRF.
        fusion_depth: Hits that fusion reads of each run.
        threads: Of indexing and searching; they decide no result.
        computing: Where models compute.
    """

    kinds: tuple[str, ...] | None = None
    k1: float = 0.9
    b: float = 0.4
    factory: str = "Flat"
    rerank_depth: int = 100
    rrf_k: int = int(DEFAULT_RRF_K)
    fusion_depth: int = DEFAULT_DEPTH
    threads: int = 2
    computing: Computing = field(default_factory=Computing)

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown system."""
        unknown = sorted(set(self.kinds or ()) - set(KINDS))
        if unknown:
            raise ValueError(f"system {unknown[0]!r} is unknown; there are {', '.join(KINDS)}")


@dataclass(frozen=True)
class Layout:
    """Lays out stages; asked the same twice, it gives equal ones.

    Attributes:
        benchmark: What is judged.
        inputs: What was read of it.
        settings: How systems are made.
        artifacts: The folder in which everything stands.
    """

    benchmark: Benchmark
    inputs: Inputs
    settings: Settings
    artifacts: Path

    def bm25(self, topics: JudgedTopics) -> Stage:
        """Lay out the Lucene index and its run."""
        settings, hits = self.settings, self.benchmark.depth
        threads = ("--threads", str(settings.threads))
        index = Stage(
            name="bm25-index",
            folder=self.artifacts,
            module="ance_plugin.index bm25",
            words=("--collection", self.inputs.collection, *threads),
            settings={"collection": self._collection()},
            kind="bm25-index",
            needs_java=True,
        )
        bm25 = ("--k1", str(settings.k1), "--b", str(settings.b), *self._removal)
        return self._run(
            "bm25",
            topics,
            "ance_plugin.search",
            ("--sparse-index", str(index.output), *bm25, "--hits", str(hits), *threads),
            {"k1": settings.k1, "b": settings.b, "hits": hits, "removal": self._removal},
            (index,),
            needs_java=True,
        )

    def dense(self, topics: JudgedTopics, encoder: Model) -> Stage:
        """Lay out vectors, their index and its run."""
        maxp, hits = self.benchmark.maxp, self.benchmark.depth
        threads = ("--threads", str(self.settings.threads))
        computing = (*("--encoder", encoder.checkpoint), *self.settings.computing.words)
        vectors = Stage(
            name=f"{encoder.name}-vectors",
            folder=self.artifacts,
            module="ance_plugin.encode",
            words=(
                *("--collection", self.inputs.collection, *computing),
                *(("--maxp", maxp) if maxp else ()),
            ),
            settings={"collection": self._collection(), "encoder": encoder.identity, "maxp": maxp},
            kind="vectors",
        )
        index = Stage(
            name=f"{encoder.name}-index",
            folder=self.artifacts,
            module="ance_plugin.index dense",
            words=("--vectors", str(vectors.output), "--factory", self.settings.factory),
            settings={"factory": self.settings.factory},
            inputs=(vectors,),
            kind="dense-index",
        )
        # Of four chunks a document, four times the hits hold enough documents.
        depth = ("--hits", str(4 * hits if maxp else hits))
        passages = ("--max-passage", "--max-passage-hits", str(hits)) if maxp else ()
        passages = (*passages, *self._removal)
        return self._run(
            encoder.name,
            topics,
            "ance_plugin.search",
            ("--index", str(index.output), *computing, *depth, *passages, *threads),
            {"encoder": encoder.identity, "hits": hits, "maxp": maxp, "removal": self._removal},
            (index,),
        )

    @property
    def _removal(self) -> tuple[str, ...]:
        return ("--remove-query",) if self.benchmark.removes_query else ()

    def rrf(self, sparse: Stage, dense: Stage, encoder: Model) -> Stage:
        """Lay out the fusion by reciprocal ranks."""
        rrf_k, depth = self.settings.rrf_k, self.settings.fusion_depth
        method = ("--method", "rrf", "--rrf-k", str(rrf_k), "--depth", str(depth))
        decisive = {"method": "rrf", "rrf_k": rrf_k, "depth": depth}
        return self._fused(f"{encoder.name}-rrf", (sparse, dense), method, decisive, ())

    def interpolated(
        self, sparse: Stage, dense: Stage, encoder: Model, tuning: JudgedTopics
    ) -> Stage:
        """Lay out the fusion by weights that are tuned on other topics."""
        name, depth = f"{encoder.name}-interpolation", self.settings.fusion_depth
        measure = self.benchmark.tuning.measure if self.benchmark.tuning else ""
        runs = (self.bm25(tuning), self.dense(tuning, encoder))
        tune = Stage(
            name=f"{name}-tuned",
            folder=self._folder(tuning),
            module="ance_plugin.fusion tune",
            words=(
                *("--runs", *(str(run.output) for run in runs), "--qrels", tuning.qrels),
                *("--method", "interpolation", "--measure", measure, "--depth", str(depth)),
            ),
            settings={"qrels": tuning.qrels_sha256, "measure": measure, "depth": depth},
            inputs=runs,
            suffix=".json",
        )
        words = ("--params", str(tune.output))
        return self._fused(name, (sparse, dense), words, {"method": "interpolation"}, (tune,))

    def _fused(
        self,
        name: str,
        runs: tuple[Stage, Stage],
        words: tuple[str, ...],
        decisive: dict[str, Any],
        others: tuple[Stage, ...],
    ) -> Stage:
        hits = self.benchmark.depth
        paths = ("--runs", *(str(run.output) for run in runs))
        return Stage(
            name=name,
            folder=self._folder(self.inputs.test),
            module="ance_plugin.fusion",
            words=(*paths, *words, "--hits", str(hits), "--tag", name),
            settings={**decisive, "hits": hits},
            inputs=(*runs, *others),
        )

    def reranked(self, first: Stage, reranker: Model) -> Stage:
        """Lay out the run of the cross-encoder over the first hits of another."""
        depth = self.settings.rerank_depth
        return self._run(
            f"{first.name}-{reranker.name}",
            self.inputs.test,
            "ance_plugin.rerank",
            (
                *("--run", str(first.output), "--collection", self.inputs.collection),
                *("--model", reranker.checkpoint, "--depth", str(depth)),
                *self.settings.computing.words,
            ),
            {"model": reranker.identity, "depth": depth, "collection": self._collection()},
            (first,),
        )

    def _run(
        self,
        name: str,
        topics: JudgedTopics,
        module: str,
        words: tuple[str, ...],
        decisive: dict[str, Any],
        inputs: tuple[Stage, ...],
        *,
        needs_java: bool = False,
    ) -> Stage:
        return Stage(
            name=name if topics is self.inputs.test else f"tuning-{name}",
            folder=self._folder(topics),
            module=module,
            words=("--topics", topics.name, *words, "--tag", name),
            settings={**decisive, "topics": topics.topics_sha256},
            inputs=inputs,
            needs_java=needs_java,
        )

    def _folder(self, topics: JudgedTopics) -> Path:
        return self.artifacts / f"runs-{topics.topics_sha256[:10]}"

    def _collection(self) -> dict[str, Any]:
        found = self.inputs.fingerprint
        return {"sha256": found.sha256, "num_documents": found.num_documents}

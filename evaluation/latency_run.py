"""From indexes and models to a latency report: load, warm up, measure, sum up."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ance_plugin.errors import FormatError
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.topics import read_topics
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.rerank.sources import find_documents
from ance_plugin.version import describe_versions
from evaluation import latency_costs, latency_summary
from evaluation.latency import Settings, measure
from evaluation.latency_systems import Bm25, Dense, Hybrid, Rerank, System

if TYPE_CHECKING:
    from ance_plugin.records import Document, Run
    from ance_plugin.rerank.cross_encoder import CrossEncoder
    from ance_plugin.search.bm25 import Bm25Searcher
    from ance_plugin.search.vectors import VectorSearcher

logger = logging.getLogger(__name__)

_PACKAGES = ("torch", "transformers", "faiss-cpu", "pyserini")


@dataclass(frozen=True, slots=True)
class Request:
    """What is timed: topics, indexes and models, each None where it is left out.

    Attributes:
        topics: A file or an id.
        num_topics: How many of them are drawn.
        collection: Of the texts that are reranked and encoded.
        sparse_index: A Lucene index.
        reranker: A cross-encoder.
        depths: Hits that it scores again.
        hits: Of the other systems.
        threads: Of PyTorch, FAISS and Lucene; None is PyTorch's own number.
        device: Of both models.
        precision: Of both models.
        num_sample_documents: Encoded for the offline cost; 0 is none.
        open_dense: Opens the dense index with its encoder.
        command: For the report.
    """

    topics: str
    num_topics: int
    collection: str | None
    sparse_index: str | None
    reranker: str | None
    depths: tuple[int, ...]
    hits: int
    threads: int | None
    device: str | None
    precision: str | None
    num_sample_documents: int
    open_dense: "Callable[[], VectorSearcher] | None"
    command: str


@dataclass(frozen=True, slots=True)
class _Parts:
    """What was loaded; None where it was not asked for."""

    sparse: "Bm25Searcher | None"
    dense: "VectorSearcher | None"
    reranker: "CrossEncoder | None"
    documents: "Mapping[str, Document]"


def run_latency(request: Request, settings: Settings) -> dict[str, Any]:
    """Load what is asked for, time it, and sum it up.

    Args:
        request: What to time.
        settings: How.

    Returns:
        The report, as ``latency.json`` has it.

    Raises:
        FormatError: There are no topics.
    """
    import torch

    if request.threads is not None:
        torch.set_num_threads(request.threads)
    threads = torch.get_num_threads()
    loads = [latency_costs.load_average()]
    queries = draw_queries(request.topics, request.num_topics, seed=settings.seed)
    memory = latency_costs.Memory()
    parts = _load(request, queries, memory)
    systems = make_systems(request, parts.sparse, parts.dense, parts.reranker, parts.documents)
    measured = measure(systems, queries, settings)
    offline = _measure_offline(request, parts, seed=settings.seed)
    loads.append(latency_costs.load_average())
    sizes = {(one.name, one.depth): memory.of(one.parts) for one in systems}
    machine = latency_costs.describe_machine(threads=threads)
    return {
        "command": request.command,
        "date": datetime.now(UTC).date().isoformat(),
        "topics": request.topics,
        "num_topics": len(queries),
        "hits_text": f"{request.hits} hits",
        "systems": [
            latency_summary.summarise(one, memory_bytes=sizes[one.system, one.depth])
            for one in measured
            if one.samples
        ],
        "ratios": latency_summary.compare_to_reranking(measured, seed=settings.seed),
        "offline": offline,
        "memory_bytes": memory.parts,
        "peak_memory_bytes": latency_costs.peak_bytes(),
        "models": _describe_models(parts),
        "machine": {**machine, "load_average": loads},
        "versions": describe_versions(*_PACKAGES),
        "published": latency_summary.PUBLISHED,
        "notes": latency_summary.find_notes(measured, loads, machine["num_cores"]),
    }


def draw_queries(topics: str, num_topics: int, *, seed: int) -> list[str]:
    """Draw some topics, in an order at random.

    Args:
        topics: A file or an id.
        num_topics: How many; all where there are fewer.
        seed: Of the draw.

    Returns:
        Their texts.

    Raises:
        FormatError: There are none.
    """
    texts = [topic.text for topic in read_topics(topics)]
    if not texts:
        raise FormatError(f"{topics}: has no topics")
    order = np.random.default_rng(seed).permutation(len(texts))
    return [texts[place] for place in order[:num_topics]]


def make_systems(
    request: Request,
    sparse: "Bm25Searcher | None",
    dense: "VectorSearcher | None",
    reranker: "CrossEncoder | None",
    documents: "Mapping[str, Document]",
) -> list[System]:
    """Make every system that the parts allow.

    Args:
        request: Hits, depths and threads.
        sparse: BM25.
        dense: Index and encoder.
        reranker: The cross-encoder.
        documents: docid -> what it reads.
    """
    import torch

    threads = torch.get_num_threads()
    systems: list[System] = []
    bm25 = None if sparse is None else Bm25(sparse, request.hits, threads)
    vectors = None if dense is None else Dense(dense, request.hits, threads)
    systems += [one for one in (bm25, vectors) if one is not None]
    if bm25 is not None and vectors is not None:
        systems.append(Hybrid(bm25, vectors, FusionParams(), request.hits))
    if sparse is not None and reranker is not None:
        systems += [Rerank(sparse, reranker, documents, depth, threads) for depth in request.depths]
    return systems


def _load(request: Request, queries: Sequence[str], memory: latency_costs.Memory) -> _Parts:
    """Load each part and use it once, so that what it allocates then is counted as its own."""
    collection = Collection(request.collection) if request.collection else None
    sparse = None
    run: Run = {}
    if request.sparse_index is not None:
        with memory.load("sparse index"):
            sparse = _open_sparse(request.sparse_index)
            qids = [str(place) for place in range(len(queries))]
            run = sparse.batch_search(queries, qids, max(request.depths))
    dense = None
    if request.open_dense is not None:
        with memory.load("encoder and dense index"):
            dense = request.open_dense()
            dense.search(queries[0], request.hits)
    if request.reranker is None or collection is None:
        return _Parts(sparse, dense, None, {})
    with memory.load("texts"):
        documents = find_documents(
            run, collection, depth=max(request.depths), source=request.collection
        )
    if not documents:
        raise FormatError(f"{request.sparse_index}: no topic of {request.topics} has hits")
    with memory.load("reranker"):
        reranker = _open_reranker(request)
        reranker.score([queries[0]], [next(iter(documents.values()))])
    return _Parts(sparse, dense, reranker, documents)


def _open_sparse(index: str) -> "Bm25Searcher":
    from ance_plugin.index.prebuilt import resolve_index
    from ance_plugin.search.bm25 import Bm25Searcher

    return Bm25Searcher(resolve_index(index, "bm25"))


def _open_reranker(request: Request) -> "CrossEncoder":
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    return CrossEncoder.load(
        str(request.reranker), device=request.device, precision=request.precision
    )


def _measure_offline(request: Request, parts: _Parts, *, seed: int) -> dict[str, Any]:
    offline: dict[str, Any] = {}
    if parts.dense is not None and request.collection and request.num_sample_documents:
        encoder: Any = parts.dense.encoder
        offline["encode"] = latency_costs.time_encoding(
            encoder, Collection(request.collection), request.num_sample_documents, seed=seed
        )
    for name, searcher in (("sparse index", parts.sparse), ("dense index", parts.dense)):
        if searcher is not None:
            offline[name] = latency_costs.read_index_seconds(searcher.index_dir)
    return offline


def _describe_models(parts: _Parts) -> dict[str, Any]:
    models: dict[str, Any] = {}
    if parts.dense is not None:
        encoder: Any = parts.dense.encoder
        models["encoder"] = _describe_model(encoder)
    if parts.reranker is not None:
        models["reranker"] = _describe_model(parts.reranker)
        models["reranker"]["max_length"] = parts.reranker.max_length
    return models


def _describe_model(model: Any) -> dict[str, Any]:  # noqa: ANN401 - Encoder or CrossEncoder
    return {"name": model.name, "precision": model.precision, "device": str(model.device)}

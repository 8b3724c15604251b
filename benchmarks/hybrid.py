"""Hybrid search of many topics: BM25 and dense, fused by interpolation, ours against Pyserini.

    python benchmarks/hybrid.py --topics T --collection C --sparse-index DIR
        [--vectors 100000] [--hits 1000] [--threads 2] [--stock-topics 300] [--repeats 3]

Ours is ``HybridSearcher.batch_search`` of all topics, as our search command calls it, stock is
``pyserini.search.hybrid.HybridSearcher.batch_search`` of ``--stock-topics`` of them, evenly from
the whole, as it is slow and holds all hits in Java. Both read one Lucene index, made of the
collection, and one flat index: a drawn vector for each of its documents, and as many more as
``--vectors`` asks for. Queries have drawn vectors too, so nothing is encoded. Ratios are of the
time a topic. ``same`` is the share of stock's hits that ours are, topics that both have searched.
The parts are measured after the whole, on the topics that stock searches.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from turns import Seconds, median, take_turns, write_table
from vectors_like_texts import TextLikeVectors, write_vectors

_ALPHA = 0.1
type Topics = tuple[list[str], list[str]]  # texts and qids


class DrawnQueries:
    """An encoder for both: each known text has its vector."""

    def __init__(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def encode(self, query: str) -> NDArray[np.float32]:
        """Give a query's vector, shape (d,)."""
        return self._vectors[query]


def main() -> int:
    """Build the flat index, search in both ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--topics", required=True, help="what our search takes")
    parser.add_argument("--collection", required=True, help="what the sparse index is made of")
    parser.add_argument("--sparse-index", required=True)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--hits", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stock-topics", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    from ance_plugin import jvm
    from ance_plugin.formats.topics import read_topics

    jvm.start()
    torch.set_num_threads(args.threads)
    topics = read_topics(args.topics)
    every = [topic.text for topic in topics], [topic.qid for topic in topics]
    step = max(1, len(topics) // args.stock_topics)
    some = every[0][::step][: args.stock_topics], every[1][::step][: args.stock_topics]
    drawn = TextLikeVectors()
    encoder = DrawnQueries(every[0], drawn.queries(len(topics)))
    with tempfile.TemporaryDirectory() as name:
        ours, stock = _open(_build(Path(name), drawn, args), encoder, args)
        whole = {"stock": partial(stock["hybrid"], some), "ours": partial(ours["hybrid"], every)}
        rows = [_row("whole", take_turns(whole, args.repeats), len(some[0]), len(every[0]))]
        for part in ("bm25", "dense", "hybrid"):
            ways = {"stock": partial(stock[part], some), "ours": partial(ours[part], some)}
            taken = take_turns(ways, args.repeats)
            rows.append(_row(f"{part}, {len(some[0])} topics", taken, len(some[0]), len(some[0])))
        same = _share_same(stock["hybrid"](some), ours["hybrid"](some))
    sys.stdout.write(
        f"{len(every[0]):,} topics (stock: {len(some[0]):,}), {args.hits} hits, "
        f"{args.threads} threads; ms a topic; same hits: {same:.4f}\n\n"
    )
    write_table(
        ("what", "Pyserini", "ours", "ratio", "CPU: Pyserini", "ours", "ratio", "topics/s, ours"),
        rows,
    )
    return 0


def _build(folder: Path, drawn: TextLikeVectors, args: argparse.Namespace) -> Path:
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index

    docids = [document.docid for document in Collection(args.collection)]
    write_vectors(folder / "vectors", drawn, max(args.vectors, len(docids)), docids)
    build_dense_index(Vectors(folder / "vectors"), folder / "index", threads=args.threads)
    return folder / "index"


def _open(
    index: Path, encoder: DrawnQueries, args: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Open both indexes in both ways; each gives the three searches by name."""
    from pyserini.search.faiss import FaissSearcher
    from pyserini.search.hybrid import HybridSearcher as StockHybrid
    from pyserini.search.lucene import LuceneSearcher

    from ance_plugin.fusion.methods import FusionParams
    from ance_plugin.search.bm25 import Bm25Searcher
    from ance_plugin.search.dense import DenseSearcher
    from ance_plugin.search.hybrid import HybridSearcher

    lucene = LuceneSearcher(args.sparse_index)
    lucene.set_bm25(0.9, 0.4)
    flat = FaissSearcher(str(index), encoder)
    both = StockHybrid(flat, lucene)
    k, threads = args.hits, args.threads
    stock: dict[str, Callable[[Topics], Any]] = {
        "bm25": lambda topics: lucene.batch_search(*topics, k=k, threads=threads),
        "dense": lambda topics: flat.batch_search(*topics, k=k, threads=threads),
        "hybrid": lambda topics: both.batch_search(
            *topics, k0=k, k=k, threads=threads, alpha=_ALPHA
        ),
    }
    params = FusionParams("interpolation", depth=k, numbers={"alpha": _ALPHA})
    sparse, dense = Bm25Searcher(args.sparse_index), DenseSearcher(index, encoder)
    hybrid = HybridSearcher(dense, sparse, params)
    searchers = {"bm25": sparse, "dense": dense, "hybrid": hybrid}
    ours = {
        name: lambda topics, one=one: one.batch_search(*topics, k, threads)
        for name, one in searchers.items()
    }
    return ours, stock


def _row(what: str, taken: dict[str, list[Seconds]], num_stock: int, num_ours: int) -> list[str]:
    stock, ours = median(taken["stock"]), median(taken["ours"])
    wall, cpu = (
        (getattr(stock, clock) * 1e3 / num_stock, getattr(ours, clock) * 1e3 / num_ours)
        for clock in ("wall", "cpu")
    )
    cells = [f"{n:.1f}" for a, b in (wall, cpu) for n in (a, b, a / b)]
    return [what, *cells, f"{1e3 / wall[1]:.0f}"]


def _share_same(stock: Any, ours: Any) -> float:  # noqa: ANN401 - runs of both kinds
    shares = [
        len({hit.docid for hit in stock[qid]} & {hit.docid for hit in hits}) / max(len(hits), 1)
        for qid, hits in ours.items()
    ]
    return float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(main())

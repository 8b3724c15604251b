"""One query at a time, from its text to its hits: ours against stock Pyserini.

    python benchmarks/single_query.py --topics queries.tsv [--sizes 100000] [--queries 200]
        [--hits 100] [--threads 2]

Stock is ``FaissSearcher.search`` with ``AnceQueryEncoder``, ours is ``DenseSearcher.search`` in
both precisions; the encoder is RoBERTa-base with ANCE's head and random weights, and both search
the same folder, a flat index of vectors that lie as those of texts do. Ways take turns every 20
queries; all see all queries, after a first few that are not counted. ``encode`` and ``search`` are
the halves of the same calls, measured after them. 1M vectors: ``--sizes 1000000``.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from itertools import batched, islice
from pathlib import Path
from typing import Any

from stock_ance import write_ance
from turns import Seconds, median, quantile, timed, write_table
from vectors_like_texts import TextLikeVectors, write_vectors

_QUERIES_A_TURN = 20
_WARM_UP = 5


def main() -> int:
    """Build the indexes, search each in all ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--topics", required=True, help="what our search takes")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--queries", type=int, default=200, help="evenly from the topics")
    parser.add_argument("--hits", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    from ance_plugin import jvm
    from ance_plugin.formats.topics import read_topics

    jvm.start()
    torch.set_num_threads(args.threads)
    texts = [topic.text for topic in read_topics(args.topics)]
    step = max(1, len(texts) // args.queries)
    queries = list(islice(texts, 0, step * args.queries, step))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ance(folder / "ance", texts)
        for size in args.sizes:
            index = _build(folder, size, args.threads)
            rows += _compare(f"{size:,}", _open(folder / "ance", index, args), queries)
    sys.stdout.write(f"{len(queries)} queries, top {args.hits}, {args.threads} threads; ms\n\n")
    write_table(
        ("vectors", "way", "p50", "ratio", "p99", "ratio", "CPU p50", "ratio", "encode", "search"),
        rows,
    )
    return 0


def _build(folder: Path, size: int, threads: int) -> Path:
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index

    vectors, index = folder / f"vectors-{size}", folder / f"index-{size}"
    write_vectors(vectors, TextLikeVectors(), size)
    build_dense_index(Vectors(vectors), index, threads=threads)
    return index


def _open(checkpoint: Path, index: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Open the index in each way; each gives (encode, search by text or vector)."""
    from pyserini.encode import AnceQueryEncoder
    from pyserini.search.faiss import FaissSearcher

    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.search.dense import DenseSearcher

    searchers: dict[str, Any] = {
        "Pyserini": FaissSearcher(str(index), AnceQueryEncoder(str(checkpoint), device="cpu"))
    }
    for precision in ("fp32", "bf16"):
        encoder = Encoder.load(str(checkpoint), device="cpu", precision=precision)
        searchers[f"ours, {precision}"] = DenseSearcher(index, encoder)

    def search_with(searcher: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - ours or Pyserini's
        return lambda query: searcher.search(query, args.hits, threads=args.threads)

    return {
        name: (getattr(one, "query_encoder", None) or one.encoder, search_with(one))
        for name, one in searchers.items()
    }


def _compare(size: str, ways: dict[str, Any], queries: Sequence[str]) -> list[list[str]]:
    """Time all ways on all queries, and give their rows of the table."""
    whole = _time_all({name: search for name, (_, search) in ways.items()}, queries)
    encode = _time_all({name: encoder.encode for name, (encoder, _) in ways.items()}, queries)
    vectors = [ways["Pyserini"][0].encode(query)[None] for query in queries]
    search = _time_all({name: search for name, (_, search) in ways.items()}, vectors)
    rows = []
    base_50, base_99 = median(whole["Pyserini"]), quantile(whole["Pyserini"], 0.99)
    for name, taken in whole.items():
        p50, p99 = median(taken), quantile(taken, 0.99)
        numbers = [p50.wall, base_50.wall / p50.wall, p99.wall, base_99.wall / p99.wall]
        numbers += [p50.cpu, base_50.cpu / p50.cpu]
        cells = [f"{n:.1f}" if at % 2 else f"{n * 1e3:.1f}" for at, n in enumerate(numbers)]
        halves = [f"{median(half[name]).wall * 1e3:.1f}" for half in (encode, search)]
        rows.append([size, name, *cells, *halves])
    return rows


def _time_all(
    ways: dict[str, Callable[[Any], object]], inputs: Sequence[Any]
) -> dict[str, list[Seconds]]:
    """Time each input in each way, in turns."""
    taken: dict[str, list[Seconds]] = {name: [] for name in ways}
    for run in ways.values():
        for one in inputs[:_WARM_UP]:
            run(one)
    for part in batched(inputs, _QUERIES_A_TURN):
        for name, run in ways.items():
            taken[name] += [timed(lambda run=run, one=one: run(one))[1] for one in part]
    return taken


if __name__ == "__main__":
    sys.exit(main())

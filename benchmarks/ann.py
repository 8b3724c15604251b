"""Approximate indexes of one set of vectors: recall, queries a second, build time and memory.

    python benchmarks/ann.py [--size 200000] [--queries 200] [--threads 2] [--hnsw]
        [--factories Flat IVF{lists},Flat ...]

HNSW32 is what Pyserini builds; its graphs take long to build (an hour for 1M on one busy core), so
``--hnsw`` asks for them. ``{lists}`` is the power of two nearest four times the square root of the
vectors. Each index is searched with its breadth doubled until recall@100 against exact search
reaches 0.95, or the breadth 2,048; the table has the first breadth that does. Seconds of building
are of the clock; queries are searched one at a time and 32 at a time, medians of three, the
milliseconds of the processor beside them. Memory is what the process holds more once an index is
built. 1M vectors: ``--size 1000000``, with 10 GB.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from turns import median, timed
from vectors_like_texts import TextLikeVectors

_K = 100
_GOAL = 0.95
_FACTORIES = ("Flat", "IVF{lists},Flat", "IVF{lists},SQ8", "IVF{lists},PQ192x4fs,RFlat")
_GRAPHS = ("HNSW32", "HNSW32_SQ8")
_MOST_BREADTH = 2048
_RESCORED = 16  # times k, of an index that rescores by the vectors
_TRAINING_VECTORS_A_LIST = 40  # FAISS warns below 39
_REPEATS = 3


def main() -> int:
    """Build and search each index, and print a table."""
    import faiss

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hnsw", action="store_true", help="add HNSW32 and HNSW32_SQ8")
    parser.add_argument("--factories", nargs="+", help="in place of those")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    drawn = TextLikeVectors()
    vectors, queries = drawn.documents(args.size), drawn.queries(args.queries)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    _, expected = flat.search(queries, _K)
    del flat
    sys.stdout.write(
        f"{args.size:,} vectors, {args.queries} queries, {args.threads} threads\n\n"
        "| index | build s | memory GB | GB on disk | breadth | recall@100 "
        "| queries/s, 1 | CPU ms | queries/s, 32 | CPU ms |\n" + "| --- " * 10 + "|\n"
    )
    sys.stdout.flush()
    lists = 2 ** round(math.log2(4 * math.sqrt(args.size)))
    for name in args.factories or (*_FACTORIES, *(_GRAPHS if args.hnsw else ())):
        _measure(name.format(lists=lists), vectors, queries, expected, num_lists=lists)
    return 0


def _measure(
    factory: str,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    expected: NDArray[np.int64],
    *,
    num_lists: int,
) -> None:
    """Build one index and write its line of the table."""
    import faiss

    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    held, started = _held(), time.perf_counter()
    if not index.is_trained:
        step = max(len(vectors) // (_TRAINING_VECTORS_A_LIST * num_lists), 1)
        index.train(np.ascontiguousarray(vectors[::step]))
    index.add(vectors)
    seconds, memory = time.perf_counter() - started, _held() - held
    with tempfile.TemporaryDirectory() as folder:
        faiss.write_index(index, str(Path(folder, "index")))
        size = Path(folder, "index").stat().st_size / 1e9
    breadth, recall = _reach_goal(index, factory, queries, expected)
    cells = [f"{seconds:.0f}", f"{memory:.2f}", f"{size:.2f}", breadth, f"{recall:.3f}"]
    for batch in (1, 32):
        taken = median(
            timed(lambda b=batch: _search(index, queries, b))[1] for _ in range(_REPEATS)
        )
        cells += [f"{len(queries) / taken.wall:.0f}", f"{taken.cpu * 1e3 / len(queries):.2f}"]
    sys.stdout.write(f"| {factory} | {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _reach_goal(
    index: Any,  # noqa: ANN401 - a faiss.Index
    factory: str,
    queries: NDArray[np.float32],
    expected: NDArray[np.int64],
) -> tuple[str, float]:
    """Double the breadth until recall is as it should be; give the breadth and the recall."""
    import faiss

    if factory == "Flat":
        return "all", 1.0
    space, name = faiss.ParameterSpace(), "efSearch" if "HNSW" in factory else "nprobe"
    if factory.endswith("RFlat"):
        space.set_index_parameter(index, "k_factor_rf", _RESCORED)
    breadth, recall = (64, 0.0) if name == "efSearch" else (4, 0.0)
    while recall < _GOAL and breadth < _MOST_BREADTH:
        breadth *= 2
        space.set_index_parameter(index, name, breadth)
        _, found = index.search(queries, _K)
        hits = [np.isin(*pair).mean() for pair in zip(expected, found, strict=True)]
        recall = float(np.mean(hits))
    return f"{name} {breadth}", recall


def _search(index: Any, queries: NDArray[np.float32], batch: int) -> None:  # noqa: ANN401 - FAISS's
    for first in range(0, len(queries), batch):
        index.search(queries[first : first + batch], _K)


def _held() -> float:
    """Give the gigabytes of memory that this process holds, files that are mapped left out."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) / 1e6


if __name__ == "__main__":
    sys.exit(main())

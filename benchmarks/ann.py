"""Approximate indexes of one set of vectors: recall, queries a second, build time and size.

    python benchmarks/ann.py [--size 200000] [--queries 200] [--threads 1] [--factories ...]

HNSW32 is what Pyserini builds. Each index is searched with its breadth doubled until recall@100
against exact search reaches 0.95, or 32 doublings of nothing have helped; the table has the first
breadth that does. Seconds are of the clock; queries are searched one at a time and 32 at a time.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vectors_like_texts import TextLikeVectors

_K = 100
_GOAL = 0.95
_FACTORIES = (
    "HNSW32",
    "HNSW32_SQ8",
    "IVF{lists},Flat",
    "IVF{lists},SQ8",
    "IVF{lists},PQ192x4fs,RFlat",
)
_MOST_BREADTH = 2048


def main() -> int:
    """Build and search each index, and print a table."""
    import faiss

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--factories", nargs="+", default=list(_FACTORIES))
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    drawn = TextLikeVectors()
    vectors, queries = drawn.documents(args.size), drawn.queries(args.queries)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    _, expected = flat.search(queries, _K)
    del flat
    sys.stdout.write(
        "| index | build s | GB | breadth | recall@100 | queries/s, 1 | queries/s, 32 |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for name in args.factories:
        factory = name.format(lists=2 ** round(np.log2(4 * np.sqrt(args.size))))
        _measure(factory, vectors, queries, expected)
    return 0


def _measure(
    factory: str,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    expected: NDArray[np.int64],
) -> None:
    """Build one index and write its line of the table."""
    import faiss

    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    started = time.perf_counter()
    if not index.is_trained:
        index.train(vectors[:: max(len(vectors) // 100_000, 1)])
    index.add(vectors)
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        faiss.write_index(index, str(Path(folder, "index")))
        size = Path(folder, "index").stat().st_size / 1e9
    space, name = faiss.ParameterSpace(), "efSearch" if "HNSW" in factory else "nprobe"
    if factory.endswith("RFlat"):
        space.set_index_parameter(index, "k_factor_rf", 4)
    breadth, recall = (64, 0.0) if name == "efSearch" else (4, 0.0)
    while recall < _GOAL and breadth <= _MOST_BREADTH:
        breadth *= 2
        space.set_index_parameter(index, name, breadth)
        _, found = index.search(queries, _K)
        hits = [np.isin(*pair).mean() for pair in zip(expected, found, strict=True)]
        recall = float(np.mean(hits))
    rates = [_rate(index, queries, size) for size in (1, 32)]
    sys.stdout.write(
        f"| {factory} | {seconds:.0f} | {size:.2f} | {name} {breadth} | {recall:.3f} | "
        f"{rates[0]:.0f} | {rates[1]:.0f} |\n"
    )
    sys.stdout.flush()


def _rate(index: object, queries: NDArray[np.float32], batch: int) -> float:
    started = time.perf_counter()
    for first in range(0, len(queries), batch):
        index.search(queries[first : first + batch], _K)  # type: ignore[attr-defined]
    return len(queries) / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())

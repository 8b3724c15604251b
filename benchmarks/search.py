"""Exact search of a flat index: ours by 8-bit codes against FAISS, on the same vectors.

    python benchmarks/search.py [--sizes 10000 100000 1000000] [--batches 1 32 512] [--threads 1]

Both search the index folders that ``index dense`` makes, for the top 100. Times are the least of
some repeats that alternate, in milliseconds of the processor (all threads) for the whole batch;
``same`` is the share of FAISS's hits that are ours too: FAISS adds in another order for large
batches, so hits that tie but for the last digit may change places at the end. The table of growth
has building (with codes) and opening the index in seconds of the clock.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectors_like_texts import TextLikeVectors, write_vectors

_K = 100


class _NoEncoder:
    """Takes the encoder's place: queries are vectors already."""

    def encode(self, query: str) -> NDArray[np.float32]:
        raise NotImplementedError(query)


def main() -> int:
    """Build indexes, search them in both ways, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 512])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    growth = ["| vectors | build s | open s | GB on disk |\n| --- | --- | --- | --- |\n"]
    sys.stdout.write("| vectors | batch | FAISS ms | ours ms | ratio | ours, ms a query | same |\n")
    sys.stdout.write("| --- | --- | --- | --- | --- | --- | --- |\n")
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            growth.append(_measure(size, Path(folder), args))
    sys.stdout.write("\n" + "".join(growth))
    return 0


def _measure(size: int, folder: Path, args: argparse.Namespace) -> str:
    """Write the lines of one size; give its line of the table of growth."""
    import torch

    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index
    from ance_plugin.search.dense import DenseSearcher

    torch.set_num_threads(args.threads)
    drawn = TextLikeVectors()
    write_vectors(folder / "vectors", drawn, size)
    started = time.perf_counter()
    build_dense_index(Vectors(folder / "vectors"), folder / "index", threads=args.threads)
    built = time.perf_counter() - started
    started = time.perf_counter()
    searcher = DenseSearcher(folder / "index", _NoEncoder())
    opened = time.perf_counter() - started
    queries = drawn.queries(max(args.batches))
    for batch in args.batches:
        _compare(searcher, queries[:batch], args)
    space = sum(file.stat().st_size for file in (folder / "index").iterdir()) / 1e9
    return f"| {size:,} | {built:.1f} | {opened:.2f} | {space:.2f} |\n"


def _compare(searcher: Any, queries: NDArray[np.float32], args: argparse.Namespace) -> None:  # noqa: ANN401
    import faiss

    faiss.omp_set_num_threads(args.threads)
    times: dict[str, list[float]] = {"faiss": [], "ours": []}
    for _ in range(args.repeats):
        theirs = _time(times["faiss"], lambda: searcher.index.search(queries, _K))
        ours = _time(
            times["ours"], lambda: searcher.search_vectors(queries, _K, threads=args.threads)
        )
    same = np.mean(
        [
            len({searcher.docids[row] for row in rows} & {hit.docid for hit in hits}) / _K
            for rows, hits in zip(theirs[1].tolist(), ours, strict=True)
        ]
    )
    faiss_ms, ours_ms = (min(seconds) * 1e3 for seconds in times.values())
    sys.stdout.write(
        f"| {searcher.num_docs:,} | {len(queries)} | {faiss_ms:.1f} | {ours_ms:.1f} | "
        f"{faiss_ms / ours_ms:.1f} | {ours_ms / len(queries):.2f} | {same:.5f} |\n"
    )
    sys.stdout.flush()


def _time(seconds: list[float], search: Callable[[], Any]) -> Any:  # noqa: ANN401
    started = time.process_time()
    result = search()
    seconds.append(time.process_time() - started)
    return result


if __name__ == "__main__":
    sys.exit(main())

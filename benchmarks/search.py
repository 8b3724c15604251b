"""Exact search of a flat index: ours by 8-bit codes against FAISS, on the same vectors.

    python benchmarks/search.py [--sizes 10000 100000 1000000] [--batches 1 32 512] [--threads 1]

Both search the index folders that ``index dense`` makes, for the top 100. Times are medians of
some repeats that alternate, in milliseconds for the whole batch, of the clock and of the processor
(all threads, those that wait for work included); ``same`` is the share of FAISS's hits that are
ours too: FAISS adds in another order for large batches, so hits that tie but for the last digit may
change places at the end. The table of growth has building (with codes) and opening the index in
seconds of the clock.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from turns import Seconds, median, timed
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
    sys.stdout.write(
        "| vectors | batch | FAISS ms | ours ms | ratio | CPU: FAISS | ours | ratio | same |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
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
    times: dict[str, list[Seconds]] = {"faiss": [], "ours": []}
    for _ in range(args.repeats):
        (_, rows), seconds = timed(lambda: searcher.index.search(queries, _K))
        times["faiss"].append(seconds)
        found, seconds = timed(lambda: searcher.search_vectors(queries, _K, threads=args.threads))
        times["ours"].append(seconds)
    same = np.mean(
        [
            len({searcher.docids[row] for row in expected} & {hit.docid for hit in hits}) / _K
            for expected, hits in zip(rows.tolist(), found, strict=True)
        ]
    )
    theirs, ours = (median(taken) for taken in times.values())
    cells = [f"{theirs.wall * 1e3:.1f}", f"{ours.wall * 1e3:.1f}", f"{theirs.wall / ours.wall:.1f}"]
    cells += [f"{theirs.cpu * 1e3:.1f}", f"{ours.cpu * 1e3:.1f}", f"{theirs.cpu / ours.cpu:.1f}"]
    sys.stdout.write(
        f"| {searcher.num_docs:,} | {len(queries)} | {' | '.join(cells)} | {same:.5f} |\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

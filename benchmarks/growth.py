"""Time and memory of each stage as the collection grows, fitted and carried on to large ones.

    python benchmarks/growth.py [--sizes 10000 30000 100000 300000] [--queries 200] [--threads 2]
        [--plot growth.svg]

Stages are our commands' own functions, each in a process of its own, on made documents of 60 words
that are tokens of BERT's vocabulary, with Zipf's frequencies: encode with a body of one layer, 128
wide (a larger one takes longer by a factor, growth is the same), BM25 index, flat index of vectors
of 768 numbers, search of both for ``--queries`` topics at 1,000 hits, RRF of the two runs, and
measures. Seconds are of the stage alone, without starting Python and loading the encoder; the
processor's are of all threads. Memory is the most that the process held, pages of mapped files
included. For each stage ``t = a + b n``, neither below zero, is fitted to seconds of the clock by
least squares of relative errors, and gives those at 8.8M and 138M (MS MARCO v1 and v2 passages); a
stage of less than half a second says little. 1M: add it to the sizes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from turns import write_table

_FAR = {"8.8M": 8_841_823, "138M": 138_364_198}
_STAGES = (
    *("encode", "index bm25", "index dense", "search dense", "search bm25", "fusion", "evaluate"),
)
_WORDS_A_TEXT, _WORDS_A_QUERY = 60, 6
_HITS = 1000
_ROWS_AT_ONCE = 10_000


def main() -> int:
    """Run all stages for all sizes, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="draw seconds and fits into this SVG file")
    parser.add_argument("--stage", choices=_STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        from growth_stages import run_stage

        sys.stdout.write(json.dumps(run_stage(args.stage, args.folder, args.threads)) + "\n")
        return 0
    found: dict[str, list[list[float]]] = {stage: [] for stage in _STAGES}
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as name:
            _make(Path(name), size, args.queries)
            for stage in _STAGES:
                found[stage].append(_measure(stage, Path(name), args.threads))
                wall, cpu, memory = found[stage][-1]
                sys.stderr.write(
                    f"{size:,} {stage}: {wall:.2f} s, {cpu:.2f} CPU, {memory:.2f} GB\n"
                )
    _print(args, found)
    if args.plot:
        plot({stage: [m[0] for m in measured] for stage, measured in found.items()}, args)
    return 0


def _print(args: argparse.Namespace, found: dict[str, list[list[float]]]) -> None:
    sys.stdout.write(
        f"{args.queries} topics, {_HITS} hits, {args.threads} threads; "
        "s (CPU s; most memory in GB)\n\n"
    )
    cells = {
        stage: [f"{wall:.2f} ({cpu:.2f}; {memory:.2f})" for wall, cpu, memory in measured]
        for stage, measured in found.items()
    }
    write_table(
        ("stage", *(f"{size:,}" for size in args.sizes)),
        [(stage, *line) for stage, line in cells.items()],
    )
    sys.stdout.write("\n")
    rows = []
    for stage, measured in found.items():
        start, slope = fit(args.sizes, [wall for wall, _, _ in measured])
        far = [_say(start + slope * size) for size in _FAR.values()]
        rows.append((stage, f"{start:.2f}", f"{slope * 1e6:.2f}", *far))
    write_table(("stage", "a, s", "b, s a million", *_FAR), rows)


def fit(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Fit t = a + b n, a and b at least 0, by least squares of relative errors; give a and b."""
    from scipy.optimize import nnls

    times = np.array(seconds)
    # In thousands of documents, so that both columns are of one size.
    columns = np.stack([1 / times, np.array(sizes) / 1e3 / times], axis=1)
    start, slope = nnls(columns, np.ones(len(times)))[0]
    return float(start), float(slope) / 1e3


def plot(seconds: Mapping[str, Sequence[float]], args: argparse.Namespace) -> None:
    """Draw seconds of each stage by size, and the fits on to the largest size, on log axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = np.geomspace(min(args.sizes), max(_FAR.values()), 50)
    for number, (stage, measured) in enumerate(seconds.items()):
        start, slope = fit(args.sizes, measured)
        axes.plot(args.sizes, measured, "o", color=f"C{number}", label=stage)
        axes.plot(sizes, start + slope * sizes, "-", color=f"C{number}", linewidth=1)
    for size in _FAR.values():
        axes.axvline(size, color="grey", linewidth=0.5, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="documents", ylabel="seconds")
    axes.legend(frameon=False)
    figure.savefig(args.plot, metadata={"Date": None})


def _say(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _measure(stage: str, folder: Path, threads: int) -> list[float]:
    """Give seconds of the clock and of the processor, and gigabytes, of one stage's process."""
    words = [sys.executable, "-W", "ignore", __file__, "--stage", stage, "--folder", str(folder)]
    done = subprocess.run(
        [*words, "--threads", str(threads)], stdout=subprocess.PIPE, text=True, check=True
    )
    measured: list[float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _make(folder: Path, size: int, num_queries: int) -> None:
    """Write documents, topics, judgments and the encoder."""
    from growth_stages import make_checkpoint
    from random_models import load_vocabulary

    rng = np.random.default_rng(0)
    known = (word for word in load_vocabulary().get_vocab() if word.isascii() and word.isalpha())
    words = rng.permutation(sorted(known))
    weights = 1 / np.arange(1, len(words) + 1)
    shares = np.cumsum(weights / weights.sum())

    def draw(count: int, length: int) -> list[str]:
        drawn = np.minimum(np.searchsorted(shares, rng.random((count, length))), len(words) - 1)
        return [" ".join(line) for line in words[drawn].tolist()]

    with (folder / "docs.jsonl").open("w") as file:
        for start in range(0, size, _ROWS_AT_ONCE):
            texts = draw(min(_ROWS_AT_ONCE, size - start), _WORDS_A_TEXT)
            file.writelines(
                json.dumps({"id": str(start + row), "contents": text}) + "\n"
                for row, text in enumerate(texts)
            )
    topics = enumerate(draw(num_queries, _WORDS_A_QUERY))
    (folder / "topics.tsv").write_text("".join(f"{qid}\t{text}\n" for qid, text in topics))
    judged = rng.integers(0, size, (num_queries, 3)).tolist()
    lines = (f"{q} 0 {docid} 1\n" for q, docids in enumerate(judged) for docid in set(docids))
    (folder / "qrels.txt").write_text("".join(lines))
    make_checkpoint(folder / "encoder")


if __name__ == "__main__":
    sys.exit(main())

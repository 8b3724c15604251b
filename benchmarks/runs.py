"""Runs of millions of lines: read, written, fused and measured, against Pyserini and ranx.

    python benchmarks/runs.py [--topics 1000] [--hits 1000] [--repeats 3] [--timeout 300]
        [--jobs read RRF ...] [--skip Pyserini ...] [--memory GB]

Each job runs in a process of its own, some times in turns, and the table has medians: seconds of
the processor (all threads) and of the clock, and the most memory that a process held. What a job
needs is read before its time starts. A process that takes longer than the timeout, reading
included, is stopped, not tried again, and stands in the table as what it exceeded. ``--memory``
limits the data of each process; one that asks for more is ``out of memory``. 7,000 topics
make the seven million lines of an MS MARCO dev run: allow 8 GB for each process.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

_PYSERINI = (
    "from ance_plugin import jvm; jvm.start(); from pyserini.trectools import TrecRun, Qrels"
)
_OURS = "from pathlib import Path; from ance_plugin.formats.runs import read_run, write_run"
_RANX = "import ranx; from ranx import Run, Qrels, evaluate, fuse"
_READ = "a = read_run(Path('a')); "
JOBS = {
    ("read", "Pyserini"): (_PYSERINI, "TrecRun('a')"),
    ("read", "ranx"): (_RANX, "Run.from_file('a', kind='trec')"),
    ("read", "ance-plugin"): (_OURS, "read_run(Path('a'))"),
    ("write", "Pyserini"): (f"{_PYSERINI}; a = TrecRun('a')", "a.save_to_txt('out')"),
    ("write", "ance-plugin"): (f"{_OURS}; {_READ}", "write_run(Path('out'), a, tag='t')"),
    ("RRF", "Pyserini"): (
        f"{_PYSERINI}; from pyserini.fusion import reciprocal_rank_fusion as rrf; "
        "runs = [TrecRun('a'), TrecRun('b')]",
        "rrf(runs, depth=1000, k=1000)",
    ),
    ("RRF", "ranx"): (
        f"{_RANX}; runs = [Run.from_file(name, kind='trec') for name in 'ab']; "
        "small = [Run({'q': {'d000000': 1.0}}) for _ in 'ab']; fuse(small, method='rrf')",
        "fuse(runs, method='rrf')",
    ),
    ("RRF", "ance-plugin"): (
        f"{_OURS}; {_READ}b = read_run(Path('b')); from ance_plugin.fusion.fuse import fuse; "
        "from ance_plugin.fusion.methods import FusionParams as P",
        "fuse([a, b], P('rrf'), 1000)",
    ),
    ("measure", "ranx"): (
        f"{_RANX}; a = Run.from_file('a', kind='trec'); j = Qrels.from_file('q', kind='trec'); "
        "m = ['ndcg@10', 'recall@1000', 'mrr@10']; evaluate(j, a, m, make_comparable=True)",
        "evaluate(j, a, m, make_comparable=True)",
    ),
    ("measure", "ance-plugin"): (
        f"{_OURS}; {_READ}from ance_plugin.formats.qrels import read_qrels; "
        "from ance_plugin.measures import means, compile_measures; compile_measures(); "
        "j = read_qrels('q')",
        "means(a, j, ['ndcg@10', 'recall@1000', 'mrr@10'])",
    ),
}
_TIMED = """
import gc, json, resource, sys, time, warnings
warnings.simplefilter("ignore")
{setup}
gc.collect()
wall, cpu = time.perf_counter(), time.process_time()
result = {job}
times = [time.process_time() - cpu, time.perf_counter() - wall]
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps([*times, memory]))
"""


def main() -> int:
    """Write runs, do each job in its own process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--topics", type=int, default=1000)
    parser.add_argument("--hits", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=300, help="seconds a process")
    parser.add_argument("--jobs", nargs="+", default=list(dict.fromkeys(job for job, _ in JOBS)))
    parser.add_argument("--skip", nargs="+", default=[], help="whose jobs to leave out")
    parser.add_argument("--memory", type=float, help="GB of data a process")
    args = parser.parse_args()
    sys.stdout.write(
        f"{args.topics} topics, {args.hits} hits each, medians of {args.repeats}\n\n"
        "| job | by | cpu s | clock s | memory GB | cpu, times ours | clock, times ours |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    with tempfile.TemporaryDirectory() as name:
        _write_inputs(Path(name), args.topics, args.hits)
        for what in args.jobs:
            chosen = {who: JOBS[what, who] for job, who in JOBS if job == what}
            chosen = {who: job for who, job in chosen.items() if who not in args.skip}
            _write_rows(what, _take_turns(chosen, Path(name), args), args.timeout)
    return 0


def _take_turns(
    jobs: dict[str, tuple[str, str]], folder: Path, args: argparse.Namespace
) -> dict[str, list[list[float]] | str]:
    """Give what each turn took, by whose it is; in its place what stopped it."""
    found: dict[str, list[list[float]] | str] = {who: [] for who in jobs}
    for _ in range(args.repeats):
        for who, job in jobs.items():
            turns = found[who]
            if isinstance(turns, str):
                continue
            one = _run(job, folder, args)
            if isinstance(one, str):
                found[who] = one
            else:
                turns.append(one)
    return found


def _write_rows(what: str, found: dict[str, list[list[float]] | str], timeout: float) -> None:
    medians = {
        who: [statistics.median(column) for column in zip(*turns, strict=True)]
        for who, turns in found.items()
        if not isinstance(turns, str)
    }
    ours = medians.get("ance-plugin")
    for who, turns in found.items():
        if isinstance(turns, str):
            least = "" if ours is None or turns != "timeout" else f"> {timeout / ours[1]:.0f}"
            note = f"> {timeout:.0f}" if turns == "timeout" else turns
            sys.stdout.write(f"| {what} | {who} | | {note} | | | {least} |\n")
            continue
        cpu, wall, memory = medians[who]
        ratios = ["", ""] if ours is None else [f"{cpu / ours[0]:.1f}", f"{wall / ours[1]:.1f}"]
        sys.stdout.write(
            f"| {what} | {who} | {cpu:.2f} | {wall:.2f} | {memory:.2f} | {' | '.join(ratios)} |\n"
        )
    sys.stdout.flush()


def _write_inputs(folder: Path, num_topics: int, num_hits: int) -> None:
    """Write two runs that share about half their documents, and judgments of some of them."""
    rng = random.Random(0)
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("w")) for name in "abq"}
        for topic in range(num_topics):
            pool = rng.sample(range(8_841_823), 3 * num_hits // 2)
            for name in "ab":
                chosen = rng.sample(pool, num_hits)
                scores = sorted((rng.uniform(5, 40) for _ in chosen), reverse=True)
                for rank, (docid, score) in enumerate(zip(chosen, scores, strict=True), start=1):
                    files[name].write(f"{topic} Q0 {docid} {rank} {score:.6f} {name}\n")
            files["q"].write(f"{topic} 0 {pool[0]} 1\n")


def _run(job: tuple[str, str], folder: Path, args: argparse.Namespace) -> list[float] | str:
    """Give seconds of the processor and of the clock, and gigabytes; or what stopped the job."""
    code = _TIMED.format(setup=job[0], job=job[1])
    command = [sys.executable, "-W", "ignore", "-c", code]
    limit = None if args.memory is None else partial(_limit_memory, int(args.memory * 1e9))
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=args.timeout,
            preexec_fn=limit,  # this process has no threads
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        return "out of memory" if "MemoryError" in done.stderr else "failed"
    measured: list[float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _limit_memory(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    sys.exit(main())

"""Starting: --help of each command, and the first hit of a cold process, in ours and in Pyserini.

    python benchmarks/startup.py [--vectors 100000] [--repeats 3]

Seconds of the clock and of the processor, medians; the two first hits take turns. The first hit is
one query, as a vector, in a flat index: from starting Python to holding ten hits. Files are in the
system's cache, as a first run of each, which is not counted, has read them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
from turns import Seconds, median
from vectors_like_texts import TextLikeVectors

_COMMANDS = ("search", "index", "encode", "fusion", "rerank", "train", "doctor")
_QUERY = "import numpy as np; query = np.load('query.npy'); "
_OURS = (
    "from ance_plugin import DenseSearcher; "
    "print(DenseSearcher('index', object()).search(query, 10)[0].docid)"
)
_STOCK = (
    "from ance_plugin import jvm; jvm.start(); from pyserini.search.faiss import FaissSearcher; "
    "from pyserini.encode import QueryEncoder; "
    "print(FaissSearcher('index', QueryEncoder()).search(query[None], 10)[0].docid)"
)


def main() -> int:
    """Start each command some times, and print a table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    sys.stdout.write(
        "| what | clock s | ratio | cpu s | ratio |\n| --- | --- | --- | --- | --- |\n"
    )
    for command in _COMMANDS:
        words = ["-m", f"ance_plugin.{command}", "--help"]
        _compare({f"{command} --help": words}, Path(), args.repeats)
    with tempfile.TemporaryDirectory() as name:
        folder, drawn = Path(name), TextLikeVectors()
        index = faiss.IndexFlatIP(768)
        index.add(drawn.documents(args.vectors))
        (folder / "index").mkdir()
        faiss.write_index(index, str(folder / "index" / "index"))
        docids = "".join(f"{row}\n" for row in range(args.vectors))
        (folder / "index" / "docid").write_text(docids, encoding="utf-8")
        np.save(folder / "query.npy", drawn.queries(1)[0])
        ways = {"Pyserini": ["-c", _QUERY + _STOCK], "ours": ["-c", _QUERY + _OURS]}
        _compare({f"first hit, {who}": words for who, words in ways.items()}, folder, args.repeats)
    return 0


def _compare(ways: dict[str, list[str]], folder: Path, repeats: int) -> None:
    """Run commands in turns and write their lines of the table; ratios are to the first."""
    taken: dict[str, list[Seconds]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, words in ways.items():
            seconds = _run(words, folder)
            if turn:
                taken[name].append(seconds)
    medians = {name: median(values) for name, values in taken.items()}
    base = next(iter(medians.values()))
    for name, one in medians.items():
        wall, cpu = base.wall / one.wall, base.cpu / one.cpu
        sys.stdout.write(f"| {name} | {one.wall:.2f} | {wall:.1f} | {one.cpu:.2f} | {cpu:.1f} |\n")
    sys.stdout.flush()


def _run(words: list[str], folder: Path) -> Seconds:
    """Give what one process took."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words], cwd=folder, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    cpu = after.children_user + after.children_system
    return Seconds(wall, cpu - before.children_user - before.children_system)


if __name__ == "__main__":
    sys.exit(main())

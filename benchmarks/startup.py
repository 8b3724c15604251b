"""Starting: --help of each command, and the first hit of a cold process, in ours and in Pyserini.

    python benchmarks/startup.py [--vectors 100000] [--repeats 3]

Seconds of the processor and of the clock, the least of some repeats. The first hit is one query,
as a vector, in a flat index: from starting Python to holding ten hits.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
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
    "print(FaissSearcher('index', QueryEncoder()).search(query, 10)[0].docid)"
)


def main() -> int:
    """Start each command some times, and print a table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    sys.stdout.write("| what | cpu s | clock s |\n| --- | --- | --- |\n")
    for command in _COMMANDS:
        _write(f"{command} --help", ["-m", f"ance_plugin.{command}", "--help"], Path(), args)
    with tempfile.TemporaryDirectory() as name:
        folder, drawn = Path(name), TextLikeVectors()
        index = faiss.IndexFlatIP(768)
        index.add(drawn.documents(args.vectors))
        (folder / "index").mkdir()
        faiss.write_index(index, str(folder / "index" / "index"))
        docids = "".join(f"{row}\n" for row in range(args.vectors))
        (folder / "index" / "docid").write_text(docids, encoding="utf-8")
        np.save(folder / "query.npy", drawn.queries(1)[0])
        _write("first hit, ours", ["-c", _QUERY + _OURS], folder, args)
        _write("first hit, Pyserini", ["-c", _QUERY + _STOCK], folder, args)
    return 0


def _write(what: str, words: list[str], folder: Path, args: argparse.Namespace) -> None:
    """Run a command some times and write its line of the table."""
    found = []
    for _ in range(args.repeats):
        before, started = os.times(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        after = os.times()
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        found.append((cpu, time.perf_counter() - started))
    cpu, wall = min(found)
    sys.stdout.write(f"| {what} | {cpu:.2f} | {wall:.2f} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

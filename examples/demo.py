"""From a collection to judged runs: the commands a user types, one after another.

The collection is ``pydoc``, made of the standard library's docstrings, so nothing is downloaded.
The hybrid's weight is tuned on the dev topics and judged, with the others, on the test topics.
"""

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from ance_plugin import Collection, read_qrels, read_run, read_topics

FOLDER = Path("demo")
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
COMMANDS = f"""
ance_plugin.index bm25 --collection pydoc --output {FOLDER}/bm25
ance_plugin.encode --collection pydoc --encoder {ENCODER} --output {FOLDER}/vectors
ance_plugin.index dense --vectors {FOLDER}/vectors --output {FOLDER}/dense
ance_plugin.search --topics pydoc/dev --sparse-index {FOLDER}/bm25 --hits 200 --output {FOLDER}/dev/bm25.trec
ance_plugin.search --topics pydoc/dev --index {FOLDER}/dense --hits 200 --output {FOLDER}/dev/dense.trec
ance_plugin.fusion tune --runs {FOLDER}/dev/bm25.trec {FOLDER}/dev/dense.trec --qrels pydoc/dev --method interpolation --measure ndcg@10 --output {FOLDER}/best.json
ance_plugin.search --topics pydoc/test --sparse-index {FOLDER}/bm25 --hits 200 --output {FOLDER}/runs/bm25.trec
ance_plugin.search --topics pydoc/test --index {FOLDER}/dense --hits 200 --output {FOLDER}/runs/dense.trec
ance_plugin.search --topics pydoc/test --index {FOLDER}/dense --sparse-index {FOLDER}/bm25 --fusion rrf --depth 100 --hits 200 --output {FOLDER}/runs/rrf.trec
ance_plugin.fusion --runs {FOLDER}/runs/bm25.trec {FOLDER}/runs/dense.trec --params {FOLDER}/best.json --output {FOLDER}/runs/tuned.trec
"""  # noqa: E501 - a command a line
COMPARE = f"""
evaluation compare --qrels pydoc/test --baseline bm25 --measures ndcg@10 recall@100 mrr@10
--runs {" ".join(f"{FOLDER}/runs/{name}.trec" for name in ("bm25", "dense", "rrf", "tuned"))}
--output {FOLDER}/report
"""
_BUILDS = {"ance_plugin.index", "ance_plugin.encode", "evaluation"}  # these refuse to replace


def main() -> int:
    """Run every command, show a few hits, then the table; stop at the first failure."""
    started = time.monotonic()
    for command in COMMANDS.strip().splitlines():
        code = run_command(command)
        if code:
            return code
    show_hits("rrf")
    code = run_command(" ".join(COMPARE.split()))
    say(f"\nRuns: {FOLDER}/runs/*.trec, each with a .json that says how it was made")
    say(f"Tables: {FOLDER}/report ({time.monotonic() - started:.0f} s in all)")
    return code


def run_command(command: str) -> int:
    """Show a command and run it in this process, which saves loading PyTorch for each."""
    say(f"\n$ python -m {command}")
    module, *words = shlex.split(command)
    if module in _BUILDS:
        words.append("--overwrite")
    start: Callable[[Sequence[str]], int] = import_module(f"{module}.__main__").main
    return start(words)


def show_hits(system: str, num_topics: int = 3, depth: int = 3) -> None:
    """Print the first topics on which a system and BM25 have another first hit."""
    qrels = read_qrels("pydoc/test")
    titles = {document.docid: document.title for document in Collection("pydoc")}
    runs = {name: read_run(FOLDER / "runs" / f"{name}.trec") for name in ("bm25", system)}
    topics = [
        topic
        for topic in read_topics("pydoc/test")
        if len({run[topic.qid][0].docid for run in runs.values() if topic.qid in run}) > 1
    ]
    say(f"\nWhere {system} and BM25 disagree about the first hit (* is relevant):")
    for qid, text in ((topic.qid, topic.text) for topic in topics[:num_topics]):
        say(f"\n  {text}")
        for name, run in runs.items():
            for position, hit in enumerate(run[qid][:depth], start=1):
                mark = "*" if qrels[qid].get(hit.docid, 0) > 0 else " "
                say(f"    {name:>5} {position} {mark} {titles[hit.docid][:80]}")


def say(text: str) -> None:
    """Print at once, so that what follows on stderr comes after."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""The commands of ``evaluation`` that write, and what must be true of their reports."""

import json
from functools import partial
from pathlib import Path

from ance_plugin import artifacts
from tests.kill_harness_command import Command, drop, files, sealed

ON_CPU = ["--device", "cpu", "--precision", "fp32"]
OVER = {"replaces": ("--overwrite",)}
_BENCHMARK = """collection = "docs.jsonl"
topics = "dev.tsv"
qrels = "dev.qrels"
measures = ["ndcg@10"]
depth = 20
tuning = { topics = "train.tsv", qrels = "train.qrels" }
licence = "made up"
"""


def make_evaluation_commands(world, made):
    """List the commands; they read what the earlier ones of the harness left in ``made``."""
    _write_answers(world.root / "answers.jsonl", world.topics("dev"))
    (world.root / "world.toml").write_text(_BENCHMARK)
    docs, topics = ["--collection", world.collection], ["--topics", world.topics("dev")]
    qrels = ["--qrels", world.qrels("dev")]
    runs = [f"{made}/reranked.trec", f"{made}/dense.trec"]
    encoder = ["--encoder", world.init, *ON_CPU]
    answers = ["--answers", f"{world.root}/answers.jsonl", "--topk", "1", "5"]
    few = ["--num-topics", "4", "--warmup", "2", "--batch-size", "2", "--sample-documents", "4"]
    shallow = ["--bm25-run", runs[1], "--depth", "10", "--num-topics", "8", *ON_CPU]
    systems = ["--systems", "bm25", "dense", "rrf", "interpolation"]
    command = partial(Command, module="evaluation", **OVER)
    return [
        command(
            "evaluation compare",
            words=["compare", *qrels, "--runs", *runs, "--measures", "ndcg@10"],
            output="report",
            content=files,
        ),
        command(
            "evaluation qa",
            words=["qa", *topics, *docs, "--run", *runs, *answers],
            output="answers",
            content=answered,
        ),
        command(
            "evaluation latency",
            words=["latency", *topics, *docs, "--index", f"{made}/dense", *encoder, *few],
            output="latency",
            content=timed,
        ),
        command(
            "evaluation negatives",
            words=["negatives", "--checkpoint", world.init, *topics, *qrels, *docs, *shallow],
            output="negatives",
            content=analysed,
            resumes=True,
        ),
        command(
            "evaluation benchmark",
            words=["benchmark", f"{world.root}/world.toml", *encoder, *systems],
            output="benchmark",
            content=judged,
            resumes=True,
            needs_java=True,
        ),
    ]


def answered(path):
    """Give the accuracies of a report; its tables are whole."""
    sealed(path)
    return drop(artifacts.read_json(path / "answers.json"))


def timed(path):
    """Give what a latency report timed, whose times are never twice the same."""
    sealed(path)
    report = artifacts.read_json(path / "latency.json")
    stable = ("name", "depth", "batch_size", "num_queries")
    return [[row[name] for name in stable] for row in report["systems"]]


def analysed(path):
    """Give the figures of an analysis of negatives; its plots are whole."""
    sealed(path)
    return drop(artifacts.read_json(path / "negatives.json"))


def judged(path):
    """Give what a benchmark found, but for the times that things took."""
    artifacts.read_json(path / "benchmark.json")
    comparison = artifacts.read_json(path / "comparison.json")
    del comparison["costs"]
    runs = {file.name: file.read_text() for file in sorted(path.glob("runs/*.trec"))}
    return runs, comparison, (path / "topics.csv").read_text()


def _write_answers(path, topics):
    """Have topics answered by their document's own word."""
    lines = []
    for line in Path(topics).read_text().splitlines():
        qid, text = line.split("\t")
        lines.append(json.dumps({"qid": qid, "answers": [text.split()[1].replace("qm", "dm")]}))
    path.write_text("\n".join(lines) + "\n")

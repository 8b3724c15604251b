"""The writing commands that the kill harness kills, and what must be true of their outputs."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ance_plugin import artifacts
from ance_plugin.artifacts import METADATA
from ance_plugin.train.folder import CHECKPOINT, REFRESH, STATE, TrainingFolder
from tests.synthetic import make_world

ON_CPU = ["--device", "cpu", "--precision", "fp32"]
# What differs from one run to the next though nothing is wrong.
_UNSTABLE = {"seconds", "command", "files", "pairs_per_second", "timings", "log.jsonl"}


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        name: As people call it.
        module: Whose ``main`` it is.
        words: Its flags but ``--output``.
        output: Name of what it writes.
        content: Gives what the output says, the same for every undisturbed run; raises where it is
            damaged.
        replaces: The flags with which it replaces an older output.
        resumes: Whether it leaves what it can go on with when it is asked to stop.
        needs_java: Whether it starts a JVM.
    """

    name: str
    module: str
    words: list[str]
    output: str
    content: Callable[[Path], object]
    replaces: tuple[str, ...] = ()
    resumes: bool = False
    needs_java: bool = False

    def run(self, folder):
        """Run it in this process, its output in ``folder``."""
        output = folder / self.output
        words = [*self.words, *self.replaces]
        if (output / "training.json").exists():
            words = ["--resume"]
        main = import_module(f"{self.module}.__main__").main
        first = [words.pop(0)] if words[:1] and not words[0].startswith("-") else []
        first = first or self.words[:1] if self.module.endswith("train") else first
        return main([*first, *words, "--output", str(output)])


def make_commands(root):
    """Write a small world to ``root`` and list the commands, each after those it reads from."""
    world = make_world(root)
    _write_classifier(root)
    docs = ["--collection", world.collection]
    topics = ["--topics", world.topics("dev")]
    qrels = ["--qrels", world.qrels("dev")]
    encoder = ["--encoder", world.init, *ON_CPU]
    made = root / "calm"
    dense = ["--index", f"{made}/dense", *encoder]
    sparse = ["--sparse-index", f"{made}/bm25"]
    runs = ["--runs", f"{made}/reranked.trec", f"{made}/dense.trec"]
    training = ["--collection", world.collection, "--init", world.init, "--device", "cpu"]
    training += ["--topics", world.topics("train"), "--qrels", world.qrels("train")]
    steps = ["--num-steps", "24", "--save-steps", "4", "--batch-size", "8", "--precision", "fp32"]
    rounds = ["--refresh-steps", "8", "--depth", "20", "--refresh-precision", "fp32"]
    reranker = ["--model", f"{root}/classifier", "--max-length", "32", *ON_CPU]
    pairs = ["--topics", world.topics("train"), "--qrels", world.qrels("train")]
    pairs += ["--negatives", world.bm25]
    ce = ["--num-steps", "12", "--save-steps", "3", "--max-length", "32", *ON_CPU, "--resume"]
    over = {"replaces": ("--overwrite",)}
    java = {"needs_java": True}
    stage = "ance_plugin"
    return [
        Command("index bm25", f"{stage}.index", ["bm25", *docs], "bm25", lucene, **over, **java),
        Command(
            "encode",
            f"{stage}.encode",
            [*docs, *encoder, "--block-size", "8"],
            "vectors",
            sealed,
            **over,
            resumes=True,
        ),
        Command(
            "index dense",
            f"{stage}.index",
            ["dense", "--vectors", f"{made}/vectors"],
            "dense",
            sealed,
            **over,
        ),
        Command(
            "index lucene-flat",
            f"{stage}.index",
            ["lucene-flat", "--vectors", f"{made}/vectors"],
            "lucene",
            lucene,
            **over,
            **java,
        ),
        Command("search bm25", f"{stage}.search", [*topics, *sparse], "bm25.trec", run, **java),
        Command("search dense", f"{stage}.search", [*topics, *dense], "dense.trec", run),
        Command(
            "search hybrid",
            f"{stage}.search",
            [*topics, *dense, *sparse, "--fusion", "rrf"],
            "hybrid.trec.gz",
            run,
            **java,
        ),
        Command(
            "rerank",
            f"{stage}.rerank",
            [*topics, *docs, "--run", f"{made}/dense.trec", "--depth", "9", *reranker],
            "reranked.trec",
            run,
            resumes=True,
        ),
        Command("fusion", f"{stage}.fusion", [*runs, "--method", "rrf"], "fused.trec", run),
        Command(
            "fusion tune",
            f"{stage}.fusion",
            ["tune", *runs, *qrels, "--method", "interpolation"],
            "best.json",
            lambda path: drop(json.loads(path.read_text())),
        ),
        Command(
            "encode export",
            f"{stage}.encode",
            ["export", "--encoder", world.init, "--to", "sentence-transformers"],
            "export",
            files,
            **over,
        ),
        Command(
            "train warmup",
            f"{stage}.train",
            ["warmup", *training, "--negatives", world.bm25, *steps],
            "warmup",
            trained,
            resumes=True,
        ),
        Command(
            "train ance",
            f"{stage}.train",
            ["ance", *training, *steps, *rounds, "--refresh", "sync"],
            "ance",
            trained,
            resumes=True,
        ),
        Command(
            "train cross-encoder",
            f"{stage}.train",
            ["cross-encoder", *docs, *pairs, *ce, "--init", f"{root}/classifier"],
            "cross-encoder",
            sealed,
            resumes=True,
        ),
        Command(
            "evaluation compare",
            "evaluation",
            ["compare", *qrels, *runs, "--measures", "ndcg@10"],
            "report",
            files,
            **over,
        ),
    ]


def sealed(path):
    """Give the hashes of an artifact's files, after comparing them with the files."""
    kind = artifacts.read_json(path / METADATA)["kind"]
    return artifacts.verify(path, kind)["files"]


def lucene(path):
    """Give what the metadata says of a Lucene index, whose bytes are never twice the same."""
    sealed(path)
    return drop(artifacts.read_json(path / METADATA))


def run(path):
    """Give the bytes of a run; its manifest, where it is there, is whole."""
    manifest = path.with_name(f"{path.name}.json")
    if manifest.exists():
        json.loads(manifest.read_text())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(path):
    """Give the hash of every file that says the same each time."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in {*_UNSTABLE, METADATA}
    }


def trained(path):
    """Verify everything that a training published; give the last weights once it is over."""
    folder = TrainingFolder(path)
    paths = {CHECKPOINT: folder.checkpoint, STATE: folder.state, REFRESH: folder.refresh}
    for kind, place in paths.items():
        for step in folder.steps(kind):
            artifacts.verify(place(step), kind)
    if not folder.finished.exists():
        return None
    return sealed(folder.checkpoint(folder.steps(CHECKPOINT)[-1]))["model.safetensors"]


def drop(content):
    """Leave out what differs from run to run."""
    return {name: value for name, value in content.items() if name not in _UNSTABLE}


def _write_classifier(root):
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    config = AutoConfig.from_pretrained(root / "plain", num_labels=1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertForSequenceClassification(config).save_pretrained(root / "classifier")
    AutoTokenizer.from_pretrained(root / "plain").save_pretrained(root / "classifier")

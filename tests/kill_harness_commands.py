"""The writing commands that the kill harness kills."""

import json

from tests.kill_harness_command import Command, drop, files, lucene, run, sealed, trained
from tests.kill_harness_evaluation import make_evaluation_commands
from tests.synthetic import make_world

ON_CPU = ["--device", "cpu", "--precision", "fp32"]


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
        *make_evaluation_commands(world, made),
    ]


def _write_classifier(root):
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    config = AutoConfig.from_pretrained(root / "plain", num_labels=1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertForSequenceClassification(config).save_pretrained(root / "classifier")
    AutoTokenizer.from_pretrained(root / "plain").save_pretrained(root / "classifier")

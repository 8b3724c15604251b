"""One refresh of negatives, encode + search + mine: ours against the same from Pyserini's parts.

    python benchmarks/refresh.py --collection C --topics T --qrels Q
        [--encoder ance] [--documents 2000] [--train-topics 1000] [--repeats 1] [--threads 2]

Ours is ``Refresher.run``: what ``train ance`` does between two steps, loading the checkpoint and
writing vectors and negatives included; its collection was tokenized when training began, once for
all refreshes, which the line below the table has. Pyserini's parts are ``AnceDocumentEncoder`` in
batches of 32 in the collection's order, a FAISS ``IndexFlatIP`` on disk,
``FaissSearcher.batch_search`` with ``AnceQueryEncoder``, and negatives drawn from the hits in
Python. ``--encoder minilm`` is all-MiniLM-L6-v2 through the ``Auto`` encoders; ``ance`` is
RoBERTa-base with ANCE's head and random weights. The documents are the positives of the training
topics and as many others as are asked for.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path

import numpy as np
from stock_ance import write_ance
from turns import Seconds, median, timed, write_table

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_BATCH_SIZE = 32  # of Pyserini's recipes
_DOCUMENT_TOKENS, _QUERY_TOKENS = 512, 64
_DEPTH, _NUM_NEGATIVES = 200, 20  # as train ance has them


@dataclass
class Stages:
    """Seconds of the clock of each stage, all turns."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - started)

    def describe(self) -> str:
        """Give each stage's median and its share of all."""
        medians = {name: statistics.median(values) for name, values in self.seconds.items()}
        total = sum(medians.values())
        return ", ".join(f"{name} {s:.1f} s ({s / total:.0%})" for name, s in medians.items())


@dataclass(frozen=True)
class World:
    """What is refreshed: files that both read, and their content."""

    folder: Path
    checkpoint: str
    is_ance: bool
    texts: dict[str, str]
    topics: dict[str, str]
    positives: dict[str, set[str]]
    threads: int


def main() -> int:
    """Refresh in each way in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--topics", required=True)
    parser.add_argument("--qrels", required=True)
    parser.add_argument("--encoder", choices=("ance", "minilm"), default="ance")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--train-topics", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    from ance_plugin import jvm

    jvm.start()
    import pyserini.search.faiss  # noqa: F401 - here, so that no turn has the time of importing

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        world = _make_world(Path(name), args)
        tokenizing, refresh_ours = _prepare_ours(world)
        stages = {name: Stages() for name in ("Pyserini's parts", "ours, fp32", "ours, bf16")}
        runs: dict[str, Callable[[int], Callable[[], object]]] = {
            "Pyserini's parts": lambda _: lambda: _refresh_stock(world, stages["Pyserini's parts"])
        }
        for p in ("fp32", "bf16"):
            runs[f"ours, {p}"] = lambda turn, p=p: refresh_ours(turn, p, stages[f"ours, {p}"])
        taken: dict[str, list[Seconds]] = {name: [] for name in runs}
        for turn in range(args.repeats):
            for name, prepare in runs.items():
                taken[name].append(timed(prepare(turn))[1])
                sys.stderr.write(f"turn {turn + 1}: {name}\n")
    _print(world, taken, stages, args)
    sys.stdout.write(f"\nOurs tokenizes the collection once, before: {tokenizing:.1f} s\n")
    return 0


def _print(
    world: World,
    taken: dict[str, list[Seconds]],
    stages: dict[str, Stages],
    args: argparse.Namespace,
) -> None:
    sys.stdout.write(
        f"{args.encoder}: {len(world.texts)} documents, {len(world.topics)} topics, depth {_DEPTH},"
        f" {_NUM_NEGATIVES} negatives, {args.threads} threads, medians of {args.repeats}\n\n"
    )
    base, rows = median(taken["Pyserini's parts"]), []
    for name, values in taken.items():
        one = median(values)
        ratios = f"{base.wall / one.wall:.1f}", f"{base.cpu / one.cpu:.1f}"
        numbers = f"{one.wall:.1f}", ratios[0], f"{one.cpu:.1f}", ratios[1]
        rows.append((name, *numbers, stages[name].describe()))
    write_table(("way", "s", "ratio", "CPU s", "ratio", "stages"), rows)


def _make_world(folder: Path, args: argparse.Namespace) -> World:
    """Choose topics and documents, and write the files that ours reads."""
    from ance_plugin.encode.sources import find_checkpoint
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.qrels import read_qrels
    from ance_plugin.formats.topics import read_topics

    qrels = read_qrels(args.qrels)
    every = {document.docid: document.contents for document in Collection(args.collection)}
    topics, positives = {}, {}
    for topic in read_topics(args.topics):
        found = {docid for docid, grade in qrels.get(topic.qid, {}).items() if grade > 0}
        if found and found <= every.keys() and len(topics) < args.train_topics:
            topics[topic.qid], positives[topic.qid] = topic.text, found
    chosen = dict.fromkeys(docid for found in positives.values() for docid in sorted(found))
    chosen |= dict.fromkeys(list(every)[: max(0, args.documents - len(chosen))])
    texts = {docid: every[docid] for docid in chosen}
    lines = (json.dumps({"id": docid, "contents": text}) for docid, text in texts.items())
    (folder / "docs.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    rows = (f"{qid}\t{text}\n" for qid, text in topics.items())
    (folder / "topics.tsv").write_text("".join(rows), encoding="utf-8")
    judged = (f"{qid} 0 {docid} 1\n" for qid, found in positives.items() for docid in sorted(found))
    (folder / "qrels.txt").write_text("".join(judged), encoding="utf-8")
    checkpoint = str(folder / "ance") if args.encoder == "ance" else str(find_checkpoint(MINILM))
    if args.encoder == "ance":
        write_ance(folder / "ance", list(texts.values()))
    is_ance = args.encoder == "ance"
    return World(folder, checkpoint, is_ance, texts, topics, positives, args.threads)


def _refresh_stock(world: World, clock: Stages) -> dict[str, list[str]]:
    """Encode, index, search and draw negatives with what Pyserini has."""
    import faiss
    from pyserini.encode import (
        AnceDocumentEncoder,
        AnceQueryEncoder,
        AutoDocumentEncoder,
        AutoQueryEncoder,
    )
    from pyserini.search.faiss import FaissSearcher

    options = {} if world.is_ance else {"pooling": "mean", "l2_norm": True}
    with clock.stage("encode"):
        kind = AnceDocumentEncoder if world.is_ance else AutoDocumentEncoder
        encoder = kind(world.checkpoint, device="cpu", **options)
        parts = batched(world.texts.values(), _BATCH_SIZE)
        vectors = np.concatenate(
            [encoder.encode(list(part), max_length=_DOCUMENT_TOKENS) for part in parts]
        )
    with clock.stage("index"):
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        folder = world.folder / "stock"
        folder.mkdir(exist_ok=True)
        faiss.write_index(index, str(folder / "index"))
        (folder / "docid").write_text("".join(f"{docid}\n" for docid in world.texts))
    with clock.stage("search"):
        kind = AnceQueryEncoder if world.is_ance else AutoQueryEncoder
        searcher = FaissSearcher(str(folder), kind(world.checkpoint, device="cpu", **options))
        texts, qids = list(world.topics.values()), list(world.topics)
        hits = searcher.batch_search(texts, qids, _DEPTH, world.threads)
    with clock.stage("mine"):
        rng, negatives = random.Random(0), {}
        for qid, found in hits.items():
            others = [hit.docid for hit in found if hit.docid not in world.positives[qid]]
            negatives[qid] = rng.sample(others, min(_NUM_NEGATIVES, len(others)))
    return negatives


def _prepare_ours(world: World) -> tuple[float, Callable[..., Callable[[], Path]]]:
    """Load a training run's inputs; give the seconds of that, and what makes ready a refresh."""
    from ance_plugin.encode.checkpoint import load_checkpoint, save_checkpoint
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.train.folder import TrainingFolder
    from ance_plugin.train.inputs import Inputs
    from ance_plugin.train.negatives.mining import Miner
    from ance_plugin.train.negatives.settings import MiningSettings
    from ance_plugin.train.refresh import Refresher, Task
    from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

    names = [str(world.folder / name) for name in ("docs.jsonl", "topics.tsv", "qrels.txt")]
    lengths = {"max_document_tokens": _DOCUMENT_TOKENS, "max_query_tokens": _QUERY_TOKENS}

    def settle(precision: str) -> TrainSettings:
        return TrainSettings(
            Data(*names, tokens=str(world.folder / "tokens")),
            Start(world.checkpoint, overrides=lengths),
            Optimization(num_steps=1),
            MiningSettings(num_negatives=_NUM_NEGATIVES, depth=_DEPTH),
            Refresh(precision=precision, device="cpu"),
        )

    checkpoint = load_checkpoint(world.checkpoint, **lengths)
    encoder = Encoder(checkpoint, device="cpu", precision="fp32")
    started = time.perf_counter()
    inputs = Inputs.load(settle("fp32"), TrainingFolder(world.folder / "first"), encoder)
    seconds = time.perf_counter() - started
    save_checkpoint(checkpoint, world.folder / "saved")

    def prepare(turn: int, precision: str, clock: Stages) -> Callable[[], Path]:
        settings = settle(precision)
        folder = TrainingFolder(world.folder / f"ours-{precision}-{turn}")
        folder.checkpoint(0).parent.mkdir(parents=True)
        folder.checkpoint(0).symlink_to(world.folder / "saved")
        miner = Miner(inputs.corpus, inputs.qrels, settings.negatives, seed=0)
        refresher = Refresher(folder, settings, inputs, miner)

        def run() -> Path:
            output = refresher.run(Task(step=0, round=0))
            content = json.loads((output / "metadata.json").read_text(encoding="utf-8"))
            for name, value in content["seconds"].items():
                clock.seconds[name].append(value)
            return output

        return run

    return seconds, prepare


if __name__ == "__main__":
    sys.exit(main())

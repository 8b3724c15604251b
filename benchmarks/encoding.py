"""Encoding, ours against stock Pyserini and sentence-transformers, in turns in one process.

    python benchmarks/encoding.py passages --collection docs.jsonl.gz [--count 200]
    python benchmarks/encoding.py minilm --collection docs.jsonl.gz [--count 1024]
    python benchmarks/encoding.py queries --topics queries.tsv [--count 800]
    python benchmarks/encoding.py query --topics queries.tsv [--count 500]

The counts are the defaults, with which each takes about three minutes on two quiet cores.

``passages`` and the two kinds of queries use RoBERTa-base with ANCE's head. Its weights are random,
which changes no time; its byte-level tokenizer is made from the given texts. ``passages`` runs the
loop of ``python -m pyserini.encode`` (batches of 32 in the collection's order, padded to the
longest) against our ``encode`` command, each from a file to vectors on disk; ``minilm`` runs
``SentenceTransformer.encode`` on all-MiniLM-L6-v2 as it is and in bfloat16, and OpenVINO where it
is installed. All read the same texts and cut them at 512 tokens (queries: 64).

The matrix peak is the best rate of the products of the encoder's layers over 4,096 tokens, through
``F.linear`` or oneDNN's operators, taken in every turn. Work is counted as the padding-free forward
pass of all layers: 24 h^2 per token and layer, and attention's 4 h per pair of tokens.

Rates are of the clock, with the ratio of seconds of the processor beside. On a machine that does
other work too, ``--threads 1 --clock cpu`` takes all from the seconds that the process had a
processor, which other processes change little.
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matrix_peak import measure_peak
from openvino_minilm import has_openvino, open_openvino
from stock_ance import write_ance
from turns import Seconds, median, timed, write_table

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
BATCH_SIZE = 32  # Pyserini's recipes'; sentence-transformers' default
_COUNTS = {"passages": 200, "minilm": 1024, "queries": 800, "query": 500}
_MAX_TOKENS = 512


@dataclass
class Way:
    """One way to do the work, and what each turn took."""

    name: str
    run: Callable[[], object]
    precision: str
    taken: list[Seconds] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What all ways do: how many texts, how much arithmetic, and the width of the layers."""

    what: str
    count: int
    flops: float
    hidden_size: int


def main() -> int:
    """Time the ways of one subject, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("subject", choices=list(SUBJECTS))
    parser.add_argument("--collection", help="what our encode takes; for passages and minilm")
    parser.add_argument("--topics", help="what our search takes; for queries and query")
    parser.add_argument("--count", type=int, help="texts, evenly from the whole")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(args.threads)
    texts, count = read_texts(args), args.count or _COUNTS[args.subject]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.subject != "minilm":
            write_ance(folder / "ance", texts)
        step = max(1, len(texts) // count)
        chosen = list(islice(texts, 0, step * count, step))
        work, ways = SUBJECTS[args.subject](chosen, folder)
        peaks = take_turns(ways, work, repeats=args.repeats, clock=args.clock)
    print_table(work, ways, peaks, args.clock)
    sys.stdout.write(f"\n{args.threads} threads, {args.clock} seconds, medians of {args.repeats}\n")
    return 0


def read_texts(args: argparse.Namespace) -> list[str]:
    """Read the texts of all documents, or of all topics."""
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.topics import read_topics

    if args.subject in ("queries", "query"):
        return [topic.text for topic in read_topics(args.topics)]
    return [f"{d.title} {d.text}".strip() for d in Collection(args.collection)]


def take_turns(ways: Sequence[Way], work: Work, *, repeats: int, clock: str) -> dict[str, float]:
    """Run every way once in each turn, and measure the peaks.

    The first turn has what is made once, such as compiled kernels; the median leaves it out.
    """
    peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for turn in range(1, repeats + 1):
        for precision, rates in peaks.items():
            rates.append(measure_peak(work.hidden_size, precision, clock))
        for way in ways:
            way.taken.append(timed(way.run)[1])
        sys.stderr.write(f"turn {turn} of {repeats}\n")
    return {precision: max(rates) for precision, rates in peaks.items()}


def print_table(work: Work, ways: Sequence[Way], peaks: dict[str, float], clock: str) -> None:
    """Print rates, ratios to the first way, and shares of the matrix peaks."""
    first, rows = median(ways[0].taken), []
    for way in ways:
        taken = median(way.taken)
        seconds = getattr(taken, clock)
        rate = work.flops / seconds
        shares = [f"{rate / peaks[p]:.0%}" for p in (way.precision, "bf16")]
        ratios = [f"{getattr(first, clock) / seconds:.1f}", f"{first.cpu / taken.cpu:.1f}"]
        cells = [f"{work.count / seconds:.1f}", *ratios, f"{rate / 1e9:.0f}", *shares]
        rows.append([way.name, *cells])
    for precision, rate in peaks.items():
        rows.append([f"matrix peak, {precision}", "", "", "", f"{rate / 1e9:.0f}", "", ""])
    heads = ("way", f"{work.what}/s", "ratio", "CPU ratio", "useful GFLOP/s", "of its peak")
    write_table((*heads, "of bf16's"), rows)


def compare_passages(texts: list[str], folder: Path) -> tuple[Work, list[Way]]:
    """Stock ``pyserini.encode`` against ours, from a JSONL file to vectors on disk."""
    from ance_plugin import jvm

    jvm.start()
    from pyserini.encode import AnceDocumentEncoder, JsonlCollectionIterator
    from pyserini.encode._base import JsonlRepresentationWriter

    from ance_plugin.encode.corpus import encode_collection
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.formats.collection import Collection

    checkpoint = folder / "ance"
    corpus = folder / "corpus.jsonl"
    lines = (json.dumps({"id": str(n), "contents": text}) for n, text in enumerate(texts))
    corpus.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    stock = AnceDocumentEncoder(str(checkpoint), device="cpu")

    def run_stock() -> None:
        batches = JsonlCollectionIterator(str(corpus), ["text"])(BATCH_SIZE)
        writer = JsonlRepresentationWriter(str(folder / "stock"))
        with writer:
            for batch in batches:
                vectors = stock.encode(texts=batch["text"], max_length=_MAX_TOKENS)
                writer.write({**batch, "vector": vectors}, ["text"])

    ways = [Way("pyserini.encode", run_stock, "fp32")]
    encoders = load_ours(str(checkpoint), {"is_lowercased": False})
    for precision, encoder in encoders.items():

        def run(encoder: Encoder = encoder, output: Path = folder / precision) -> None:
            encode_collection(Collection(str(corpus)), encoder, output, overwrite=True)

        ways.append(Way(f"ance_plugin.encode {precision}", run, precision))
    return count_work("passages", encoders["fp32"], texts, _MAX_TOKENS), ways


def compare_minilm(texts: list[str], folder: Path) -> tuple[Work, list[Way]]:
    """``SentenceTransformer.encode`` in its default and its best settings against ours."""
    del folder
    import torch
    from sentence_transformers import SentenceTransformer

    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.encode.sources import find_checkpoint

    path = str(find_checkpoint(MINILM))
    ways = []
    for name, precision, batch_size in (
        ("default", "fp32", BATCH_SIZE),
        ("bf16", "bf16", BATCH_SIZE),
        ("bf16, 128 a batch", "bf16", 128),
    ):
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        model = SentenceTransformer(path, device="cpu", model_kwargs={"dtype": dtype})
        model.max_seq_length = _MAX_TOKENS

        def run_theirs(model: Any = model, batch_size: int = batch_size) -> None:  # noqa: ANN401
            model.encode(texts, batch_size=batch_size, show_progress_bar=False)

        ways.append(Way(f"SentenceTransformer.encode, {name}", run_theirs, precision))
    if has_openvino():
        theirs = open_openvino(path, batch_size=BATCH_SIZE, max_tokens=_MAX_TOKENS)
        ways.append(Way("OpenVINO, bf16", lambda: theirs(texts), "bf16"))
    encoders = load_ours(MINILM, {"max_document_tokens": _MAX_TOKENS})
    for precision, encoder in encoders.items():

        def run(encoder: Encoder = encoder) -> None:
            encoder.encode_tokens(encoder.tokenize(texts, _MAX_TOKENS))

        ways.append(Way(f"Encoder, {precision}", run, precision))
    return count_work("passages", encoders["fp32"], texts, _MAX_TOKENS), ways


def compare_queries(texts: list[str], folder: Path) -> tuple[Work, list[Way]]:
    """Stock ``AnceQueryEncoder``, which takes one query at a time, against a batch of ours."""
    from ance_plugin import jvm

    jvm.start()
    from pyserini.encode import AnceQueryEncoder

    stock = AnceQueryEncoder(str(folder / "ance"), device="cpu")

    def run_stock() -> None:
        for text in texts:
            stock.encode(text)

    encoders = load_ours(str(folder / "ance"), {})
    ways = [Way("AnceQueryEncoder", run_stock, "fp32")]
    ways += [
        Way(f"Encoder.encode_queries {p}", lambda e=encoder: e.encode_queries(texts), p)  # type: ignore[misc]
        for p, encoder in encoders.items()
    ]
    return count_work("queries", encoders["fp32"], texts, 64), ways


def compare_one_query(texts: list[str], folder: Path) -> tuple[Work, list[Way]]:
    """The same, both one query at a time."""
    work, ways = compare_queries(texts, folder)
    encoders = load_ours(str(folder / "ance"), {})
    for precision, encoder in encoders.items():

        def run(encoder: Any = encoder) -> None:  # noqa: ANN401
            for text in texts:
                encoder.encode(text)

        ways.append(Way(f"Encoder.encode, one by one, {precision}", run, precision))
    return work, [way for way in ways if "encode_queries" not in way.name]


def load_ours(name: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Open a checkpoint in both precisions; a first query lays the weights out."""
    from ance_plugin.encode.encoder import Encoder

    options = {"overrides": overrides, "device": "cpu"}
    encoders = {p: Encoder.load(name, precision=p, **options) for p in ("fp32", "bf16")}
    for encoder in encoders.values():
        encoder.encode("warm up")
    return encoders


def count_work(what: str, encoder: Any, texts: list[str], max_tokens: int) -> Work:  # noqa: ANN401
    """Count the arithmetic of a forward pass without padding."""
    lengths = np.array([len(row) for row in encoder.tokenize(texts, max_tokens)], dtype=np.float64)
    config = encoder._model.body.config
    width, layers = config.hidden_size, config.num_hidden_layers
    flops = layers * (24 * width**2 * lengths.sum() + 4 * width * (lengths**2).sum())
    sys.stderr.write(f"{len(texts)} {what}, {lengths.mean():.1f} tokens on average\n")
    return Work(what, len(texts), float(flops), width)


SUBJECTS: dict[str, Callable[[list[str], Path], tuple[Work, list[Way]]]] = {
    "passages": compare_passages,
    "minilm": compare_minilm,
    "queries": compare_queries,
    "query": compare_one_query,
}

if __name__ == "__main__":
    sys.exit(main())

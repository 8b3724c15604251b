"""A collection of 30 documents, what the commands make of it, and the commands in short form."""

import json
import re

import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search

ANIMALS = ("ant", "bear", "cat", "dog", "elk", "fox", "goat", "hare", "ibis", "jay")
COLOURS = ("red", "green", "blue")
ON_CPU = ["--device", "cpu", "--precision", "fp32"]
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")


@pytest.fixture(scope="session")
def made(tmp_path_factory, encode_docs, search_dense):
    """A folder with the collection, topics, qrels, vectors, dense indexes and a dense run."""
    folder = tmp_path_factory.mktemp("made")
    write_inputs(folder)
    assert encode_docs(folder, folder / "vectors", "--block-size", "7") == 0
    for factory in ("Flat", "HNSW32"):
        words = ["dense", "--vectors", f"{folder}/vectors", "--factory", factory, "--threads", "1"]
        assert index([*words, "--output", f"{folder}/{factory}"]) == 0
    assert search_dense(folder, folder / "dense.trec") == 0
    return folder


@pytest.fixture(scope="session")
def made_both(made, search_sparse):
    """The same folder with a BM25 index and its run too."""
    words = ["bm25", "--collection", f"{made}/docs.jsonl", "--threads", "1"]
    assert index([*words, "--output", f"{made}/bm25"]) == 0
    assert search_sparse(made, made / "bm25.trec") == 0
    return made


def write_inputs(folder):
    """Write 30 documents, one for each animal and colour, 6 topics, and a judgment for each."""
    pairs = [(animal, colour) for colour in COLOURS for animal in ANIMALS]
    texts = [
        f"the {colour} {animal} eats a {pairs[place - 7][0]} and sees the {pairs[place - 4][0]}"
        for place, (animal, colour) in enumerate(pairs)
    ]
    lines = [json.dumps({"id": f"d{n}", "contents": text}) for n, text in enumerate(texts)]
    (folder / "docs.jsonl").write_text("\n".join(lines) + "\n")
    topics = [f"q{number}\t{COLOURS[number % 3]} {ANIMALS[number]}\n" for number in range(6)]
    (folder / "topics.tsv").write_text("".join(topics))
    (folder / "first.tsv").write_text("".join(topics[:3]))
    (folder / "last.tsv").write_text("".join(topics[3:]))
    judged = [f"q{number} 0 d{number + 10 * (number % 3)} 1\n" for number in range(6)]
    (folder / "qrels.txt").write_text("".join(judged))
    (folder / "first.qrels").write_text("".join(judged[:3]))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """Folder of a BERT classifier of 32 dimensions, its weights at random."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("classifier")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "red", "green", "blue", "fox"]
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(pieces),
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
        num_labels=1,
        **sizes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encode_docs(tiny_checkpoint):
    """A function that encodes a folder's docs.jsonl with the tiny checkpoint."""

    def call(folder, output, *words):
        words = ["--encoder", str(tiny_checkpoint), *ON_CPU, *words]
        return encode(["--collection", f"{folder}/docs.jsonl", *words, "--output", str(output)])

    return call


@pytest.fixture(scope="session")
def search_dense():
    """A function that searches a folder's dense index."""

    def call(folder, output, *words, topics="topics.tsv", name="Flat"):
        words = ["--index", f"{folder}/{name}", *ON_CPU, *words, "--output", str(output)]
        return search(["--topics", f"{folder}/{topics}", *words])

    return call


@pytest.fixture(scope="session")
def search_sparse():
    """A function that searches a folder's BM25 index."""

    def call(folder, output, *words, topics="topics.tsv"):
        words = ["--sparse-index", f"{folder}/bm25", *words, "--output", str(output)]
        return search(["--topics", f"{folder}/{topics}", *words])

    return call


@pytest.fixture(scope="session")
def search_both(search_dense):
    """A function that searches both indexes of a folder."""

    def call(folder, output, *words, topics="topics.tsv"):
        words = ["--sparse-index", f"{folder}/bm25", *words]
        return search_dense(folder, output, *words, topics=topics)

    return call


@pytest.fixture
def read_problem(capfd):
    """A function that gives the one line that says what was wrong.

    Nothing but log lines and usage may stand before it, whoever wrote it: Python, FAISS or Java.
    """
    capfd.readouterr()

    def read():
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        *before, last = captured.err.splitlines()
        assert last.startswith("python -m ")
        assert ": error: " in last
        assert captured.out == ""
        others = [line for line in before if not LOG_LINE.match(line)]
        assert all(line.startswith(("usage:", " ")) for line in others), others
        return last.partition(": error: ")[2]

    return read

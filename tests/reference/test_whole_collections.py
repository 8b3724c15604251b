"""Whole collections through both toolkits: indexes and checkpoints swapped, the runs are the same.

A small random ANCE model encodes all of Vaswani and all of SciFact twice, here and with stock
``pyserini.encode``, and each index is searched with all test topics by both toolkits.
"""

import json

import numpy as np
import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search

K = 100
TOLERANCE = 1e-4  # of scores near 50
MOVED_AT_MOST = 0.005
PLAIN = ["--no-lowercase"]  # stock Pyserini, with transformers 5, does not lower-case
COLLECTIONS = {  # id: topics, fields, documents, topics
    "vaswani": ("vaswani", ["text"], 11_429, 93),
    "beir/scifact": ("beir/scifact/test", ["title", "text"], 5_183, 300),
}

pytestmark = [pytest.mark.java, pytest.mark.slow]


@pytest.fixture(
    scope="module", params=["beir/scifact", pytest.param("vaswani", marks=pytest.mark.long)]
)
def runs(request, tmp_path_factory, random_ance, run_stock):
    """Four runs of a collection: each toolkit's search of each toolkit's index."""
    folder = tmp_path_factory.mktemp("whole")
    topics, fields, num_documents, num_topics = COLLECTIONS[request.param]
    export(random_ance, folder)
    assert write_documents(request.param, folder) == num_documents
    assert write_topics(topics, folder) == num_topics
    encode_and_index(request.param, folder)
    stock_searches = [stock_search(folder, name) for name in ("our-index", "stock-index")]
    run_stock(*stock_encode_and_index(folder, fields), *stock_searches)
    for name in ("our-index", "stock-index"):
        our_search(folder, name)
    found = {path.stem: read_run(path) for path in folder.glob("*.trec")}
    assert {len(run) for run in found.values()} == {num_topics}
    assert {len(hits) for run in found.values() for hits in run.values()} == {K}
    return found


def export(model, folder):
    """Take the model into our layout, and from there out again to Pyserini's."""
    words = ["--encoder", str(model), "--to", "ance", "--output", f"{folder}/ours"]
    assert encode(["export", *words]) == 0
    words = ["--encoder", f"{folder}/ours", "--to", "pyserini", "--output", f"{folder}/exported"]
    assert encode(["export", *words]) == 0


def write_documents(name, folder):
    """Write all documents as the JSON lines that ``pyserini.encode`` reads; count them."""
    (folder / "documents").mkdir()
    lines = [
        json.dumps({"id": doc.docid, "title": doc.title, "text": doc.text}) + "\n"
        for doc in Collection(name)
    ]
    (folder / "documents" / "all.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(lines)


def write_topics(name, folder):
    """Write all topics as a TSV, which both read; count them."""
    topics = read_topics(name)
    lines = [f"{topic.qid}\t{' '.join(topic.text.split())}\n" for topic in topics]
    (folder / "topics.tsv").write_text("".join(lines), encoding="utf-8")
    return len(lines)


def encode_and_index(name, folder):
    words = ["--collection", name, "--encoder", f"{folder}/ours", "--precision", "fp32"]
    words += [*PLAIN, "--max-length", "256", "--output", f"{folder}/vectors"]
    assert encode(words) == 0
    words = ["dense", "--vectors", f"{folder}/vectors", "--output", f"{folder}/our-index"]
    assert index(words) == 0


def stock_encode_and_index(folder, fields):
    return [
        ["encode", "input", "--corpus", folder / "documents", "--fields", *fields,
         "output", "--embeddings", folder / "embeddings",
         "encoder", "--encoder", folder / "exported", "--encoder-class", "ance",
         "--fields", *fields, "--device", "cpu"],
        ["index.faiss", "--input", folder / "embeddings", "--output", folder / "stock-index",
         "--threads", "2"],
    ]  # fmt: skip


def stock_search(folder, name):
    return ["search.faiss", "--index", folder / name, "--topics", folder / "topics.tsv",
            "--encoder", folder / "exported", "--encoder-class", "ance", "--hits", K,
            "--output", folder / f"{name} by stock.trec"]  # fmt: skip


def our_search(folder, name):
    words = ["--index", f"{folder}/{name}", "--topics", f"{folder}/topics.tsv", "--hits", str(K)]
    words += ["--encoder", f"{folder}/ours", *PLAIN, "--precision", "fp32"]
    assert search([*words, "--output", f"{folder}/{name} by ours.trec"]) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("our-index by stock", "our-index by ours"),
        ("stock-index by ours", "stock-index by stock"),
        ("our-index by stock", "stock-index by ours"),
        ("our-index by ours", "stock-index by stock"),
    ],
)
def test_either_toolkit_finds_the_same_in_either_index(runs, name, expected):
    """Every hit has the other run's docid and score; another docid only where scores are equal."""
    num_moved = sum(count_moved(runs[name][qid], runs[expected][qid]) for qid in runs[expected])

    assert num_moved <= MOVED_AT_MOST * K * len(runs[expected])


def count_moved(hits, expected):
    """Count the places with another docid, each of them within the tolerance of its place."""
    scores, wanted = [hit.score for hit in hits], [hit.score for hit in expected]
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=TOLERANCE)
    moved = [place for place in range(K) if hits[place].docid != expected[place].docid]
    known = dict(expected)
    for place in moved:  # a document that is not among the expected is tied with the last of them
        score = known.get(hits[place].docid, wanted[-1])
        assert abs(score - wanted[place]) <= TOLERANCE, hits[place]
    return len(moved)

"""A dirty collection and dirty topics through every command: documented results, no traceback."""

import json

import numpy as np
import pytest

from ance_plugin.formats.runs import read_run
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search

DOCUMENTS = {
    "empty": "",
    "blank": " \t ",
    "nul": "a\0b red fox",
    "escape": "\x1b[31m red fox \u202e",
    "emoji": "😀 👍🏽",
    "huge": "red fox " * 125_000,
    "007": "red fox",
    "../../x": "blue cat",
    "日本": "red cat",
}
TOPICS = {
    "plain": "red fox",
    "operators": 'red AND ("fox',
    "symbols": "+red -fox!",
    "nothing": "... ?!",
    "empty": "",
    "emoji": "😀",
    "huge": "red fox " * 20_000,
    "007": "cat",
}


@pytest.fixture(scope="module")
def dirty(tmp_path_factory, encode_docs):
    """A folder with the collection, the topics, and a dense index."""
    folder = tmp_path_factory.mktemp("dirty")
    lines = [json.dumps({"id": docid, "contents": text}) for docid, text in DOCUMENTS.items()]
    (folder / "docs.jsonl").write_text("\n".join(lines))
    lines = [json.dumps({"qid": qid, "text": text}) for qid, text in TOPICS.items()]
    (folder / "topics.jsonl").write_text("\n".join(lines))
    assert encode_docs(folder, folder / "vectors") == 0
    assert index(["dense", "--vectors", f"{folder}/vectors", "--output", f"{folder}/Flat"]) == 0
    return folder


def test_dense_search_ranks_every_document_for_every_topic(dirty, tmp_path, search_dense):
    """An empty text has a vector like any other; hits beyond the collection are not made up."""
    words = ["--hits", "100000", "--verify"]
    assert search_dense(dirty, tmp_path / "run", *words, topics="topics.jsonl") == 0

    run = read_run(tmp_path / "run")
    assert list(run) == list(TOPICS)
    assert {len(hits) for hits in run.values()} == {len(DOCUMENTS)}
    scores = np.array([hit.score for hits in run.values() for hit in hits])
    assert np.isfinite(scores).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.json"]


@pytest.mark.java
def test_bm25_takes_operators_for_plain_text(dirty, tmp_path):
    """Topics without a known word have no hits; documents without text are not in the index."""
    words = ["bm25", "--collection", f"{dirty}/docs.jsonl", "--output", f"{tmp_path}/bm25"]
    assert index(words) == 0
    words = ["--topics", f"{dirty}/topics.jsonl", "--sparse-index", f"{tmp_path}/bm25"]
    assert search([*words, "--hits", "100000", "--output", f"{tmp_path}/run"]) == 0

    run = {qid: [hit.docid for hit in hits] for qid, hits in read_run(tmp_path / "run").items()}
    both = run["plain"]
    assert set(both) == {"nul", "escape", "huge", "007", "日本"}
    assert run["operators"] == both  # "and" is a stop word
    assert run["symbols"] == both
    assert set(run["huge"]) == set(both)
    assert set(run["007"]) == {"../../x", "日本"}
    assert not {"nothing", "empty"} & run.keys()

"""The search command: feedback, passages, kinds of index, and flags that do not fit together."""

import json

import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.formats.runs import read_run
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search

DOCUMENTS = {
    "d1": "ant sees bear and " + "the cat eats " * 20,
    "d2": "dog chases elk",
    "d3": "fox likes the goat",
    "d4": "red owl and blue pig " * 10,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_checkpoint):
    """A collection, topics, and a dense index of one vector a document and of chunks."""
    folder = tmp_path_factory.mktemp("command")
    lines = [json.dumps({"id": docid, "contents": text}) for docid, text in DOCUMENTS.items()]
    (folder / "c.jsonl").write_text("\n".join(lines))
    (folder / "topics.tsv").write_text("1\tant and bear\n2\tgoat\n")
    words = ["--collection", f"{folder}/c.jsonl", "--encoder", str(tiny_checkpoint)]
    for name, more in (("plain", []), ("chunks", ["--maxp", "chunks"])):
        vectors = f"{folder}/{name}.vectors"
        assert encode([*words, "--output", vectors, *more]) == 0
        assert index(["dense", "--vectors", vectors, "--output", f"{folder}/{name}"]) == 0
    return folder


def run_search(folder, name, *more):
    output = folder / "run"
    words = ["--topics", f"{folder}/topics.tsv", "--index", str(folder / name)]
    assert search([*words, "--output", str(output), *more]) == 0
    return read_run(output), json.loads((folder / "run.json").read_text())


def test_feedback_is_in_the_manifest(folder):
    """Method, depth and numbers stand there, and the run is another one than without."""
    plain, _ = run_search(folder, "plain")
    words = ["--prf-depth", "2", "--prf-method", "rocchio", "--rocchio-alpha", "0.5"]

    run, manifest = run_search(folder, "plain", *words)

    expected = {"alpha": 0.5, "beta": 0.1, "gamma": 0.1, "topk": 3, "bottomk": 0}
    assert manifest["feedback"] == {"depth": 2, "method": "rocchio", **expected}
    assert run.keys() == plain.keys() == {"1", "2"}
    assert run["1"] != plain["1"]


def test_a_depth_alone_averages_and_zero_is_off(folder):
    """As in Pyserini: the method is avg unless given, and depth 0 is no feedback."""
    plain, manifest = run_search(folder, "plain", "--prf-depth", "0")
    averaged, manifest_averaged = run_search(folder, "plain", "--prf-depth", "3")

    assert "feedback" not in manifest
    assert manifest_averaged["feedback"] == {"depth": 3, "method": "avg"}
    assert plain["1"] != averaged["1"]


def test_chunks_become_documents(folder):
    """With --max-passage, an index of chunks ranks documents, each once."""
    passages, manifest = run_search(folder, "chunks")
    documents, _ = run_search(folder, "chunks", "--max-passage")

    assert {hit.docid for hit in passages["1"]} >= {"d1#0", "d1#1", "d1#2", "d2#0", "d3#0"}
    assert manifest["index"]["maxp"] == "chunks"
    assert sorted(hit.docid for hit in documents["1"]) == sorted(DOCUMENTS)


@pytest.mark.java
@pytest.mark.parametrize("kind", ["lucene-flat", "lucene-hnsw"])
def test_a_lucene_index_is_recognised(folder, kind):
    """--index pointing at one gives the run of the exact index."""
    words = ["--vectors", f"{folder}/plain.vectors", "--output", f"{folder}/{kind}"]
    assert index([kind, *words]) == 0
    exact, _ = run_search(folder, "plain")

    run, manifest = run_search(folder, kind)

    assert manifest["index"]["factory"] == kind
    for qid, hits in exact.items():
        assert [hit.docid for hit in run[qid]] == [hit.docid for hit in hits]
        assert [hit.score for hit in run[qid]] == pytest.approx([h.score for h in hits], abs=1e-4)


@pytest.fixture(scope="module")
def bm25(folder):
    """Flags of ANCE-PRF with a sparse index of the same documents."""
    words = ["--collection", f"{folder}/c.jsonl", "--output", f"{folder}/bm25"]
    assert index(["bm25", *words]) == 0
    return ["--prf-depth", "1", "--prf-method", "ance-prf", "--sparse-index", f"{folder}/bm25"]


@pytest.mark.java
def test_ance_prf_reads_texts_from_the_sparse_index(folder, bm25, make_tiny_checkpoint):
    """Without --fusion, --sparse-index gives texts and no hits; with it, both."""
    encoder = str(make_tiny_checkpoint(num_positions=512))
    words = [*bm25, "--ance-prf-encoder", encoder]

    _, manifest = run_search(folder, "plain", *words)
    _, fused = run_search(folder, "plain", *words, "--fusion", "rrf")

    assert (manifest["kind"], fused["kind"]) == ("dense", "hybrid")
    assert manifest["feedback"]["encoder"]["name"] == encoder


@pytest.mark.java
def test_ance_prf_refuses_a_short_encoder(folder, bm25, tiny_checkpoint, capsys):
    """64 positions hold no 512 tokens; said in one line, and no run is written."""
    words = ["--topics", f"{folder}/topics.tsv", "--index", f"{folder}/plain", *bm25]
    words += ["--ance-prf-encoder", str(tiny_checkpoint), "--output", f"{folder}/none"]

    assert search(words) == 1

    assert f"512 tokens, but {tiny_checkpoint} has 64 positions" in capsys.readouterr().err
    assert not (folder / "none").exists()


@pytest.mark.java
@pytest.mark.parametrize("kind", ["lucene-flat", "lucene-hnsw"])
def test_a_lucene_index_gives_vectors_back_for_feedback(folder, tmp_path, kind):
    """Feedback from it is feedback from the exact index."""
    words = ["--vectors", f"{folder}/plain.vectors", "--output", f"{tmp_path}/{kind}"]
    assert index([kind, *words]) == 0
    feedback = ["--prf-depth", "2", "--prf-method", "rocchio", "--rocchio-alpha", "0.5"]
    exact, _ = run_search(folder, "plain", *feedback)

    run, _ = run_search(folder, tmp_path / kind, *feedback)

    for qid, hits in exact.items():
        assert [hit.docid for hit in run[qid]] == [hit.docid for hit in hits]
        assert [hit.score for hit in run[qid]] == pytest.approx([h.score for h in hits], abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prf-method", "avg"], "--prf-method needs --prf-depth"),
        (["--prf-depth", "3", "--rocchio-beta", "1"], "--rocchio-beta needs --prf-method rocchio"),
        (["--prf-depth", "3", "--prf-method", "ance-prf"], "needs --ance-prf-encoder and"),
        (["--prf-depth", "3", "--ance-prf-encoder", "e"], "needs --prf-method ance-prf"),
        (["--encoded-queries", "q", "--encoder", "e"], "--encoded-queries takes the place of"),
    ],
)
def test_flags_that_do_not_fit_are_wrong_usage(folder, capsys, words, message):
    """Exit code 2 and the flags' names, before anything is opened."""
    start = ["--topics", "t", "--index", "i", "--output", f"{folder}/none"]

    assert search([*start, *words]) == 2

    assert message in capsys.readouterr().err


def test_an_index_that_is_nowhere_is_an_error(folder, capsys):
    """Neither a folder nor one of Pyserini's names."""
    words = ["--topics", f"{folder}/topics.tsv", "--output", f"{folder}/none"]

    assert search([*words, "--index", "no-such-index"]) == 1

    assert "no-such-index: no such directory; nor has Pyserini" in capsys.readouterr().err


def test_a_sparse_index_that_is_nowhere_is_an_error(folder, capsys):
    """Neither a folder nor one of Pyserini's names; a name of a dense one is told apart."""
    words = ["--topics", f"{folder}/topics.tsv", "--output", f"{folder}/none"]

    assert search([*words, "--sparse-index", "no-such-index"]) == 1
    assert search([*words, "--sparse-index", "msmarco-v1-passage.ance"]) == 1

    err = capsys.readouterr().err
    assert "no-such-index: no such directory; nor has Pyserini a prebuilt BM25 index of" in err
    assert "is a prebuilt FAISS index of Pyserini's; give it to --index" in err

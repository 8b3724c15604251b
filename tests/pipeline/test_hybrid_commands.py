"""BM25 and hybrid commands: searching both at once is fusing two run files."""

import json
import re

import pytest

from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.fusion.__main__ import main as fusion
from ance_plugin.index.__main__ import main as index
from evaluation.__main__ import main as evaluate


def read_json(path):
    return json.loads(path.read_text())


@pytest.mark.java
def test_bm25_run_has_the_documents_with_a_word_of_the_query(made_both):
    """Each hit holds a word of the query, and each document that does is a hit."""
    documents = {
        document.docid: document.text for document in Collection(f"{made_both}/docs.jsonl")
    }
    run = read_run(made_both / "bm25.trec")

    for topic in read_topics(f"{made_both}/topics.tsv"):
        wanted = set(topic.text.split())
        expected = {name for name, text in documents.items() if wanted & set(text.split())}
        assert {hit.docid for hit in run[topic.qid]} == expected
    manifest = read_json(made_both / "bm25.trec.json")
    assert manifest["kind"] == "bm25"
    assert manifest["bm25"] == {"k1": 0.9, "b": 0.4}
    assert manifest["sparse_index"]["analyzer"] == "DefaultEnglishAnalyzer"


@pytest.mark.java
@pytest.mark.parametrize("words", [["--k1", "-1"], ["--k1", "nan"], ["--k1", "inf"], ["--b", "2"]])
def test_bm25_parameters_out_of_range_are_refused(
    made_both, tmp_path, words, search_sparse, read_problem
):
    """The message has the parameter and its value."""
    assert search_sparse(made_both, tmp_path / "run", *words) != 0

    problem = read_problem()
    assert words[0].strip("-") in problem
    assert words[1] in problem
    assert list(tmp_path.iterdir()) == []


METHODS = [
    ["rrf"],
    ["rrf", "--rrf-k", "7", "--hits", "5"],
    ["rrf", "--depth", "3"],
    ["interpolation"],
    ["interpolation", "--alpha", "0.3", "--normalization", "--weight-on-dense"],
    ["wsum", "--weights", "0.3", "0.7", "--norm", "zmuv"],
]


@pytest.mark.java
@pytest.mark.parametrize("words", METHODS, ids=" ".join)
def test_hybrid_run_is_the_fusion_of_both_runs(made_both, tmp_path, words, search_both):
    """Searching both at once and fusing two run files give the same bytes, but for the tag."""
    files = [str(made_both / name) for name in ("bm25.trec", "dense.trec")]

    assert search_both(made_both, tmp_path / "live", "--fusion", *words, "--tag", "x") == 0
    words = ["--method", *words, "--tag", "yy", "--output", f"{tmp_path}/files"]
    assert fusion(["--runs", *files, *words]) == 0

    live, offline = ((tmp_path / name).read_text() for name in ("live", "files"))
    assert live.count("\n") >= 30
    assert re.sub(" x$", " yy", live, flags=re.MULTILINE) == offline
    manifests = [read_json(tmp_path / f"{name}.json") for name in ("live", "files")]
    assert manifests[0]["kind"] == "hybrid"
    assert manifests[0]["fusion"] == manifests[1]["fusion"]


@pytest.mark.java
def test_tuned_settings_are_refused_on_their_own_topics(
    made_both, tmp_path, search_both, read_problem, capfd
):
    """Tuned on three topics, a file is taken for the three others and refused for these."""
    files = [str(made_both / name) for name in ("bm25.trec", "dense.trec")]
    words = ["--qrels", f"{made_both}/first.qrels", "--method", "interpolation"]
    tuned = tmp_path / "tuned.json"
    assert fusion(["tune", "--runs", *files, *words, "--output", str(tuned)]) == 0
    words = ["--params", str(tuned)]
    capfd.readouterr()

    assert search_both(made_both, tmp_path / "other", *words, topics="last.tsv") == 0
    capfd.readouterr()
    assert search_both(made_both, tmp_path / "same", *words, topics="first.tsv") == 1
    problem = read_problem()
    assert fusion(["--runs", *files, *words, "--output", f"{tmp_path}/fused"]) == 1
    assert "tuned on" in read_problem()
    allowed = [*words, "--allow-leak"]
    assert search_both(made_both, tmp_path / "allowed", *allowed, topics="first.tsv") == 0

    assert "3 topics" in problem
    assert "--allow-leak" in problem
    assert not (tmp_path / "same").exists()
    assert read_json(tmp_path / "other.json")["fusion"]["method"] == "interpolation"
    assert read_json(tmp_path / "other.json")["fusion"]["tuned_on"]["qids"] == ["q0", "q1", "q2"]
    assert read_json(tmp_path / "allowed.json")["allow_leak"] is True
    compared = evaluate(
        [
            "compare",
            "--qrels",
            f"{made_both}/first.qrels",
            "--runs",
            f"{tmp_path}/allowed",
            "--output",
            f"{tmp_path}/report",
        ]
    )
    assert compared == 0
    assert "was tuned on 3 of the 3 topics" in (tmp_path / "report" / "table.md").read_text()


@pytest.mark.java
def test_weights_tuned_on_runs_in_another_order_are_not_applied_to_the_wrong_side(
    made_both, tmp_path, search_both, read_problem, capfd
):
    """Weights of dense and sparse, in this order, are exchanged or refused by hybrid search."""
    files = [str(made_both / name) for name in ("dense.trec", "bm25.trec")]
    words = ["--qrels", f"{made_both}/first.qrels", "--method", "wsum"]
    tuned = tmp_path / "tuned.json"
    assert fusion(["tune", "--runs", *files, *words, "--output", str(tuned)]) == 0
    content = read_json(tuned)
    content["params"]["weights"] = [1.0, 0.0]  # dense alone
    tuned.write_text(json.dumps(content))
    words = ["--params", str(tuned), "--tag", "x"]
    capfd.readouterr()

    code = search_both(made_both, tmp_path / "live", *words, topics="last.tsv")

    if code == 0:
        live, dense = read_run(tmp_path / "live"), read_run(made_both / "dense.trec")
        assert all(
            [hit.docid for hit in live[qid]] == [hit.docid for hit in dense[qid]] for qid in live
        )
    else:
        assert "order" in read_problem()


@pytest.mark.java
def test_documents_without_text_are_left_out_of_the_bm25_index(tmp_path):
    """Lucene takes none of them; the others are searched, and the metadata counts both."""
    collection = tmp_path / "docs.jsonl"
    collection.write_text('{"id": "a", "contents": "hello"}\n{"id": "b", "contents": " "}\n')

    assert index(["bm25", "--collection", str(collection), "--output", f"{tmp_path}/bm25"]) == 0

    metadata = json.loads((tmp_path / "bm25" / "metadata.json").read_text())
    assert (metadata["num_documents"], metadata["num_without_text"]) == (1, 1)

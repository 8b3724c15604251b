"""``evaluation latency``: every system that the flags allow, in one report; wrong usage at once."""

import json

import pytest

from evaluation.__main__ import main as evaluate


def latency(made, output, *words):
    inputs = ["--topics", f"{made}/topics.tsv", "--collection", f"{made}/docs.jsonl"]
    few = ["--warmup", "2", "--batch-size", "3", "--device", "cpu", "--precision", "fp32"]
    return evaluate(["latency", *inputs, *few, "--output", str(output), *words])


@pytest.mark.java
def test_report_has_every_system(made_both, classifier, tmp_path, capsys):
    """BM25, dense, hybrid, and reranking at two depths, single and in batches."""
    made = made_both
    indexes = ["--sparse-index", f"{made}/bm25", "--index", f"{made}/Flat"]
    reranking = ["--reranker", str(classifier), "--depth", "3", "9", "--sample-documents", "4"]

    assert latency(made, tmp_path / "report", *indexes, *reranking) == 0

    report = json.loads((tmp_path / "report/latency.json").read_text())
    names = [("bm25", None), ("dense", None), ("hybrid-rrf", None)]
    names += [("bm25-rerank", 3), ("bm25-rerank", 9)]
    rows = report["systems"]
    assert [(row["name"], row["depth"]) for row in rows] == names * 2
    assert [(row["batch_size"], row["num_queries"]) for row in rows] == [(1, 6)] * 5 + [(3, 6)] * 5
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert sum(stage["share"] for stage in row["stages"].values()) == pytest.approx(1)
    rerank = ["bm25", "fetch texts", "tokenise pairs", "rerank", "sort", "other"]
    assert list(rows[4]["stages"]) == rerank
    assert report["ratios"]["bm25-rerank 9"]["dense"]["num_topics"] == 6
    assert report["offline"]["encode"]["num_documents"] == 4
    assert report["offline"]["sparse index"]["num_documents"] == 30
    assert report["models"]["reranker"]["precision"] == "fp32"
    assert "How many times as long reranking takes" in capsys.readouterr().out


def test_dense_search_needs_no_java(made, tmp_path):
    """One system where one index is given, and no ratio."""
    assert latency(made, tmp_path / "report", "--index", f"{made}/Flat") == 0

    report = json.loads((tmp_path / "report/latency.json").read_text())
    assert {row["name"] for row in report["systems"]} == {"dense"}
    assert report["ratios"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --sparse-index for BM25, --index for dense search, or both"),
        (["--index", "i", "--reranker", "m"], "--reranker needs --sparse-index"),
        (["--sparse-index", "s", "--encoder", "e"], "--encoder needs --index"),
        (["--index", "i", "--max-seconds", "0"], "max_seconds must be above 0, found 0.0"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(made, tmp_path, capsys, words, message):
    """Exit code 2, the reason, and no output."""
    assert latency(made, tmp_path / "report", *words) == 2

    assert message in capsys.readouterr().err
    assert not (tmp_path / "report").exists()

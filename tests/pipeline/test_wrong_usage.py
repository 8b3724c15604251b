"""Flags that cannot be meant: exit code 2, one line, before any file is opened."""

import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.fusion.__main__ import main as fusion
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search
from evaluation.__main__ import main as evaluate

WRONG_SEARCH = {
    "no index": [],
    "k1 without a sparse index": ["--index", "D", "--k1", "0.9"],
    "b without a sparse index": ["--index", "D", "--b", "0.4"],
    "encoder without an index": ["--sparse-index", "S", "--encoder", "E"],
    "ef-search without an index": ["--sparse-index", "S", "--ef-search", "9"],
    "two indexes and no fusion": ["--index", "D", "--sparse-index", "S"],
    "fusion of one index": ["--index", "D", "--fusion", "rrf"],
    "unknown fusion": ["--index", "D", "--sparse-index", "S", "--fusion", "nonsense"],
    "alpha of rrf": ["--index", "D", "--sparse-index", "S", "--fusion", "rrf", "--alpha", "1"],
    "both params and flags": [
        *("--index", "D", "--sparse-index", "S"),
        *("--params", "P", "--fusion", "rrf"),
    ],
    "alpha below zero": [
        *("--index", "D", "--sparse-index", "S"),
        *("--fusion", "interpolation", "--alpha", "-1"),
    ],
    "three weights": [
        *("--index", "D", "--sparse-index", "S"),
        *("--fusion", "wsum", "--weights", "1", "2", "3"),
    ],
    "hits 0": ["--index", "D", "--hits", "0"],
    "hits -1": ["--index", "D", "--hits=-1"],
    "hits that are no number": ["--index", "D", "--hits", "many"],
    "threads 0": ["--index", "D", "--threads", "0"],
    "batch size 0": ["--index", "D", "--batch-size", "0"],
    "unknown format": ["--index", "D", "--output-format", "csv"],
    "unknown flag": ["--index", "D", "--nonsense"],
    "abbreviated flag": ["--index", "D", "--hit", "3"],
    "tag of two words": ["--index", "D", "--tag", "two words"],
    "empty delimiter": ["--index", "D", "--max-passage", "--max-passage-delimiter", ""],
    "max-passage-hits without max-passage": ["--index", "D", "--max-passage-hits", "3"],
    "alpha of one index": ["--index", "D", "--alpha", "0.3"],
    "rrf-k of one index": ["--sparse-index", "S", "--rrf-k", "10"],
    "depth of one index": ["--sparse-index", "S", "--depth", "10"],
    "pooling without an index": ["--sparse-index", "S", "--pooling", "cls"],
    "run named as a manifest": ["--index", "D", "--output", "run.json"],
    "precision without an index": ["--sparse-index", "S", "--precision", "fp32"],
}


@pytest.mark.parametrize("words", WRONG_SEARCH.values(), ids=list(WRONG_SEARCH))
def test_wrong_usage_of_search_is_exit_code_2(made, tmp_path, words, read_problem):
    """Flags that cannot be meant so are refused before any file is opened."""
    code = search(["--topics", f"{made}/topics.tsv", "--output", f"{tmp_path}/run", *words])

    assert (code, bool(read_problem())) == (2, True)
    assert list(tmp_path.iterdir()) == []


OUTPUT = ["--output", "O"]
WRONG_ELSEWHERE = {
    "index of nothing": (index, []),
    "unknown index": (index, ["nonsense"]),
    "dense without vectors": (index, ["dense", *OUTPUT]),
    "bm25 without output": (index, ["bm25", "--collection", "C"]),
    "bm25 with 0 threads": (index, ["bm25", "--collection", "C", *OUTPUT, "--threads", "0"]),
    "encode without encoder": (encode, ["--collection", "C", *OUTPUT]),
    "shard id beyond": (
        encode,
        ["--collection", "C", "--encoder", "E", *OUTPUT, "--shard-id", "2", "--shard-num", "2"],
    ),
    "shard id below": (
        encode,
        ["--collection", "C", "--encoder", "E", *OUTPUT, "--shard-id=-1", "--shard-num", "2"],
    ),
    "block size 0": (encode, ["--collection", "C", "--encoder", "E", *OUTPUT, "--block-size", "0"]),
    "max length 0": (encode, ["--collection", "C", "--encoder", "E", *OUTPUT, "--max-length", "0"]),
    "fusion of one run": (fusion, ["--runs", "A", *OUTPUT]),
    "fusion of no run": (fusion, OUTPUT),
    "fusion with hits 0": (fusion, ["--runs", "A", "B", *OUTPUT, "--hits", "0"]),
    "tune of one run": (fusion, ["tune", "--runs", "A", "--qrels", "Q", *OUTPUT]),
    "evaluation of nothing": (evaluate, []),
    "compare without qrels": (evaluate, ["compare", "--runs", "A", *OUTPUT]),
}


@pytest.mark.parametrize(("main", "words"), WRONG_ELSEWHERE.values(), ids=list(WRONG_ELSEWHERE))
def test_wrong_usage_is_exit_code_2(tmp_path, monkeypatch, main, words, read_problem):
    """As for search: one line, no traceback, nothing written."""
    monkeypatch.chdir(tmp_path)

    code = main(words)

    assert (code, bool(read_problem())) == (2, True)
    assert list(tmp_path.iterdir()) == []

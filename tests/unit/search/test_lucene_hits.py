"""Hits without stored fields are those of Anserini's searcher, to the last digit."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.search.lucene_hits import adjust_ties
from tests.conftest import WORDS as TEXT

WORDS = TEXT.split()


def adjust_one_by_one(scores):
    """Do what Anserini documents: round, and lower what is not 0.0001 below the one before."""
    adjusted, num_equal = [], 0
    for score in np.asarray(scores, np.float32):
        rounded = np.float32(np.floor(np.float64(score) * 1e4 + 0.5) / 1e4)
        if not adjusted or adjusted[-1] - rounded > np.float32(1e-4):
            num_equal = 0
        else:
            num_equal += 1
            rounded -= np.float32(1e-6) * np.float32(num_equal)
        adjusted.append(rounded)
    return adjusted


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 2, 5, 9, 15, 100, 5000]), max_size=60),
    unit=st.sampled_from([1e-5, 3e-5, 1e-4]),
    highest=st.floats(1, 60),
)
def test_ties_are_lowered_as_anserini_lowers_them(gaps, unit, highest):
    """Chains of near ties included, where what was lowered decides about the next."""
    scores = (highest - np.cumsum([0, *gaps]) * unit).astype(np.float32)

    assert adjust_ties(scores).tolist() == [float(score) for score in adjust_one_by_one(scores)]


def test_a_thousand_equal_scores_stay_in_order():
    """Each is 0.000001 below the one before; nothing else changes."""
    adjusted = adjust_ties(np.full(1000, 12.34567, np.float32))

    assert adjusted[0] == np.float32(12.3457)
    assert adjusted.tolist() == [float(score) for score in adjust_one_by_one([12.34567] * 1000)]


def test_no_hits_have_no_scores():
    """A query without a known term."""
    assert adjust_ties(np.empty(0, np.float32)).tolist() == []


@pytest.fixture(scope="module")
def bm25(tmp_path_factory):
    """A searcher of documents of few words, so that many scores are equal."""
    from ance_plugin.formats.collection import Collection
    from ance_plugin.index.bm25 import build_bm25_index
    from ance_plugin.search.bm25 import Bm25Searcher

    folder, rng = tmp_path_factory.mktemp("bm25"), random.Random(0)
    texts = (" ".join(rng.choices(WORDS, k=rng.randint(1, 4))) for _ in range(3000))
    lines = (json.dumps({"id": f"é{n}", "contents": text}) + "\n" for n, text in enumerate(texts))
    (folder / "docs.jsonl").write_text("".join(lines), encoding="utf-8")
    build_bm25_index(Collection(str(folder / "docs.jsonl")), folder / "index", threads=2)
    return Bm25Searcher(folder / "index", k1=1.1, b=0.6)


@pytest.mark.java
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("k", [1, 10, 1000, 5000])
def test_hits_are_those_of_simple_searcher(bm25, monkeypatch, k, threads):
    """Docids, scores and order, for any k, also of queries without hits."""
    queries = ["fox", "owl lynx", "red fox elk ant", "", "unknown", "red red OWL!"]
    qids = [str(number) for number in range(len(queries))]

    found = bm25.batch_search(queries, qids, k, threads)

    monkeypatch.setattr(bm25, "_fast", None)
    assert found == bm25.batch_search(queries, qids, k, threads)
    assert [len(hits) > 0 for hits in found.values()] == [True, True, True, False, False, True]


@pytest.mark.java
@pytest.mark.long
@pytest.mark.parametrize(
    ("collection", "topics"),
    [
        ("beir/scifact", "beir/scifact/test"),
        ("beir/nfcorpus", "beir/nfcorpus/test"),
        ("collections/msmarco-sample/docs.jsonl.gz", "msmarco-passage/trec-dl-2019/judged"),
    ],
)
def test_runs_of_real_collections_are_those_of_simple_searcher(
    tmp_path, monkeypatch, test_data, collection, topics
):
    """A thousand hits a topic, byte for byte."""
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.runs import write_run
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.index.bm25 import build_bm25_index
    from ance_plugin.search.bm25 import Bm25Searcher

    is_file = collection.endswith(".gz")
    source = Collection(str(test_data / collection) if is_file else collection)
    build_bm25_index(source, tmp_path / "index", threads=2)
    searcher = Bm25Searcher(tmp_path / "index")
    asked = read_topics(topics)
    queries, qids = [topic.text for topic in asked], [topic.qid for topic in asked]

    write_run(tmp_path / "fast", searcher.batch_search(queries, qids, 1000, 2), tag="t")
    monkeypatch.setattr(searcher, "_fast", None)
    write_run(tmp_path / "slow", searcher.batch_search(queries, qids, 1000, 2), tag="t")

    assert (tmp_path / "fast").read_bytes() == (tmp_path / "slow").read_bytes()

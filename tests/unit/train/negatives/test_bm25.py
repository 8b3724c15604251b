"""Negatives that BM25 finds in a Lucene index."""

import logging

import pytest

from ance_plugin.errors import MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.records import Topic
from ance_plugin.train.negatives.bm25 import mine_bm25

TEXTS = {
    "d0": "zebra",
    "d1": "zebra zebra zebra zebra",
    "d2": "zebra zebra zebra",
    "d3": "zebra zebra",
    "d4": "yak",
    "d5": "zebra zebra zebra",  # a copy of d2
    "d6": "yak yak newt",
}
TOPICS = [Topic("q2", "zebra"), Topic("q1", "yak"), Topic("q3", "newt"), Topic("q4", "unicorn")]
QRELS = {"q1": {"d6": 1}, "q2": {"d2": 1, "d0": 0}, "q4": {"d4": 1}}


@pytest.fixture
def index(tmp_path):
    """A Lucene index of the texts."""
    from ance_plugin.index.bm25 import build_bm25_index

    lines = "".join(f"{docid}\t{text}\n" for docid, text in TEXTS.items())
    (tmp_path / "c.tsv").write_text(lines)
    build_bm25_index(Collection(str(tmp_path / "c.tsv")), tmp_path / "bm25")
    return tmp_path / "bm25"


@pytest.mark.java
@pytest.mark.parametrize("batch", [1, 1024])
def test_negatives_are_what_ranks_first_and_is_no_positive(index, make_miner, caplog, batch):
    """In BM25's order with its ranks and scores; topics without a positive are skipped."""
    settings = {"mix": {"bm25": 1}, "sampler": "top", "num_negatives": 3}
    miner = make_miner(QRELS, texts=TEXTS, **settings)
    caplog.set_level(logging.WARNING)

    zebra, yak, unicorn = mine_bm25(index, TOPICS, miner, batch=batch)

    assert (zebra.qid, zebra.negatives) == ("q2", ("d1", "d3", "d0"))
    assert zebra.ranks == (1, 4, 5)  # d2 and its copy d5 are at 2 and 3
    assert zebra.sources == ("bm25",) * 3
    assert zebra.scores[0] > zebra.positive_scores[0] > zebra.scores[1] > zebra.scores[2] > 0
    assert zebra.num_dropped == {"positive": 1, "duplicate": 1}
    assert (yak.qid, yak.negatives[0], yak.sources) == ("q1", "d4", ("bm25", "random", "random"))
    assert (unicorn.qid, unicorn.sources) == ("q4", ("random",) * 3)
    assert "1 of 4 topics have no positive in the collection and are skipped" in caplog.text


@pytest.mark.java
def test_hits_and_sampler_decide(index, make_miner):
    """Two hits leave one candidate; SimANS far up the scale takes the best first."""
    settings = {"mix": {"bm25": 1}, "num_negatives": 2, "sampler": "simans"}
    miner = make_miner(QRELS, texts=TEXTS, sampler_a=1e9, sampler_b=9.0, **settings)

    (few,) = mine_bm25(index, TOPICS[:1], miner, hits=2)
    (steep,) = mine_bm25(index, TOPICS[:1], miner)

    assert (few.negatives[0], few.sources) == ("d1", ("bm25", "random"))
    assert steep.negatives == ("d1", "d3")


@pytest.mark.java
def test_an_index_of_another_collection_is_refused(index, make_miner):
    """Else every negative would be random."""
    texts = {f"other-{docid}": text for docid, text in TEXTS.items()}
    miner = make_miner({"q1": {"other-d6": 1}}, texts=texts, mix={"bm25": 1})

    with pytest.raises(MismatchError, match=r"what it finds, such as d\d, is not in"):
        list(mine_bm25(index, TOPICS, miner))


def test_arguments_are_checked_at_once(make_miner, tmp_path):
    """Before Java starts, and before anything is iterated."""
    (tmp_path / "segments_1").touch()
    miner = make_miner(QRELS, texts=TEXTS, mix={"bm25": 1, "random": 1})

    with pytest.raises(ValueError, match=r"a mix of bm25 and random, found \{'ann': 1\.0\}"):
        mine_bm25(tmp_path, TOPICS, make_miner(QRELS, texts=TEXTS))
    for name in ("hits", "threads", "batch"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, found 0"):
            mine_bm25(tmp_path, TOPICS, miner, **{name: 0})
    with pytest.raises(ValueError, match="k1 must be a number of at least 0, found -1"):
        mine_bm25(tmp_path, TOPICS, miner, k1=-1)
    with pytest.raises(FileNotFoundError, match="expected a Lucene index"):
        mine_bm25(tmp_path / "missing", TOPICS, miner)
    with pytest.raises(ValueError, match="none of 1 topics has a judged positive"):
        mine_bm25(tmp_path, TOPICS[2:3], miner)

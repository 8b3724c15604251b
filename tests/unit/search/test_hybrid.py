"""What holds for hybrid search, with searchers made up here."""

from types import SimpleNamespace

import numpy as np
import pytest

from ance_plugin.fusion.fuse import fuse
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.ranking import rank
from ance_plugin.records import Hit
from ance_plugin.search.hybrid import HybridSearcher

SPARSE = {
    "cat": rank(["a", "b", "c", "d"], [9.5, 7.25, 7.25, 1.0]),
    "dog": rank(["e", "a"], [3.0, 2.0]),
    "rare": [],
}
DENSE = {
    "cat": rank(["d", "c", "x"], [710.0, 709.0, 700.5]),
    "dog": rank(["y"], [705.0]),
    "rare": rank(["x", "y"], [1.0, 0.5]),
}
QIDS = ["q3", "q1", "q2"]
QUERIES = ["rare", "cat", "dog"]
METHODS = [
    FusionParams(),
    FusionParams(depth=2),
    FusionParams("interpolation", numbers={"alpha": 0.3}),
    FusionParams("interpolation", numbers={"alpha": 0.3}, weight_on_dense=True),
]


class StubSearcher:
    """Finds what a table says, and records how deep it was asked."""

    def __init__(self, found, to_hit=lambda hit: hit):
        self.found = {query: [to_hit(hit) for hit in hits] for query, hits in found.items()}
        self.asked = []

    def search(self, query, k):
        self.asked.append(k)
        return self.found[query][:k]

    def batch_search(self, queries, qids, k, threads):
        self.asked.append((k, threads))
        pairs = zip(queries, qids, strict=True)
        return {qid: self.found[query][:k] for query, qid in pairs if self.found[query]}


def to_stock_hit(hit):
    """Make what Pyserini's searchers return: an object, its score numpy's."""
    return SimpleNamespace(docid=hit.docid, score=np.float32(hit.score), lucene_docid=7)


def runs(found):
    return {qid: found[query] for qid, query in zip(QIDS, QUERIES, strict=True)}


@pytest.mark.parametrize("params", METHODS, ids=["rrf", "shallow", "sparse first", "dense first"])
class TestFusion:
    def test_batch_is_the_fusion_of_both_runs(self, params):
        """Sparse first, as ``interpolation`` has it; topics in the order given."""
        hybrid = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE), params)
        run = hybrid.batch_search(QUERIES, QIDS, 4)

        assert run == fuse([runs(SPARSE), runs(DENSE)], params, 4)
        assert list(run) == QIDS

    def test_single_search_finds_what_the_batch_finds(self, params):
        """Query by query."""
        hybrid = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE), params)
        run = hybrid.batch_search(QUERIES, QIDS, 3)

        for qid, query in zip(QIDS, QUERIES, strict=True):
            assert hybrid.search(query, 3) == run[qid]

    def test_stock_hits_are_taken(self, params):
        """Pyserini's own searchers on either side."""
        ours = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE), params)
        stock = HybridSearcher(
            StubSearcher(DENSE, to_stock_hit), StubSearcher(SPARSE, to_stock_hit), params
        )

        assert stock.batch_search(QUERIES, QIDS) == ours.batch_search(QUERIES, QIDS)
        assert stock.search("cat") == ours.search("cat")


def test_fusion_is_rrf_unless_said_otherwise():
    """d: 1/61 + 1/64; c: 1/62 + 1/62, for c is second by docid among equals."""
    hybrid = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE))
    hits = hybrid.search("cat")

    assert [hit.docid for hit in hits] == ["c", "d", "a", "x", "b"]
    assert hits[0].score == pytest.approx(1 / 62 + 1 / 62, rel=1e-6)
    assert hits[1].score == pytest.approx(1 / 61 + 1 / 64, rel=1e-6)


def test_depth_of_the_settings_is_asked_of_both_sides():
    """Not ``k``: a document deep on both sides may come out first."""
    dense, sparse = StubSearcher(DENSE), StubSearcher(SPARSE)
    hybrid = HybridSearcher(dense, sparse, FusionParams(depth=123))
    hybrid.search("cat", 2)
    hybrid.batch_search(QUERIES, QIDS, 2, threads=5)

    assert dense.asked == sparse.asked == [123, (123, 5)]


def test_query_that_one_side_knows_nothing_of_has_the_others_hits():
    """In its order."""
    hybrid = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE))

    assert [hit.docid for hit in hybrid.search("rare")] == ["x", "y"]
    assert [hit.docid for hit in hybrid.batch_search(["rare"], ["q"])["q"]] == ["x", "y"]


def test_query_that_neither_side_knows_has_no_hits():
    """Its topic stays in the run."""
    empty = {"none": []}
    hybrid = HybridSearcher(StubSearcher(empty), StubSearcher(empty))

    assert hybrid.search("none") == []
    assert hybrid.batch_search(["none"], ["q"]) == {"q": []}


@pytest.mark.parametrize("k", [0, -3])
def test_k_is_at_least_one(k):
    """For one query and for several."""
    hybrid = HybridSearcher(StubSearcher(DENSE), StubSearcher(SPARSE))

    with pytest.raises(ValueError, match=f"k must be at least 1, found {k}"):
        hybrid.search("cat", k)
    with pytest.raises(ValueError, match=f"k must be at least 1, found {k}"):
        hybrid.batch_search(["cat"], ["q"], k)


def test_hits_are_plain():
    """Whatever came in."""
    hybrid = HybridSearcher(StubSearcher(DENSE, to_stock_hit), StubSearcher(SPARSE, to_stock_hit))

    assert {type(hit) for hit in hybrid.search("cat")} == {Hit}
    assert {type(hit.score) for hit in hybrid.search("cat")} == {float}

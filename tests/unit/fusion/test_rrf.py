"""Reciprocal rank fusion."""

import pytest

from ance_plugin.fusion.fuse import fuse, fuse_hits
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.records import Hit


def test_rrf_adds_reciprocal_ranks_from_one():
    """With k 60 the first hit of a list is worth 1/61."""
    first = [Hit("a", 9.0), Hit("b", 8.0)]
    second = [Hit("b", 0.9), Hit("c", 0.8)]

    hits = fuse_hits([first, second], FusionParams("rrf"))

    assert [hit.docid for hit in hits] == ["b", "a", "c"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_rrf_k_changes_the_constant():
    """With k 1 the second hit is worth 1/3."""
    hits = fuse_hits(
        [[Hit("a", 2.0), Hit("b", 1.0)], []], FusionParams("rrf", numbers={"rrf_k": 1})
    )

    assert [hit.score for hit in hits] == pytest.approx([1 / 2, 1 / 3])


def test_ranks_are_by_our_order_whatever_the_order_given():
    """Hits are ordered by score, then docid descending, before ranks are counted."""
    given = [Hit("a", 1.0), Hit("c", 5.0), Hit("b", 1.0)]

    hits = fuse_hits([given, []], FusionParams("rrf"))

    assert [hit.docid for hit in hits] == ["c", "b", "a"]


def test_equal_fused_scores_are_ordered_by_docid_descending():
    """Two documents that change places in two lists tie, and the greater docid comes first."""
    hits = fuse_hits(
        [[Hit("a", 2.0), Hit("b", 1.0)], [Hit("b", 2.0), Hit("a", 1.0)]], FusionParams("rrf")
    )

    assert hits[0].score == hits[1].score
    assert [hit.docid for hit in hits] == ["b", "a"]


def test_depth_limits_what_is_read_and_k_what_is_kept():
    """Depth 1 reads the first hit of each list; k 1 keeps the first of the fused ones."""
    lists = [[Hit("a", 2.0), Hit("b", 1.0)], [Hit("b", 2.0), Hit("c", 1.0)]]

    assert [hit.docid for hit in fuse_hits(lists, FusionParams("rrf", depth=1))] == ["b", "a"]
    assert [hit.docid for hit in fuse_hits(lists, FusionParams("rrf"), 1)] == ["b"]


def test_three_runs_and_a_topic_that_one_run_lacks():
    """Any number of runs is fused; topics come in the order in which they first appear."""
    runs = [
        {"2": [Hit("a", 1.0)]},
        {"1": [Hit("b", 1.0)], "2": [Hit("a", 1.0)]},
        {"2": [Hit("b", 1.0)], "3": []},
    ]

    fused = fuse(runs, FusionParams("rrf"))

    assert list(fused) == ["2", "1", "3"]
    assert [hit.docid for hit in fused["2"]] == ["a", "b"]
    assert [hit.score for hit in fused["2"]] == pytest.approx([2 / 61, 1 / 61])
    assert fused["3"] == []

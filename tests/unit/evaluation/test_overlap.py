"""Overlaps are those of hand-made lists."""

import pytest

from ance_plugin.records import Hit
from evaluation.overlap import measure_overlaps, rank_biased_overlap, share


def hits(docids):
    return [Hit(docid, float(-place)) for place, docid in enumerate(docids)]


@pytest.mark.parametrize(
    ("one", "other", "depth", "expected"),
    [
        ("abc", "cba", 3, 1.0),
        ("abc", "cba", 2, 0.5),  # ab and cb
        ("ab", "abcd", 10, 0.5),  # of four, two are common
        ("ab", "cd", 10, 0.0),
        ("", "ab", 10, 0.0),
        ("", "", 10, 0.0),
    ],
)
def test_shares(one, other, depth, expected):
    """Documents in common over the longer list, order aside."""
    assert share(one, other, depth) == expected
    assert share(other, one, depth) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abc", "abc", 1.0),
        ("abc", "def", 0.0),
        ("", "ab", 0.0),
        ("ab", "ba", 0.9),  # agreement 0 at 1 and 1 at 2: 0.1/0.9 * 0.81 + 0.81
        ("a", "ab", 1.0),  # extrapolated: the rest of the shorter list would agree as well
        ("ab", "a", 1.0),
        # In common at depths 1 to 4: 0 1 2 2, at the end of the shorter list 1:
        # (1/2 p^2 + 2/3 p^3 + 2/4 p^4 + 1/6 p^3 + 2/8 p^4) / 9 + (1/4 + 1/2) p^4
        ("ab", "cabd", (0.405 + 0.486 + 0.32805 + 0.1215 + 0.164025) / 9 + 0.75 * 0.6561),
        ("abcde", "acxbf", 0.647335),  # the package rbo 0.1.3
        ("abcd", "dcxyzab", 0.5531817857142858),
    ],
)
def test_rank_biased_overlap(one, other, expected):
    """Equation 32 of its paper, with p = 0.9, whichever list is longer."""
    assert rank_biased_overlap(one, other) == pytest.approx(expected, abs=1e-12)
    assert rank_biased_overlap(other, one) == pytest.approx(rank_biased_overlap(one, other))


def test_overlaps_are_means_over_topics_with_hits():
    """Every two systems; a topic that one lacks counts zero, one that both lack does not count."""
    tops = {
        "a": {"1": hits("xy"), "2": hits("x")},
        "b": {"1": hits("xz")},
        "c": {"1": hits("xy"), "2": hits("x")},
    }

    found = measure_overlaps(tops, ["1", "2", "3"])

    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].shares == {10: 0.25, 100: 0.25}  # a half and none
    assert found[1].shares == {10: 1.0, 100: 1.0}
    assert found[1].rbo == pytest.approx(1.0)


def test_systems_without_hits_have_nothing_in_common():
    """No topic with hits gives zero, not an error."""
    (found,) = measure_overlaps({"a": {}, "b": {}}, ["1"])

    assert (found.shares, found.rbo) == ({10: 0.0, 100: 0.0}, 0.0)

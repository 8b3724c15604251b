"""ranx's methods and norms on hits small enough to work out by hand."""

import math

import numpy as np
import pytest

from ance_plugin.fusion import condorcet, positions
from ance_plugin.fusion.fuse import fuse, fuse_hits
from ance_plugin.fusion.methods import METHODS, FusionParams
from ance_plugin.fusion.pool import pool_hits
from ance_plugin.ranking import rank
from ance_plugin.records import Hit

FIRST = [Hit("a", 4.0), Hit("b", 3.0), Hit("c", 2.0)]
SECOND = [Hit("c", 10.0), Hit("a", 5.0)]
WEIGHTS = {"weights": (0.25, 0.75)}
TRAINED = {
    "bayesfuse": ((2.0, 1.0, 0.5), (1.0, -1.0)),
    "mapfuse": ((0.6,), (0.3,)),
    "posfuse": ((0.5, 0.25), (0.4, 0.2)),
    "probfuse": ((0.8, 0.2), (0.6, 0.4)),
    "segfuse": ((0.5, 0.1), (0.4, 0.2)),
    "slidefuse": ((0.6, 0.3, 0.0), (0.4, 0.2)),
}
UNSEEN = math.log(0.001 / 0.999)


def settings_of(method, num_runs=2):
    """Settings with which each method can be used."""
    known = METHODS[method]
    numbers = {"gamma": 2.0, "phi": 0.5, "sigma": 0.5, "w": 1, "n_segments": 2}
    return FusionParams(
        method,
        numbers={name: numbers[name] for name in known.numbers if name in numbers},
        weights=WEIGHTS["weights"][:num_runs] if known.has_weights else (),
        trained=TRAINED[method][:num_runs] if known.trained else (),
    )


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("min", {"a": 4.0, "b": 3.0, "c": 2.0}),
        ("max", {"a": 5.0, "b": 3.0, "c": 10.0}),
        ("med", {"a": 4.5, "b": 3.0, "c": 6.0}),
        ("sum", {"a": 9.0, "b": 3.0, "c": 12.0}),
        ("anz", {"a": 4.5, "b": 3.0, "c": 6.0}),
        ("mnz", {"a": 18.0, "b": 3.0, "c": 24.0}),
        ("gmnz", {"a": 36.0, "b": 3.0, "c": 48.0}),
        ("wsum", {"a": 1 + 3.75, "b": 0.75, "c": 0.5 + 7.5}),
        ("wmnz", {"a": 9.0, "b": 0.75, "c": 12.0}),
        ("mixed", {"a": 4.75 * 2**0.5, "b": 0.75, "c": 8 * 2**0.5}),
        ("isr", {"a": 2 * (1 + 1 / 4), "b": 1 / 4, "c": 2 * (1 / 9 + 1)}),
        ("log_isr", {"a": 1.25 * math.log(2), "b": 0.0, "c": 10 / 9 * math.log(2)}),
        (
            "logn_isr",
            {"a": 1.25 * math.log(2.5), "b": 0.25 * math.log(1.5), "c": 10 / 9 * math.log(2.5)},
        ),
        ("bordafuse", {"a": 3 + 2, "b": 2 + 1, "c": 1 + 3}),
        ("w_bordafuse", {"a": 0.75 + 1.5, "b": 0.5 + 0.75, "c": 0.25 + 2.25}),
        ("condorcet", {"a": 3, "c": 2, "b": 1}),
        ("w_condorcet", {"c": 3, "a": 2, "b": 1}),
        ("rbc", {"a": 0.5 + 0.25, "b": 0.25, "c": 0.125 + 0.5}),
        ("bayesfuse", {"a": 2.0 - 1.0, "b": 1.0 + UNSEEN, "c": 0.5 + 1.0}),
        ("mapfuse", {"a": 0.6 + 0.15, "b": 0.3, "c": 0.2 + 0.3}),
        ("posfuse", {"a": 0.5 + 0.2, "b": 0.25, "c": 0.0 + 0.4}),
        ("probfuse", {"a": 0.8 + 0.2, "b": 0.8, "c": 0.1 + 0.6}),
        ("segfuse", {"a": 0.5 * 5 + 0.4 * 6, "b": 0.5 * 4, "c": 0.5 * 3 + 0.4 * 11}),
        ("slidefuse", {"a": 0.45 + 0.3, "b": 0.3, "c": 0.15 + 0.3}),
    ],
)
def test_method_arithmetic(method, expected):
    """Scores as they are (no norm) are fused by each method's formula."""
    params = settings_of(method)
    if METHODS[method].norms:
        params = FusionParams(**{**vars(params), "norm": "none"})

    found = dict(fuse_hits([FIRST, SECOND], params))

    assert found == {docid: pytest.approx(score) for docid, score in expected.items()}


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("min-max", {"a": 1 + 0, "b": 0.5, "c": 0 + 1}),
        ("min-max-inverted", {"a": 0 + 1, "b": 0.5, "c": 1 + 0}),
        ("max", {"a": 1 + 0.5, "b": 0.75, "c": 0.5 + 1}),
        ("sum", {"a": 2 / 3 + 0, "b": 1 / 3, "c": 0 + 1}),
        ("zmuv", {"a": 1.5**0.5 - 1, "b": 0.0, "c": -(1.5**0.5) + 1}),
        ("rank", {"a": 1 + 0.5, "b": 2 / 3, "c": 1 / 3 + 1}),
        ("borda", {"a": 1 + 2 / 3, "b": 2 / 3 + 1 / 3, "c": 1 / 3 + 1}),
    ],
)
def test_norm_arithmetic(norm, expected):
    """Each norm's values, added."""
    found = dict(fuse_hits([FIRST, SECOND], FusionParams("sum", norm)))

    assert found == {docid: pytest.approx(score, abs=1e-7) for docid, score in expected.items()}


RANX = [name for name in METHODS if name not in ("rrf", "interpolation")]


@pytest.mark.parametrize("method", RANX)
def test_topic_of_a_single_run_keeps_that_runs_hits(method):
    """Whatever the method, there is nothing to fuse: order and scores stay."""
    runs = [{"q1": FIRST, "q2": FIRST}, {"q1": SECOND, "q2": []}]

    fused = fuse(runs, settings_of(method))

    assert fused["q2"] == FIRST
    assert fused["q1"] != FIRST


def test_weights_belong_to_the_runs_that_are_there():
    """The second of three runs lacks the topic: the third keeps its own weight."""
    params = FusionParams("wsum", "none", weights=(0.2, 0.3, 0.5))

    found = dict(fuse_hits([FIRST, [], SECOND], params))

    assert found["a"] == pytest.approx(0.2 * 4 + 0.5 * 5)


def test_trained_values_belong_to_the_runs_that_are_there():
    """The first of three runs lacks the topic."""
    params = FusionParams("mapfuse", trained=((0.9,), (0.6,), (0.3,)))

    found = dict(fuse_hits([[], FIRST, SECOND], params))

    assert found["a"] == pytest.approx(0.6 + 0.3 / 2)


def test_no_hits_at_all_give_no_hits():
    """Empty lists are fused to an empty list."""
    assert fuse_hits([[], []], settings_of("wsum")) == []


def test_condorcet_of_two_runs_is_the_order_of_rrf():
    """One vote each is no majority; the order by reciprocal ranks stands."""
    rng = np.random.default_rng(3)
    lists = [
        rank([f"d{number}" for number in rng.permutation(30)[:20]], range(20)) for _ in range(2)
    ]

    by_vote = fuse_hits(lists, FusionParams("condorcet"))
    by_rank = fuse_hits(lists, FusionParams("rrf"))

    assert [hit.docid for hit in by_vote] == [hit.docid for hit in by_rank]


def test_condorcet_puts_the_majoritys_choice_first():
    """Two of three lists prefer b to a, though a is ahead by reciprocal ranks."""
    low = [Hit(f"x{number}", float(10 - number)) for number in range(6)]
    lists = [
        [Hit("a", 9.0), Hit("b", 1.0)],
        [*low, Hit("b", 2.0), Hit("a", 1.0)],
        [*low, Hit("b", 2.0), Hit("a", 1.0)],
    ]

    docids = [hit.docid for hit in fuse_hits(lists, FusionParams("condorcet"))]

    assert docids.index("b") < docids.index("a")


def test_equal_votes_in_decimal_weights_are_a_tie():
    """0.1 + 0.2 against 0.3 is no majority, although it is one in floating point."""
    up, down = [Hit("a", 2.0), Hit("b", 1.0)], [Hit("b", 2.0), Hit("a", 1.0)]
    params = FusionParams("w_condorcet", weights=(0.1, 0.2, 0.3))

    docids = [hit.docid for hit in fuse_hits([down, down, up], params)]

    assert docids == ["b", "a"]  # b leads by reciprocal ranks


def test_bayesfuse_below_its_table_counts_as_unseen():
    """A rank deeper than what was learned is worth what a document the list lacks is worth."""
    params = FusionParams("bayesfuse", trained=((1.0,), (1.0,)))

    found = dict(fuse_hits([FIRST, SECOND], params))

    assert found["b"] == pytest.approx(2 * UNSEEN)


HITS = [np.array([1.0, 0.0, 1.0]), np.array([0.0])]


def test_learning_by_hand():
    """Two topics, three hits and one hit, three and one relevant documents."""
    assert positions.learn("mapfuse", HITS, [3, 1]) == pytest.approx([(1 + 2 / 3) / 3 / 2])
    assert positions.learn("posfuse", HITS, [3, 1]) == pytest.approx([0.5, 0.0, 1.0])
    assert positions.learn("probfuse", HITS, [3, 1], n_segments=2) == pytest.approx([0.25, 0.5])
    assert positions.learn("segfuse", HITS, [3, 1])[:2] == pytest.approx([2 / 5 / 2, 0.0])
    odds = positions.learn("bayesfuse", HITS, [3, 1])
    assert len(odds) == 1000
    assert odds[[0, 4]] == pytest.approx(math.log(0.2 / 0.8))
    assert odds[[5, 999]] == pytest.approx(UNSEEN)


def test_learning_from_topics_without_relevant_documents():
    """Nothing relevant is worth nothing, and nothing is divided by zero."""
    assert positions.learn("mapfuse", [np.zeros(2)], [0]) == pytest.approx([0.0])
    certain = positions.learn("bayesfuse", [np.ones(5)], [5])
    assert certain[0] == pytest.approx(math.log(1 / 0.001))


@pytest.mark.parametrize("weights", [(0.6, 0.4), (0.2, 0.5), (0.0, 1.0)])
def test_heavier_of_two_lists_decides(weights):
    """The other is asked only about documents that the heavier one lacks."""
    rng = np.random.default_rng(5)
    lists = [
        rank([f"d{number}" for number in rng.permutation(30)[:20]], range(20)) for _ in range(2)
    ]
    heavy, light = lists if weights[0] > weights[1] else lists[::-1]
    known = {hit.docid for hit in heavy}
    expected = [hit.docid for hit in [*heavy, *(hit for hit in light if hit.docid not in known)]]

    hits = fuse_hits(lists, FusionParams("w_condorcet", weights=weights))

    assert [hit.docid for hit in hits] == expected
    assert [hit.score for hit in hits] == [float(n) for n in range(len(expected), 0, -1)]


def test_lists_that_outvote_all_after_them_give_what_counting_gives():
    """The short cut for weights such as 4, 2, 1 finds the order that counting votes finds."""
    rng = np.random.default_rng(6)
    lists = [
        rank([f"d{number}" for number in rng.permutation(20)[:12]], range(12)) for _ in range(3)
    ]
    pool = pool_hits(lists, 1000)
    far = np.where(pool.ranks > 0, pool.ranks, 99)

    found = condorcet.score(pool, [2.0, 4.0, 1.0])

    counted = condorcet._sort_by_vote(far, [2.0, 4.0, 1.0])
    assert np.argsort(-found).tolist() == counted

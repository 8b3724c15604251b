"""What holds for the ordering rule and the names of scores."""

from decimal import Decimal
from functools import cmp_to_key

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ance_plugin.ranking import (
    best_passages,
    canonical_scores,
    make_hits,
    order,
    rank,
    without_query,
)
from ance_plugin.records import Hit

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
TINY, HUGE = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)
TIED_SCORES = st.integers(-3, 3).map(float)
HITS = st.dictionaries(st.text(min_size=1, max_size=3), TIED_SCORES, max_size=12)
quickly = settings(max_examples=100, deadline=None, derandomize=True)


def next_up(value):
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


@quickly
@given(FLOATS)
@example(0.0)
@example(-0.0)
@example(TINY)
@example(HUGE)
@example(-HUGE)
@example(float(np.float32(0.1)))
@example(1e10)
@example(float(np.float32(1e-14)))
@example(float(np.float32(1e31)))
def test_text_of_a_canonical_score_names_the_same_float32(score):
    """What a run file holds is the very score, whether its reader uses float or double."""
    text = repr(float(canonical_scores([score])[0]))

    assert np.float32(float(text)) == np.float32(score)


@quickly
@given(FLOATS)
@example(TINY)
@example(HUGE)
@example(float(np.float32(1 / 3)))
def test_canonical_score_has_at_most_nine_digits(score):
    """Nine digits are enough for a float32, so more are noise."""
    digits = Decimal(repr(float(canonical_scores([score])[0]))).normalize().as_tuple().digits

    assert len(digits) <= 9


@quickly
@given(FLOATS.filter(lambda score: score < HUGE))
@example(0.0)
@example(-TINY)
@example(1.0)
@example(float(np.float32(9.9999998e8)))
@example(float(np.float32(1e-14)))
@example(16777216.0)
def test_neighbouring_scores_stay_apart(score):
    """Two scores that differ as float32 differ in the run file, in the same direction."""
    lower, higher = canonical_scores([score, next_up(score)]).tolist()

    assert float(repr(lower)) < float(repr(higher))


@quickly
@given(st.lists(FLOATS, max_size=5))
def test_canonical_scores_are_their_own_names(scores):
    """Reading a run and writing it again changes nothing."""
    once = canonical_scores(scores)

    assert canonical_scores(once).tolist() == once.tolist()


@pytest.mark.parametrize("scores", [3, 2.5, [], [[1.5, 2.5], [0.0, -1.0]], np.arange(3)])
def test_canonical_scores_keep_their_shape_and_become_float64(scores):
    """Any shape and real type is taken."""
    found = canonical_scores(scores)

    assert found.dtype == np.float64
    assert found.tolist() == np.asarray(scores).tolist()


def test_scores_are_rounded_to_float32_first():
    """Two doubles that are one float32 are a tie."""
    assert len(set(canonical_scores([1.0, 1.0 + 1e-12]).tolist())) == 1


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), 1e39])
def test_score_that_is_not_finite_is_refused(score):
    """NaN has no place in an order, and 1e39 is infinite as a float32."""
    with pytest.raises(ValueError, match="must be finite float32 values, found NaN or infinity"):
        canonical_scores([0.0, score])


def test_higher_score_comes_first():
    """Best first."""
    assert rank(["a", "b", "c"], [0.5, 2.0, 1.0]) == [Hit("b", 2.0), Hit("c", 1.0), Hit("a", 0.5)]


def test_equal_scores_are_ordered_by_docid_descending():
    """As trec_eval breaks ties: ``d9`` before ``d10``, as text."""
    hits = rank(["d10", "d9", "d1"], [1.0, 1.0, 1.0])

    assert [hit.docid for hit in hits] == ["d9", "d10", "d1"]


def trec_eval_compare(left, right):
    """Compare as trec_eval's form_ranks does: by score, then by strcmp of docids, descending."""
    if left.score != right.score:
        return -1 if left.score > right.score else 1
    first, second = left.docid.encode(), right.docid.encode()
    return -1 if first > second else int(first < second)


@quickly
@given(HITS)
def test_order_is_trec_evals(scores):
    """The order of characters is that of their UTF-8 bytes, so strcmp agrees."""
    hits = [Hit(*pair) for pair in scores.items()]

    assert order(hits) == sorted(hits, key=cmp_to_key(trec_eval_compare))


@quickly
@given(HITS, st.integers(0, 14))
def test_k_keeps_the_first_of_all(scores, k):
    """Ties at the boundary are cut by the rule, not by the order given."""
    docids, values = list(scores), list(scores.values())

    assert rank(docids[::-1], values[::-1], k) == rank(docids, values)[:k]


def test_no_documents_give_no_hits():
    """An empty list is an answer."""
    assert rank([], []) == []


def test_docids_and_scores_must_be_as_many():
    """A score without a docid is a caller's bug, never dropped."""
    with pytest.raises(ValueError, match=r"longer|shorter"):
        rank(["a"], [1.0, 2.0])


def test_hits_carry_plain_python_floats():
    """``repr`` of numpy's own floats is not a number in a file."""
    assert [type(hit.score) for hit in rank(["a"], np.array([1.5], dtype=np.float32))] == [float]


def test_hits_made_of_columns_are_those_made_one_by_one():
    """They have the type, the names and the values; scores stay as they are."""
    docids, scores = ["b", "a"], [0.1, 7.0]
    made = make_hits(docids, scores)

    assert made == [Hit(docid, score) for docid, score in zip(docids, scores, strict=True)]
    assert [(type(hit), hit.docid, hit.score) for hit in made] == [(Hit, "b", 0.1), (Hit, "a", 7.0)]


def test_order_keeps_scores_as_they_are():
    """Somebody else's run is ordered, not rounded."""
    precise = Hit("a", 0.12345678901234)

    assert order([Hit("b", 0.1), precise]) == [precise, Hit("b", 0.1)]


def test_document_has_the_score_of_its_best_passage():
    """MaxP: the first passage met is the best."""
    hits = [Hit("d1#2", 3.0), Hit("d2#0", 2.0), Hit("d1#0", 1.0)]

    assert best_passages(hits, "#") == [Hit("d1", 3.0), Hit("d2", 2.0)]


def test_the_query_itself_is_left_out():
    """By its id as a string; the order of the others stays."""
    hits = [Hit("7", 3.0), Hit("07", 2.0), Hit("a", 1.0)]

    assert without_query(hits, "7") == [Hit("07", 2.0), Hit("a", 1.0)]
    assert without_query(hits, "b") == hits


def test_documents_of_equal_best_passages_are_ordered_by_docid_descending():
    """``d1#9`` comes before ``d10#1`` only by its passage's name, which is gone."""
    hits = order([Hit("d1#9", 1.0), Hit("d10#1", 1.0)])

    assert best_passages(hits, "#") == [Hit("d10", 1.0), Hit("d1", 1.0)]


def test_docid_without_delimiter_stands_for_itself():
    """A document that was not cut is one passage."""
    assert best_passages([Hit("whole", 1.0)], "#") == [Hit("whole", 1.0)]


def test_docid_is_cut_at_the_first_delimiter():
    """``a#b#c`` is a passage of ``a``, as in Pyserini."""
    assert best_passages([Hit("a#b#c", 1.0)], "#") == [Hit("a", 1.0)]


def test_k_counts_documents_not_passages():
    """Two passages of one document use one place."""
    hits = [Hit("d1#0", 3.0), Hit("d1#1", 2.0), Hit("d2#0", 1.0), Hit("d3#0", 0.5)]

    assert best_passages(hits, "#", 2) == [Hit("d1", 3.0), Hit("d2", 1.0)]

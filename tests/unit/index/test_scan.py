"""Searching by codes finds what comparing with every vector finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.index import scan as scan_module
from ance_plugin.index import scores
from ance_plugin.index.codes import Codes, can_multiply, encode_queries, encode_vectors, multiply
from ance_plugin.index.scan import scan
from ance_plugin.index.scores import score_all
from tests.unit.index.slowly import assert_same, draw, search_slowly

pytestmark = pytest.mark.skipif(
    not can_multiply(), reason="this processor does not multiply 8-bit integers quickly"
)


def search(queries, vectors, k, *, center=None):
    """Search by codes; a list of (scores, rows) for each query."""
    center = vectors.mean(axis=0) if center is None else center
    codes = encode_vectors(vectors, center.astype(np.float32))
    return list(scan(encode_queries(queries, codes.center), vectors, codes, k))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    num_rows=st.integers(1, 700),
    dimension=st.sampled_from([1, 3, 32, 100]),
    num_queries=st.integers(1, 5),
    k=st.integers(1, 40),
    spread=st.sampled_from([1e-20, 1e-3, 1.0, 1e6]),
    mean=st.sampled_from([0.0, 1.0, 30.0]),
    num_values=st.sampled_from([None, 2, 9]),
)
def test_hits_and_scores_are_those_of_every_vector_scored(
    seed, num_rows, dimension, num_queries, k, spread, mean, num_values
):
    """To the last bit, for any size, spread and mean, with few distinct vectors and with many."""
    vectors = draw(seed, num_rows, dimension, spread=spread, mean=mean)
    queries = draw(seed + 1, num_queries, dimension, mean=mean)
    if num_values is not None:
        vectors = vectors[np.random.default_rng(seed).integers(0, num_values, num_rows) % num_rows]

    assert_same(search(queries, vectors, k), search_slowly(queries, vectors, k))


@pytest.mark.parametrize("num_queries", [1, 33])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_thresholds_that_rise_lose_nothing(monkeypatch, num_queries, k):
    """Rows are read in many parts here, the best of them last."""
    monkeypatch.setattr(scan_module, "_LEAST_ROWS", 256)
    monkeypatch.setattr(scan_module, "_FIRST_ROWS_A_HIT", 1)
    monkeypatch.setattr(scan_module, "_ESTIMATES_AT_ONCE", 1)
    vectors = draw(0, 6000, 48)
    vectors *= np.linspace(0.1, 1.0, 6000, dtype=np.float32)[:, None]
    queries = draw(1, num_queries, 48)

    assert_same(search(queries, vectors, k), search_slowly(queries, vectors, k))


def test_query_for_which_codes_decide_nothing_is_scored_everywhere(monkeypatch):
    """Vectors that hardly differ are all in doubt; the other query is not affected."""
    monkeypatch.setattr(scan_module, "_MOST_IN_DOUBT", 1)
    vectors = draw(0, 500, 16)
    vectors[:, 8:] *= 1e-6
    queries = np.zeros((2, 16), np.float32)
    queries[0, 8:] = 1.0
    queries[1, :8] = 1.0

    assert_same(search(queries, vectors, 5), search_slowly(queries, vectors, 5))


def test_queries_scored_everywhere_are_scored_some_at_a_time(monkeypatch):
    """Whatever is held at once, of queries and of rows."""
    monkeypatch.setattr(scores, "_SCORES_AT_ONCE", 1100)
    monkeypatch.setattr(scores, "_ROWS_IN_CACHE", 64)
    vectors, queries = draw(0, 500, 16), draw(1, 7, 16)

    assert_same(list(score_all(queries, vectors, 5)), search_slowly(queries, vectors, 5))


@pytest.mark.parametrize(
    "query", [np.zeros(8), np.full(8, 1e-30), np.full(8, 1e30)], ids=["zero", "tiny", "huge"]
)
def test_odd_queries_are_answered(query):
    """A query of zeros ties with everything."""
    vectors = draw(0, 300, 8, mean=2.0)
    queries = query.astype(np.float32)[None]

    assert_same(search(queries, vectors, 7), search_slowly(queries, vectors, 7))


def test_vectors_that_are_all_the_same_tie():
    """All of them are hits, whatever k."""
    vectors = np.tile(draw(3, 1, 12), (400, 1))

    (scores, rows), *_ = search(draw(4, 2, 12), vectors, 10)

    assert rows.tolist() == list(range(400))
    assert len(set(scores.tolist())) == 1


def test_any_center_is_right():
    """A bad one leaves more in doubt, and finds the same."""
    vectors, queries = draw(0, 900, 20), draw(1, 4, 20)

    found = search(queries, vectors, 9, center=np.full(20, 50.0))

    assert_same(found, search_slowly(queries, vectors, 9))


def test_half_precision_vectors_are_scored_in_float32():
    """As ``search_exactly`` takes them."""
    vectors, queries = draw(0, 700, 24).astype(np.float16), draw(1, 3, 24)

    assert_same(search(queries, vectors, 9), search_slowly(queries, vectors, 9))


def test_no_estimate_is_off_by_more_than_its_bound():
    """For vectors with a mean, of very different lengths."""
    vectors = draw(0, 500, 64, mean=3.0) * np.logspace(-3, 3, 500, dtype=np.float32)[:, None]
    queries = draw(1, 20, 64)
    codes = encode_vectors(vectors, vectors.mean(axis=0))
    coded = encode_queries(queries, codes.center)

    steps = coded.codes.steps[:, None].astype(np.float64) * codes.steps
    products = coded.codes.values.astype(np.int64) @ codes.values.T.astype(np.int64)
    estimates = products * steps + coded.shares[:, None]
    off = np.abs(estimates - queries.astype(np.float64) @ vectors.T.astype(np.float64))

    owners, rows = (places.ravel() for places in np.indices(off.shape))
    assert (off.ravel() <= coded.bound(owners, codes, rows)).all()
    assert (off.max(axis=1) <= coded.bounds(codes)).all()


def test_codes_are_multiplied_exactly():
    """The largest ones too, where instructions for 16 bits would saturate."""
    import torch

    values = np.random.default_rng(0).choice([-127, 127], (40, 1040)).astype(np.int8)

    found = multiply(torch.from_numpy(values), torch.from_numpy(values)).numpy()

    assert np.array_equal(found, values.astype(np.int64) @ values.T.astype(np.int64))


def test_number_of_codes_is_that_of_the_vectors():
    """One each."""
    codes = encode_vectors(draw(0, 3, 4), np.zeros(4, np.float32))

    assert isinstance(codes, Codes)
    assert len(codes) == 3

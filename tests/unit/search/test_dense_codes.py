"""Dense search by the codes of a flat index: when it is used, and that it misses nothing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ance_plugin.search import dense, vectors
from ance_plugin.search.dense import DenseSearcher
from tests.unit.search.test_dense import VECTORS, StubEncoder, brute_force, write_index


@pytest.fixture
def coding(monkeypatch):
    """Have every flat index searched by codes, however small and whatever the processor."""
    monkeypatch.setattr(dense, "LEAST_VECTORS", 1)
    monkeypatch.setattr(dense, "_QUERIES_TO_CODE", 1)
    monkeypatch.setattr(dense, "_VECTORS_A_HIT", 0)
    monkeypatch.setattr(dense, "can_code", lambda _: True)


@pytest.mark.usefixtures("coding")
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=VECTORS, query=st.tuples(*[st.integers(-1, 1)] * 3), k=st.integers(1, 70))
def test_search_by_codes_is_a_brute_force_search(folder, rows, query, k):
    """Ties at the last place are cut by docid descending there too."""
    searcher = DenseSearcher(write_index(folder / "coded", rows), StubEncoder(3))

    assert searcher.search(np.array(query, dtype=np.float32), k) == brute_force(rows, query, k)


@pytest.mark.usefixtures("coding")
def test_search_by_codes_does_not_depend_on_the_batch(folder):
    """A score is the same to the last digit in any batch, for any k, with any threads."""
    rows = np.random.default_rng(0).standard_normal((500, 40)).astype(np.float32)
    queries = np.random.default_rng(1).standard_normal((33, 40)).astype(np.float32)
    searcher = DenseSearcher(write_index(folder / "coded", rows), StubEncoder(40))
    qids = [str(number) for number in range(33)]

    run = searcher.batch_search(queries, qids, 20, threads=2)

    assert run == {
        qid: searcher.search(query, 20) for qid, query in zip(qids, queries, strict=True)
    }
    assert {qid: hits[:5] for qid, hits in run.items()} == searcher.batch_search(queries, qids, 5)


@pytest.mark.usefixtures("coding")
def test_batches_that_ask_for_many_hits_are_left_to_faiss(folder, monkeypatch):
    """A hit of every second vector leaves codes all in doubt; the hits are the same either way."""
    rows = np.random.default_rng(0).integers(-9, 10, (60, 8)).astype(np.float32)
    searcher = DenseSearcher(write_index(folder / "deep", rows), StubEncoder(8))
    by_codes = searcher.search_vectors(rows[:20], 31)
    flat = searcher._flat
    assert flat is not None
    monkeypatch.setattr(dense, "_BATCH", 20)
    monkeypatch.setattr(dense, "_VECTORS_A_HIT", 2)
    monkeypatch.setattr(flat, "search", None)  # fails where it is called

    assert searcher.search_vectors(rows[:20], 31) == by_codes
    with pytest.raises(TypeError):
        searcher.search_vectors(rows[:20], 30)
    with pytest.raises(TypeError):
        searcher.search_vectors(rows[:19], 31)


def test_small_indexes_and_single_queries_without_codes_are_left_to_faiss(folder, monkeypatch):
    """Codes pay from a size on, and making them from a number of queries on."""
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    searcher = DenseSearcher(write_index(folder / "left", rows), StubEncoder(8))
    monkeypatch.setattr(dense, "can_code", lambda _: True)
    many = rows[:32]

    searcher.search_vectors(many, 3)
    assert searcher._flat is None
    monkeypatch.setattr(dense, "LEAST_VECTORS", 60)
    monkeypatch.setattr(dense, "_VECTORS_A_HIT", 20)
    searcher.search_vectors(many[:31], 3)
    assert searcher._flat is None
    searcher.search_vectors(many, 3)
    assert searcher._flat is not None


@pytest.mark.usefixtures("coding")
def test_a_deep_batch_has_no_codes_made(folder, monkeypatch):
    """Nor has its last part, which is as large as the others."""
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    searcher = DenseSearcher(write_index(folder / "deep", rows), StubEncoder(8))
    monkeypatch.setattr(dense, "_VECTORS_A_HIT", 2)
    monkeypatch.setattr(vectors, "QUERIES_AT_ONCE", 25)

    run = searcher.batch_search(rows, [str(row) for row in range(60)], 31)

    assert searcher._flat is None
    assert [hits[0].score for hits in run.values()] == pytest.approx((rows @ rows.T).max(axis=1))


def test_parts_are_of_one_size():
    """513 queries are two halves and not 512 and one; none are no parts."""
    assert vectors.split_evenly(513) == [slice(0, 256), slice(256, 513)]
    assert vectors.split_evenly(512) == [slice(0, 512)]
    assert vectors.split_evenly(0) == []

"""Searching halves on a device finds what comparing with every vector finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.index import on_device
from ance_plugin.index.on_device import DeviceIndex
from tests.unit.index.slowly import assert_same, draw, search_slowly

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    num_rows=st.integers(1, 700),
    dimension=st.sampled_from([1, 3, 32, 100]),
    num_queries=st.integers(1, 5),
    k=st.integers(1, 40),
    spread=st.sampled_from([1e-30, 1e-20, 1e-3, 1.0, 1e3]),
    mean=st.sampled_from([0.0, 1.0, 30.0]),
    num_values=st.sampled_from([None, 2, 9]),
    vector_type=st.sampled_from([np.float32, np.float16]),
)
def test_hits_and_scores_are_those_of_every_vector_scored(
    device, seed, num_rows, dimension, num_queries, k, spread, mean, num_values, vector_type
):
    """Whatever the scale of the vectors; with few different values there are many ties."""
    vectors = draw(seed, num_rows, dimension, spread=spread, mean=mean).astype(vector_type)
    if num_values is not None:
        vectors = vectors[np.random.default_rng(seed).integers(0, num_values, num_rows) % num_rows]
    queries = draw(seed + 1, num_queries, dimension, spread=spread)
    assert_same(DeviceIndex(vectors, device).search(queries, k), search_slowly(queries, vectors, k))


@pytest.mark.parametrize("device", DEVICES)
def test_rows_are_taken_in_parts(device, monkeypatch):
    """Brought in parts, searched in parts, queries in groups."""
    monkeypatch.setattr(on_device, "_ROWS_AT_ONCE", 300)
    monkeypatch.setattr(on_device, "_ESTIMATES_AT_ONCE", 2000)
    monkeypatch.setattr(on_device, "_QUERIES_AT_ONCE", 3)
    vectors, queries = draw(1, 2000, 24), draw(2, 8, 24)
    found = DeviceIndex(vectors, device).search(queries, 10)
    assert_same(found, search_slowly(queries, vectors, 10))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("num_values", [2, 10_000])
@pytest.mark.parametrize("width", [1, 63, 64, 12_800, 12_843])
def test_highest_values(device, width, num_values):
    """In groups where there are enough of them, all that are left over included."""
    values = torch.from_numpy(np.random.default_rng(width).integers(0, num_values, (3, width)))
    found, places = on_device._find_highest(values.float().to(device), min(50, width))
    expected = torch.topk(values.float(), min(50, width), dim=1).values
    assert torch.equal(found.sort(dim=1, descending=True).values.cpu(), expected)
    assert torch.equal(torch.gather(values, 1, places.cpu()).float(), found.cpu())
    assert all(len(set(row.tolist())) == len(row) for row in places)


def test_a_query_in_doubt_is_searched_deeper(monkeypatch):
    """Vectors nearer to each other than their halves can tell, and one that stands apart."""
    rng = np.random.default_rng(0)
    vectors = np.concatenate([draw(3, 1000, 16), 1e-6 * draw(4, 1000, 16) + 5]).astype(np.float32)
    queries = np.stack([rng.random(16), -np.ones(16)]).astype(np.float32)
    index, depths = DeviceIndex(vectors, "cpu"), []
    estimate = index._estimate
    monkeypatch.setattr(
        index, "_estimate", lambda q, depth: depths.append((len(q), depth)) or estimate(q, depth)
    )
    assert_same(index.search(queries, 10), search_slowly(queries, vectors, 10))
    assert depths == [(2, 74), (1, 296), (1, 1184)]


def test_fewer_queries_at_once_where_more_hits_are_looked_at(monkeypatch):
    """So that the estimates of many ties stay within bounds."""
    monkeypatch.setattr(on_device, "_ESTIMATES_AT_ONCE", 4000)
    vectors = np.repeat(draw(5, 10, 8), 150, axis=0)
    queries = draw(6, 20, 8)
    index, asked = DeviceIndex(vectors, "cpu"), []
    estimate = index._estimate
    monkeypatch.setattr(
        index, "_estimate", lambda q, depth: asked.append((len(q), depth)) or estimate(q, depth)
    )
    assert_same(index.search(queries, 10, threads=2), search_slowly(queries, vectors, 10))
    assert max(size * depth for size, depth in asked) <= 2000
    assert {depth for _, depth in asked} == {74, 296}


def test_zero_queries_and_zero_vectors():
    """All scores are equal, and the first rows come first."""
    index = DeviceIndex(np.zeros((5, 4), np.float32), "cpu")
    [(scores, rows)] = index.search(np.zeros((1, 4), np.float32), 2)
    assert (scores.tolist(), rows.tolist()) == ([0] * 5, [0, 1, 2, 3, 4])
    assert index.search(np.empty((0, 4), np.float32), 2) == []


def test_vectors_too_large_for_float16_are_refused():
    """The largest number of float16 is 65,504."""
    vectors = np.zeros((3, 4), np.float32)
    vectors[0] = 3e5
    with pytest.raises(ValueError, match="too large for float16, or not finite"):
        DeviceIndex(vectors, "cpu")


@pytest.mark.gpu
def test_vectors_that_do_not_fit_are_refused(monkeypatch):
    """Before anything is brought there."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 << 30, 80 << 30))
    vectors = np.broadcast_to(np.float32(1), (1_000_000, 768))
    with pytest.raises(ValueError, match=r"cuda has 5\.4 GB free, and 1\.5 GB of vectors need"):
        DeviceIndex(vectors, "cuda")

"""Dense search by a device: that it misses nothing, and what happens where there is none."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ance_plugin.encode import device
from ance_plugin.index import on_device
from ance_plugin.index.on_device import DeviceIndex
from ance_plugin.search.dense import DenseSearcher
from tests.unit.search.test_dense import VECTORS, StubEncoder, brute_force, write_index


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=VECTORS, query=st.tuples(*[st.integers(-1, 1)] * 3), k=st.integers(1, 70))
def test_search_by_a_device_is_a_brute_force_search(folder, rows, query, k):
    """Ties at the last place are cut by docid descending there too."""
    searcher = DenseSearcher(write_index(folder / "held", rows), StubEncoder(3))
    searcher._on_device = DeviceIndex(searcher._stored.flat_vectors, "cpu")

    assert searcher.search(np.array(query, dtype=np.float32), k) == brute_force(rows, query, k)


def test_a_cpu_that_is_named_searches_as_without_a_name(folder):
    """There is nothing to bring anywhere."""
    index = write_index(folder / "cpu", [[1, 0], [0, 1]])
    assert DenseSearcher(index, StubEncoder(2), device="cpu")._on_device is None
    with pytest.raises(ValueError, match="device 'tpu9' cannot be used here"):
        DenseSearcher(index, StubEncoder(2), device="tpu9")


def test_vectors_that_a_gpu_cannot_hold_are_searched_on_the_cpu(folder, monkeypatch, caplog):
    """With a warning that says why."""
    rows = [[1, 0], [0, 2]]
    index = write_index(folder / "large", rows)
    monkeypatch.setattr(device, "choose_device", torch.device)
    monkeypatch.setattr(on_device, "DeviceIndex", refuse)
    with caplog.at_level(logging.WARNING, "ance_plugin"):
        searcher = DenseSearcher(index, StubEncoder(2), device="cuda")
    assert [record.message for record in caplog.records][-1] == (
        f"{index}: cuda has 1.0 GB free; searching on the CPU"
    )
    query = np.array([1, 1], dtype=np.float32)
    assert searcher.search(query, 2) == brute_force(rows, (1, 1), 2)


def refuse(vectors, device):
    raise ValueError(f"{device} has 1.0 GB free")

"""Batches on several cores: results in order, errors as they are, threads as before."""

import threading
import time

import numpy as np
import pytest
import torch

from ance_plugin.encode import encoder as encoder_module
from ance_plugin.encode.cores import map_on_cores
from ance_plugin.encode.encoder import Encoder


@pytest.fixture
def two_threads():
    """PyTorch with two threads, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def new_threads_have():
    """How many threads PyTorch uses in a thread that has just started."""
    counts = []
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [0, 1, 3, 4, 50])
def test_results_come_in_the_order_of_the_items(count):
    """Few items on all threads, many on one each; then all is as it was."""
    found = list(map_on_cores(lambda n: (n * n, torch.get_num_threads()), range(count)))

    assert found == [(n * n, 2 if count < 4 else 1) for n in range(count)]
    assert torch.get_num_threads() == new_threads_have() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_is_raised_and_ends_it():
    """What one item raises ends the whole, with the threads as before."""
    computed = []

    def compute(number):
        computed.append(number)
        if number == 3:
            raise ValueError("the fourth")
        time.sleep(0.001)  # so that all would take far longer than handing them out

    with pytest.raises(ValueError, match="the fourth"):
        list(map_on_cores(compute, range(10_000)))

    assert len(computed) < 10_000
    assert torch.get_num_threads() == new_threads_have() == 2


@pytest.mark.usefixtures("two_threads")
def test_vectors_are_the_same_on_any_number_of_cores(tiny_checkpoint, monkeypatch):
    """Each text's vector in its place, and progress counts every text."""
    encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32", batch_size=4)
    rng = np.random.default_rng(0)
    rows = [[1, *rng.integers(5, 12, rng.integers(1, 12)).tolist(), 2] for _ in range(61)]
    progress = []

    found = encoder.encode_tokens(rows, on_progress=progress.append)

    monkeypatch.setattr(encoder_module, "map_on_cores", map)
    np.testing.assert_allclose(found, encoder.encode_tokens(rows), atol=1e-5, rtol=0)
    assert sum(progress) == 61
    assert len(progress) >= 16

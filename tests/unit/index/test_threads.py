"""Threads are as many as asked for within a block, and as many as before after it."""

import faiss
import pytest
import torch

from ance_plugin.index.threads import faiss_threads, torch_threads


@pytest.fixture(autouse=True)
def _three_threads():
    """Begin with another number than any test asks for."""
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(3)
    faiss.omp_set_num_threads(3)
    yield
    torch.set_num_threads(before[0])
    faiss.omp_set_num_threads(before[1])


def test_threads_of_faiss():
    """A search on one thread does not leave the encoder one thread."""
    with faiss_threads(1):
        assert faiss.omp_get_max_threads() == 1
    with faiss_threads(None):
        assert faiss.omp_get_max_threads() == 3

    assert faiss.omp_get_max_threads() == 3
    assert torch.get_num_threads() == 3


def test_threads_of_pytorch():
    """Those of FAISS are as before too, whether or not both share one OpenMP."""
    with torch_threads(1):
        assert torch.get_num_threads() == 1

    assert torch.get_num_threads() == 3
    assert faiss.omp_get_max_threads() == 3


def test_an_error_ends_the_block_as_well():
    """What comes after it has the threads it had."""

    def fail():
        with faiss_threads(1), torch_threads(2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == (3, 3)

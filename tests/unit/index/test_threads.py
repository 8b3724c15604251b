"""Threads are as many as asked for within a block, and as many as before after it."""

import threading
import time

import faiss
import pytest
import torch

from ance_plugin.index.threads import faiss_threads, map_on_threads, torch_threads


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


def test_a_thread_that_begins_within_a_block_goes_back_to_the_number_before_it():
    """Not to what another thread's search has set for a while."""
    seen = []

    def search():
        with torch_threads(2):
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    with torch_threads(1):
        stranger = threading.Thread(target=search)
        stranger.start()
        stranger.join()

    assert seen == [2, 3]
    assert torch.get_num_threads() == 3


def test_an_error_ends_the_block_as_well():
    """What comes after it has the threads it had."""

    def fail():
        with faiss_threads(1), torch_threads(2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == (3, 3)


def test_items_are_computed_side_by_side_on_a_thread_each():
    """In their order; a thread that begins meanwhile has as many as there were."""
    seen = {}

    def compute(item):
        if item == 0:
            stranger = threading.Thread(target=lambda: seen.update(new=torch.get_num_threads()))
            stranger.start()
            stranger.join()
        return item, torch.get_num_threads()

    assert map_on_threads(compute, range(6), 3) == [(item, 1) for item in range(6)]
    assert seen == {"new": 3}
    assert torch.get_num_threads() == 3


def test_an_item_that_fails_ends_the_work():
    """What has not begun is left out, and threads are as before."""
    begun = []

    def fail(item):
        begun.append(item)
        time.sleep(0.01)
        raise LookupError(str(item))

    with pytest.raises(LookupError, match="0"):
        map_on_threads(fail, range(100), 3)
    assert len(begun) < 100
    assert torch.get_num_threads() == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("search")]

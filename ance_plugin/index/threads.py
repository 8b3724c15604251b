"""How many threads PyTorch and FAISS use for a while.

Both count OpenMP's threads, and where their libraries share one OpenMP, what is set for the one
holds for the other: a search on one thread would leave the encoder one thread from then on.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Have PyTorch use so many threads within the block, and then as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def faiss_threads(number: int | None) -> Iterator[None]:
    """Have FAISS use so many threads within the block, and then as many as before.

    Args:
        number: None leaves them as they are.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    if number is not None:
        faiss.omp_set_num_threads(number)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)

"""Batches side by side on a CPU: one thread each, as their products are too small to be shared."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch


def map_on_cores[Item, Result](
    compute: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """Compute items at once, as many as PyTorch has threads, each on one thread.

    Few items are computed one after another, each on all threads.

    Args:
        compute: Called from several threads; what it raises is raised here.
        items: What to compute.

    Yields:
        The results, in the order of the items.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(items) < 2 * threads:
        yield from map(compute, items)
        return
    try:
        with ThreadPoolExecutor(threads, "encode", torch.set_num_threads, (1,)) as pool:
            yield from pool.map(compute, items)
    finally:
        torch.set_num_threads(threads)  # which threads that start later take over

"""How many threads PyTorch and FAISS use for a while.

Both count OpenMP's threads, and where their libraries share one OpenMP, what is set for the one
holds for the other: a search on one thread would leave the encoder one thread from then on.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Lock


class _TorchThreads:
    """PyTorch's number of threads, changed by blocks that several threads may be in at once.

    A thread that is new to PyTorch takes over what another has set for a while. So the number to
    go back to is the one that there was before the first of these blocks.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._num_blocks = 0
        self._before = 0

    @contextmanager
    def set_to(self, number: int) -> Iterator[None]:
        """Have PyTorch use so many threads within the block, and then as many as before."""
        import torch

        with self._lock:
            if not self._num_blocks:
                self._before = torch.get_num_threads()
            self._num_blocks += 1
        try:
            torch.set_num_threads(number)
            yield
        finally:
            with self._lock:
                self._num_blocks -= 1
                torch.set_num_threads(self._before)


torch_threads = _TorchThreads().set_to


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


def map_on_threads[Item, Result](
    compute: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """Compute items side by side, each on one of PyTorch's threads.

    The caller's number is set again before any item is computed, for threads that are new to
    PyTorch to take over.

    Args:
        compute: Called from several threads; what it raises is raised here, the items that have
            not begun are left out.
        items: What to compute, at least as many as threads.
        threads: How many, as PyTorch has in the calling thread.

    Returns:
        The results, in the order of the items.
    """
    import torch

    are_set = Barrier(threads + 1)

    def start() -> None:
        torch.get_num_threads()  # has the thread take over the number that all have, once
        torch.set_num_threads(1)
        are_set.wait()

    pool = ThreadPoolExecutor(threads, "search", start)
    try:
        futures = [pool.submit(compute, item) for item in items]
        are_set.wait()
        torch.set_num_threads(threads)
        return [future.result() for future in futures]
    except BaseException:
        are_set.abort()  # threads that wait for the others do not wait for ever
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)

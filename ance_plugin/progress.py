"""Progress of long work, shown on a terminal and nowhere else."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


def track[T](items: Iterable[T], *, what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar on stderr counts them; without a terminal there is no bar."""
    with count(what=what, total=total) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def count(*, what: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
    """Yield a function that moves a bar on stderr forward; without a terminal it does nothing.

    There tqdm is left out altogether: even a hidden bar takes a lock that all forks of a process
    share, and a fork that is killed while it holds it has the others wait for ever.
    """
    if not sys.stderr.isatty():
        yield lambda number: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, total=total, unit_scale=True, leave=False) as bar:
        yield bar.update

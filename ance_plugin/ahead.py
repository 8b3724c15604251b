"""Work that is prepared while what came before it is computed elsewhere, as on a GPU."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Literal


class _Nothing(Enum):
    END = "end"


type _End = Literal[_Nothing.END]


def one_ahead[T](items: Iterable[T]) -> Iterator[T]:
    """Make each item in a thread while the one before it is in use.

    Args:
        items: Made one at a time, in order.

    Yields:
        The items; what making one raises is raised in its place.
    """
    iterator = iter(items)

    def make() -> T | _End:
        return next(iterator, _Nothing.END)

    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(make)
        while (item := coming.result()) is not _Nothing.END:
            coming = pool.submit(make)
            yield item

"""Progress of long work, shown on a terminal and nowhere else."""

import logging
import sys
from collections.abc import Iterable, Iterator

logger = logging.getLogger(__name__)


def track[T](items: Iterable[T], *, what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar on stderr counts them; without a terminal there is no bar."""
    from tqdm import tqdm

    yield from tqdm(
        items, desc=what, total=total, disable=not sys.stderr.isatty(), unit_scale=True, leave=False
    )

"""Ways to do one work, timed in turns, by the clock and by the processor.

Ways take turns so that whatever slows the machine down slows all of them; figures are medians.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Seconds:
    """What work took: seconds of the clock, and of all processors together."""

    wall: float
    cpu: float


def timed(run: Callable[[], Any]) -> tuple[Any, Seconds]:
    """Run, and give the result and what it took this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    return result, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def take_turns(
    ways: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: bool = False
) -> dict[str, list[Seconds]]:
    """Run every way once a turn.

    Args:
        ways: What to run, by name.
        repeats: Turns.
        warm_up: Whether a first turn is not counted.

    Returns:
        What each way took in each turn.
    """
    taken: dict[str, list[Seconds]] = {name: [] for name in ways}
    for turn in range(repeats + warm_up):
        for name, run in ways.items():
            _, seconds = timed(run)
            if turn or not warm_up:
                taken[name].append(seconds)
        sys.stderr.write(f"turn {turn + 1} of {repeats + warm_up}\n")
    return taken


def median(taken: Iterable[Seconds]) -> Seconds:
    """Give the medians of clock and processor, each for itself."""
    taken = list(taken)
    return Seconds(*(statistics.median(getattr(one, name) for one in taken) for name in _CLOCKS))


def quantile(taken: Iterable[Seconds], share: float) -> Seconds:
    """Give a quantile of clock and processor, each for itself."""
    values = np.quantile([(one.wall, one.cpu) for one in taken], share, axis=0)
    return Seconds(*values.tolist())


def write_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    for line in lines:
        sys.stdout.write(f"| {' | '.join(map(str, line))} |\n")
    sys.stdout.flush()


_CLOCKS = ("wall", "cpu")

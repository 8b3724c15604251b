"""Samples of how long queries took, stage by stage, and what their percentiles are worth."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sample:
    """One call of a system.

    Attributes:
        first_topic: Place of the first of its queries among the topics.
        num_queries: Queries it answered.
        wall_ns: Time that passed.
        cpu_ns: Time that all threads of the process computed, which work beside it changes little.
        stages: Name of a stage -> nanoseconds that passed in it.
    """

    first_topic: int
    num_queries: int
    wall_ns: int
    cpu_ns: int
    stages: dict[str, int]


@dataclass(slots=True)
class Stopwatch:
    """Adds up the time that passes in each stage; a stage costs about a microsecond more by it."""

    stages: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is in the block; a stage that is entered again goes on.

        Args:
            name: Of the stage.
        """
        started = time.perf_counter_ns()
        yield
        self.stages[name] = self.stages.get(name, 0) + time.perf_counter_ns() - started


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of samples with its interval.

    Attributes:
        value: In the unit of the samples.
        low: The interval's lower end; None where so few samples give no interval: below 6 for the
            median, 72 for the 95th percentile and 368 for the 99th.
        high: Its upper end; None likewise.
    """

    value: float
    low: float | None
    high: float | None


def find_percentile(values: Sequence[float], percent: float) -> Percentile:
    """Give a percentile and the interval that holds the true one with a confidence of 95%.

    The interval's ends are order statistics (scipy's ``quantile_test``), so nothing is assumed of
    how times are distributed; but the samples must be independent of each other.

    Args:
        values: At least one.
        percent: Between 0 and 100, exclusive; neighbours are interpolated, as numpy does.
    """
    from scipy.stats import quantile_test

    value = float(np.percentile(values, percent))
    interval = quantile_test(values, q=value, p=percent / 100).confidence_interval(CONFIDENCE)
    if np.isnan(interval.low) or np.isnan(interval.high):
        return Percentile(value, None, None)
    return Percentile(value, float(interval.low), float(interval.high))


def find_ratio(slow: NDArray[np.float64], fast: NDArray[np.float64], *, seed: int) -> Percentile:
    """Divide the median of one system by that of another, with a bootstrap interval over topics.

    Args:
        slow: Times of the numerator, shape (n,), a topic each.
        fast: Times of the denominator for the same topics.
        seed: Of the 2,000 samples of topics that are drawn.

    Returns:
        The ratio; one topic gives no interval.
    """
    ratio = float(np.median(slow) / np.median(fast))
    if len(slow) < 2:
        return Percentile(ratio, None, None)
    drawn = np.random.default_rng(seed).integers(0, len(slow), (2000, len(slow)))
    ratios = np.median(slow[drawn], axis=1) / np.median(fast[drawn], axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(ratios, [tail, 100 - tail])
    return Percentile(ratio, float(low), float(high))

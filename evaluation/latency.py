"""Time systems on the same queries, in turns, so that a machine that drifts slows all of them.

Each topic, or batch of topics, is a round. In every round the systems come in an order of its own.
A system too slow for all rounds takes part in as many as its share of time allows, spread evenly
from the first round to the last; how many is in the result.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np

from ance_plugin.progress import count
from evaluation.latency_systems import System
from evaluation.stopwatch import Sample, Stopwatch

logger = logging.getLogger(__name__)

_WARM_UP_SHARE = 0.1  # of max_seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """What is timed, and for how long.

    Attributes:
        batch_size: Queries of a batch, beside single ones; 1 is single ones alone.
        repeats: Times each topic is asked.
        num_warmup: Queries that each system answers before any counts, or fewer where they take a
            tenth of ``max_seconds``, but at least one.
        max_seconds: For each system and batch size.
        seed: Of the orders.
    """

    batch_size: int = 32
    repeats: int = 1
    num_warmup: int = 50
    max_seconds: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        for name in ("batch_size", "repeats", "num_warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be above 0, found {self.max_seconds}")


@dataclass(frozen=True, slots=True)
class Measured:
    """The samples of one system at one batch size.

    Attributes:
        system: The system's name.
        depth: Documents that it reranks; None without reranking.
        batch_size: Queries a call.
        samples: In the order they were taken; empty where one call would take too long.
        num_planned: Calls that all rounds would have been.
    """

    system: str
    depth: int | None
    batch_size: int
    samples: tuple[Sample, ...]
    num_planned: int

    @property
    def label(self) -> str:
        """The system with its depth."""
        return self.system if self.depth is None else f"{self.system} {self.depth}"

    def median_by_topic(self, *, of_cpu: bool = False) -> dict[int, float]:
        """Give each topic's median over its repeats, milliseconds a query; for single queries."""
        times: dict[int, list[int]] = {}
        for sample in self.samples:
            times.setdefault(sample.first_topic, []).append(
                sample.cpu_ns if of_cpu else sample.wall_ns
            )
        return {topic: float(np.median(found)) / 1e6 for topic, found in times.items()}


def measure(
    systems: Sequence[System], queries: Sequence[str], settings: Settings
) -> list[Measured]:
    """Time all systems, single queries first, then batches.

    Args:
        systems: What to time, loaded.
        queries: The topics' texts, at least one.
        settings: How.

    Returns:
        For single queries and then for batches, what each system took, in the order of
        ``systems``.

    Raises:
        ValueError: There are no systems or no queries.
    """
    if not systems or not queries:
        raise ValueError("latency needs at least one system and one query")
    costs = [_warm_up(system, queries, settings) for system in systems]
    measured = _measure_rounds(systems, queries, settings, costs=costs, batch_size=1)
    size = min(settings.batch_size, len(queries))
    if size > 1:
        costs = [_mean_seconds(one.samples) for one in measured]
        measured += _measure_rounds(systems, queries, settings, costs=costs, batch_size=size)
    return measured


def plan_rounds(num_rounds: int, num_wanted: int) -> set[int]:
    """Spread some rounds evenly over all.

    Args:
        num_rounds: All of them, numbered from 0.
        num_wanted: Of the system; no more than there are.

    Returns:
        The numbers of its rounds.
    """
    return {(2 * place + 1) * num_rounds // (2 * num_wanted) for place in range(num_wanted)}


def _warm_up(system: System, queries: Sequence[str], settings: Settings) -> float:
    """Answer queries from the last one on; give the seconds of the fastest, for planning."""
    limit = settings.max_seconds * _WARM_UP_SHARE
    started, fastest = time.monotonic(), float("inf")
    for number in range(settings.num_warmup):
        before = time.monotonic()
        system.answer([queries[-1 - number % len(queries)]], Stopwatch())
        fastest = min(fastest, time.monotonic() - before)
        if time.monotonic() - started > limit:
            break
    logger.info("latency: %s (depth %s) is warm", system.name, system.depth)
    return fastest


def _measure_rounds(
    systems: Sequence[System],
    queries: Sequence[str],
    settings: Settings,
    *,
    costs: Sequence[float],
    batch_size: int,
) -> list[Measured]:
    """Time one batch size, given the seconds that a query is expected to cost each system."""
    generator = np.random.default_rng((settings.seed, batch_size))
    whole = len(queries) // batch_size * batch_size  # a last smaller batch would be another thing
    batches = list(batched(range(whole), batch_size))
    rounds = [batch for _ in range(settings.repeats) for batch in batches]
    affordable = [int(settings.max_seconds / max(cost * batch_size, 1e-9)) for cost in costs]
    if batch_size == 1:
        affordable = [max(1, number) for number in affordable]
    plans = [plan_rounds(len(rounds), min(len(rounds), number)) for number in affordable]
    samples: list[list[Sample]] = [[] for _ in systems]
    with count(what=f"latency, {batch_size} a batch", total=sum(map(len, plans))) as advance:
        for number, batch in enumerate(rounds):
            for place in generator.permutation(len(systems)).tolist():
                if number in plans[place] and not _is_spent(samples[place], settings):
                    samples[place].append(_time(systems[place], queries, batch))
                    advance(1)
    return [
        Measured(system.name, system.depth, batch_size, tuple(taken), len(rounds))
        for system, taken in zip(systems, samples, strict=True)
    ]


def _time(system: System, queries: Sequence[str], places: Sequence[int]) -> Sample:
    asked = [queries[place] for place in places]
    stopwatch = Stopwatch()
    cpu_started, started = time.process_time_ns(), time.perf_counter_ns()
    system.answer(asked, stopwatch)
    ended, cpu_ended = time.perf_counter_ns(), time.process_time_ns()
    return Sample(
        places[0], len(places), ended - started, cpu_ended - cpu_started, stopwatch.stages
    )


def _is_spent(samples: Sequence[Sample], settings: Settings) -> bool:
    return sum(sample.wall_ns for sample in samples) > settings.max_seconds * 1e9


def _mean_seconds(samples: Sequence[Sample]) -> float:
    return sum(sample.wall_ns for sample in samples) / 1e9 / len(samples)


def sum_stages(samples: Sequence[Sample]) -> Mapping[str, float]:
    """Give the mean milliseconds a query of each stage, and of what is between them as ``other``.

    Args:
        samples: At least one.
    """
    num_queries = sum(sample.num_queries for sample in samples)
    totals: dict[str, float] = {}
    for sample in samples:
        other = sample.wall_ns - sum(sample.stages.values())
        for name, value in {**sample.stages, "other": other}.items():
            totals[name] = totals.get(name, 0.0) + value
    return {name: value / 1e6 / num_queries for name, value in totals.items()}

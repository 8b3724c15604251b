"""Choose a method's settings on judged topics, by one measure."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ance_plugin import measures
from ance_plugin.fusion import positions
from ance_plugin.fusion.fuse import check_lists, fuse_pool
from ance_plugin.fusion.grids import list_numbers, list_settings, refine
from ance_plugin.fusion.methods import DEFAULT_DEPTH, DEFAULT_HITS, METHODS, FusionParams
from ance_plugin.fusion.pool import HitPool, pool_hits
from ance_plugin.records import Qrels, Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """Settings and the measure's mean with them."""

    params: FusionParams
    value: float


@dataclass(frozen=True)
class Tuning:
    """What tuning found.

    Attributes:
        measure: The measure, as ``measures`` names it.
        best: The best trial; of equal ones the first.
        trials: All that was tried, in the order in which it was tried.
        singles: The measure of each run alone, in the order of the runs.
        qids: The topics it was measured on, sorted.
    """

    measure: str
    best: Trial
    trials: list[Trial]
    singles: list[float]
    qids: list[str]


def tune(
    runs: Sequence[Run],
    qrels: Qrels,
    *,
    method: str,
    measure: str,
    norm: str | None = None,
    depth: int = DEFAULT_DEPTH,
) -> Tuning:
    """Try a grid of settings and keep the best.

    Topics count if they are judged and some run has hits for them. A trained method learns from the
    very topics its settings are measured on, so its value here is flattering.

    Args:
        runs: Two or more; for ``interpolation`` the sparse one, then the dense one.
        qrels: Judgments.
        method: One of ``METHODS`` with something to tune.
        measure: What to maximise; hits below its cutoff are not looked at.
        norm: For the methods that take one; None is the method's default.
        depth: Hits read from each run.

    Returns:
        The best settings, everything that was tried, and each run alone for comparison.

    Raises:
        ValueError: No topic is judged, the method has nothing to tune, the measure is unknown, or
            the runs do not fit the method.
    """
    measures.check_measures([measure])
    if measures.is_lower_better(measure):
        raise ValueError(f"less is better of {measure}; name a measure to maximise")
    check_tunable(method, norm, depth, len(runs))
    qids = sorted({qid for run in runs for qid, hits in run.items() if hits and qid in qrels})
    if not qids:
        raise ValueError("no topic of the runs is judged in the qrels; are they of one dataset?")
    judged = {qid: qrels[qid] for qid in qids}
    pools = {qid: pool_hits([run.get(qid, []) for run in runs], depth) for qid in qids}
    cutoff = _cutoff(measure)

    def evaluate(run: Run) -> float:
        return measures.means(run, judged, [measure])[measure]

    def attempt(params: FusionParams) -> Trial:
        fused = {qid: fuse_pool(pool, params, cutoff) for qid, pool in pools.items()}
        return Trial(params, evaluate(fused))

    if METHODS[method].trained:
        settings = _train(method, norm, depth, pools, judged)
    else:
        settings = list_settings(method, norm, depth, len(runs))
    trials = _try_all(settings, attempt)
    singles = [evaluate({qid: run[qid][:depth] for qid in qids if qid in run}) for run in runs]
    return Tuning(measure, _best(trials), trials, singles, qids)


def check_tunable(method: str, norm: str | None, depth: int, num_runs: int) -> None:
    """Raise ValueError if there is nothing to tune or the runs do not fit, before any work."""
    if METHODS[method].trained:
        numbers = {name: list_numbers(name)[0] for name in METHODS[method].numbers}
        untrained = ((0.0,),) * num_runs
        settings = [FusionParams(method, norm, depth, numbers, trained=untrained)]
    else:
        settings = list_settings(method, norm, depth, num_runs)
    check_lists(num_runs, settings[0])


def _try_all(
    settings: Sequence[FusionParams], attempt: Callable[[FusionParams], Trial]
) -> list[Trial]:
    logger.info("trying %d settings of %s", len(settings), settings[0].method)
    trials = [attempt(params) for params in settings]
    tried = [trial.params.settings() for trial in trials]
    around = [params for params in refine(_best(trials).params) if params.settings() not in tried]
    return trials + [attempt(params) for params in around]


def _best(trials: Iterable[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.value)  # max keeps the first of equals


def _cutoff(measure: str) -> int:
    match = re.search(r"@(\d+)", measure)
    return int(match.group(1)) if match else DEFAULT_HITS


def _train(
    method: str, norm: str | None, depth: int, pools: Mapping[str, HitPool], qrels: Qrels
) -> list[FusionParams]:
    """Learn what the method learns, once for each value of the number it has, if any."""
    hit_lists = _mark_relevant(pools, qrels)
    num_relevant = [sum(grade > 0 for grade in qrels[qid].values()) for qid in pools]

    def learn(numbers: Mapping[str, float]) -> FusionParams:
        n_segments = int(numbers.get("n_segments", 1))
        learned = [
            positions.learn(method, hits, num_relevant, n_segments=n_segments) for hits in hit_lists
        ]
        trained = tuple(tuple(values.tolist()) for values in learned)
        return FusionParams(method, norm, depth, numbers, trained=trained)

    names = list(METHODS[method].numbers)
    if not names:
        return [learn({})]
    return [learn({names[0]: value}) for value in list_numbers(names[0])]


def _mark_relevant(pools: Mapping[str, HitPool], qrels: Qrels) -> list[list[positions.Values]]:
    """Give each run's hit lists, one for each topic."""
    marked: list[list[positions.Values]] = []
    for row in range(len(next(iter(pools.values())).sizes)):
        marked.append([])
        for qid, pool in pools.items():
            relevant = np.array([qrels[qid].get(docid, 0) > 0 for docid in pool.docids], dtype=bool)
            hits = np.zeros(int(pool.sizes[row]))
            hits[pool.ranks[row, relevant & (pool.ranks[row] > 0)] - 1] = 1.0
            marked[row].append(hits)
    return marked

"""Tukey's HSD over the systems of a comparison: every pair at once, the family-wise error held.

Values are blocked by topic. ``tukey_p`` refers differences to the studentised range over the
residuals of a two-way analysis of variance without replication (topic and system); with two systems
it is the paired t-test. ``randomised_tukey_p`` refers them to the range of means when the systems'
names are shuffled within each topic, which assumes no distribution (Carterette, TOIS 2012; Sakai,
*Laboratory Experiments in Information Retrieval*, 2018).
"""

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12
_BATCH_BYTES = 1 << 24


def tukey_p(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p-value of each pair of systems by the studentised range.

    Args:
        values: Shape (q, s), float64: topics by systems, at least two of either.

    Returns:
        Shape (s, s), symmetric, 1 on the diagonal. Where systems differ by the same in every topic
        there is no error to measure by: 0 where means differ, else 1.
    """
    from scipy import stats

    topics, systems = values.shape
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    freedom = (topics - 1) * (systems - 1)
    error = math.sqrt((residuals**2).sum() / freedom / topics)
    ranges = _range_of_means(values)
    if error <= _ROUNDING:
        return np.where(ranges <= _ROUNDING, 1.0, 0.0)
    p_values = np.ones_like(ranges)
    upper = np.triu_indices(systems, 1)
    p_values[upper] = stats.studentized_range.sf(ranges[upper] / error, systems, freedom)
    return np.minimum(p_values, p_values.T).clip(0.0, 1.0)


def randomised_tukey_p(
    values: NDArray[np.float64], rng: np.random.Generator, *, permutations: int = 100_000
) -> NDArray[np.float64]:
    """Return the p-value of each pair of systems by shuffling systems within topics.

    Args:
        values: Shape (q, s), float64: topics by systems.
        rng: Draws the permutations.
        permutations: Number of draws.

    Returns:
        Shape (s, s), symmetric: (count + 1) / (permutations + 1), where the count is of draws
        whose largest difference of means is at least that of the pair; 1 on the diagonal.
    """
    topics, systems = values.shape
    least = np.sort(_range_of_means(values), axis=None)
    batch = max(1, _BATCH_BYTES // (8 * topics * systems))
    counts = np.zeros(len(least), dtype=np.int64)
    for start in range(0, permutations, batch):
        size = min(batch, permutations - start)
        drawn = rng.permuted(np.broadcast_to(values, (size, topics, systems)), axis=2)
        means = drawn.mean(1)
        reached = np.searchsorted(least - _ROUNDING, means.max(1) - means.min(1), side="right")
        counts += np.bincount(reached, minlength=len(least) + 1)[::-1].cumsum()[::-1][1:]
    p_values = (counts + 1) / (permutations + 1)
    found = np.searchsorted(least, _range_of_means(values), side="left")
    return np.where(np.eye(systems, dtype=bool), 1.0, p_values[found])


def _range_of_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    means = values.mean(0)
    return np.abs(means[:, None] - means[None, :])

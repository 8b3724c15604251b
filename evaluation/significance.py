"""Is the difference of two systems more than chance: paired tests and corrections.

Tests are two-sided. Smucker, Allan and Carterette (CIKM 2007) recommend the two that are here, as
they agree on retrieval measures. Holm (1979) holds the family-wise error as Bonferroni does and
rejects more. Tukey's tests, in ``tukey``, are for every pair of systems at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.tukey import randomised_tukey_p, tukey_p

type TestMethod = Literal["student", "fisher", "tukey", "randomised-tukey"]
type Correction = Literal["holm", "bonferroni", "none"]

CONFIDENCE = 0.95
_TIE = 1e-12  # differences below this are rounding
_BATCH_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Difference:
    """A system against another, on one measure: the other's value is subtracted.

    ``ci_low`` and ``ci_high`` bound the mean difference at 95% (Student's t, each interval by
    itself). ``cohens_dz`` is the
    mean difference over its standard deviation, None where all topics differ by the same. ``wins``,
    ``ties`` and ``losses`` count topics.
    """

    mean: float
    ci_low: float
    ci_high: float
    cohens_dz: float | None
    wins: int
    ties: int
    losses: int
    p_value: float
    p_corrected: float


def compare_pairs(
    systems: Mapping[str, NDArray[np.float64]],
    pairs: Sequence[tuple[str, str]],
    *,
    test: TestMethod,
    correction: Correction,
    seed: int = 0,
    permutations: int = 100_000,
) -> dict[tuple[str, str], Difference]:
    """Test pairs of systems on one measure; the pairs are the family that is corrected for.

    Args:
        systems: name -> values, each of shape (q,), float64, topics in one order; two or more.
        pairs: Names: the system, and what it is compared with.
        test: ``student``, the paired t-test; ``fisher``, the randomisation test; ``tukey`` and
            ``randomised-tukey``, whose family is every pair of ``systems`` whichever are asked for.
        correction: How p-values are adjusted for the number of pairs.
        seed: Seeds the permutations of every pair alike, so none depends on the others.
        permutations: Number drawn by the tests that draw.

    Returns:
        pair -> first minus second.

    Raises:
        ValueError: There are fewer than two topics, shapes differ, or Tukey's p-values are to be
            corrected again.
    """
    check_correction(test, correction)
    differences = {pair: _subtract(systems[pair[0]], systems[pair[1]]) for pair in pairs}
    if is_simultaneous(test):
        p_values = _ask_tukey(systems, pairs, test=test, seed=seed, permutations=permutations)
    else:
        p_values = [
            student_p(difference)
            if test == "student"
            else fisher_p(difference, np.random.default_rng(seed), permutations=permutations)
            for difference in differences.values()
        ]
    corrected = correct(p_values, correction)
    return {
        pair: _describe(difference, p_value, p_corrected)
        for (pair, difference), p_value, p_corrected in zip(
            differences.items(), p_values, corrected, strict=True
        )
    }


def negate(difference: Difference) -> Difference:
    """Turn first minus second into second minus first."""
    effect = difference.cohens_dz
    return replace(
        swap_sides(difference),
        mean=-difference.mean,
        ci_low=-difference.ci_high,
        ci_high=-difference.ci_low,
        cohens_dz=None if effect is None else -effect,
    )


def swap_sides(difference: Difference) -> Difference:
    """Count wins as losses, for a measure of which less is better; the numbers stay."""
    return replace(difference, wins=difference.losses, losses=difference.wins)


def is_simultaneous(test: TestMethod) -> bool:
    """Say whether a test holds the family-wise error over all pairs of systems by itself."""
    return test in {"tukey", "randomised-tukey"}


def check_correction(test: TestMethod, correction: Correction) -> None:
    """Raise ValueError where p-values would be corrected twice."""
    if is_simultaneous(test) and correction != "none":
        raise ValueError(
            f"{test} holds the family-wise error itself; give no correction, found {correction}"
        )


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bound a mean over topics at 95% (Student's t); the bounds are the mean for one topic.

    Args:
        values: Shape (q,), float64.

    Returns:
        The lower and the upper bound.
    """
    if len(values) < 2:
        return float(values.mean()), float(values.mean())
    mean, deviation = _mean_and_deviation(values)
    margin = _margin(deviation, len(values))
    return mean - margin, mean + margin


def student_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of the paired t-test.

    Args:
        differences: Shape (q,), float64, q of at least two. All zero gives 1; all the same and not
            zero gives 0.

    Returns:
        The p-value.
    """
    from scipy import stats

    mean, deviation = _mean_and_deviation(differences)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    t = mean / (deviation / math.sqrt(len(differences)))
    return float(2 * stats.t.sf(abs(t), len(differences) - 1))


def fisher_p(
    differences: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    permutations: int = 100_000,
) -> float:
    """Return the two-sided p-value of Fisher's randomisation test on the mean difference.

    Under the null hypothesis each topic's difference has either sign. Where all signs together are
    no more than ``permutations``, each is tried once and the p-value is exact; else signs are drawn
    and the p-value is (count + 1) / (permutations + 1), which is never zero.

    Args:
        differences: Shape (q,), float64. All zero gives 1.
        rng: Draws the signs.
        permutations: Number of draws.

    Returns:
        The p-value.
    """
    changed = differences[differences != 0]  # the sign of a zero changes no sum
    if len(changed) == 0:
        return 1.0
    least = abs(changed.sum()) - _TIE * np.abs(changed).sum()
    is_exact = len(changed) < 63 and 2 ** len(changed) <= permutations
    total = 2 ** len(changed) if is_exact else permutations
    batch = max(1, _BATCH_BYTES // (8 * len(changed)))
    count = 0
    for start in range(0, total, batch):
        size = min(batch, total - start)
        keeps = (
            _list_bits(start, size, len(changed))
            if is_exact
            else _draw_bits(rng, size, len(changed))
        )
        sums = 2 * (keeps @ changed) - changed.sum()
        count += int(np.count_nonzero(np.abs(sums) >= least))
    return count / total if is_exact else (count + 1) / (total + 1)


def correct(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Adjust the p-values of one family, in the order given; each is at most 1."""
    size = len(p_values)
    if correction == "none":
        return list(p_values)
    if correction == "bonferroni":
        return [min(1.0, size * p) for p in p_values]
    adjusted = [0.0] * size
    least = 0.0
    for position, place in enumerate(sorted(range(size), key=p_values.__getitem__)):
        least = max(least, min(1.0, (size - position) * p_values[place]))
        adjusted[place] = least
    return adjusted


def _ask_tukey(
    systems: Mapping[str, NDArray[np.float64]],
    pairs: Sequence[tuple[str, str]],
    *,
    test: TestMethod,
    seed: int,
    permutations: int,
) -> list[float]:
    names = list(systems)
    values = np.column_stack([systems[name] for name in names])
    matrix = (
        tukey_p(values)
        if test == "tukey"
        else randomised_tukey_p(values, np.random.default_rng(seed), permutations=permutations)
    )
    return [float(matrix[names.index(first), names.index(second)]) for first, second in pairs]


def _subtract(values: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    if values.shape != baseline.shape or len(baseline) < 2:
        raise ValueError(
            "a paired test needs the same topics twice, and two or more of them; "
            f"found {len(values)} and {len(baseline)}"
        )
    differences = values - baseline
    return np.where(np.abs(differences) < _TIE, 0.0, differences)


def _describe(differences: NDArray[np.float64], p_value: float, p_corrected: float) -> Difference:
    mean, deviation = _mean_and_deviation(differences)
    margin = _margin(deviation, len(differences))
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return Difference(
        mean=mean,
        ci_low=mean - margin,
        ci_high=mean + margin,
        cohens_dz=mean / deviation if deviation else None,
        wins=wins,
        ties=len(differences) - wins - losses,
        losses=losses,
        p_value=p_value,
        p_corrected=p_corrected,
    )


def _margin(deviation: float, count: int) -> float:
    """Return half the width of the 95% interval of a mean (Student's t)."""
    from scipy import stats

    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return quantile * deviation / math.sqrt(count)


def _mean_and_deviation(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation, exactly zero where that is rounding."""
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    return mean, deviation if deviation > _TIE else 0.0


def _list_bits(start: int, rows: int, columns: int) -> NDArray[np.float64]:
    codes = np.arange(start, start + rows)[:, None]
    return (codes >> np.arange(columns) & 1).astype(np.float64)


def _draw_bits(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    packed = rng.integers(0, 256, (rows, -(-columns // 8)), dtype=np.uint8)
    return np.unpackbits(packed, axis=1, count=columns).astype(np.float64)

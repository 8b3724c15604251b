"""Do two systems hit different questions: McNemar's exact test, for values that are 0 or 1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.significance import Correction, correct


@dataclass(frozen=True, slots=True)
class HitDifference:
    """A system's hits against the baseline's; positive where the system has more.

    ``mean`` is the difference of the accuracies and ``ci_low`` and ``ci_high`` bound it at 95%
    (Newcombe's hybrid score interval, Statistics in Medicine 1998, method 10, which keeps a width
    where the systems agree on nearly all questions, as Wald's does not). ``wins`` and ``losses``
    count the questions that one of the two hits and the other does not.
    """

    mean: float
    ci_low: float
    ci_high: float
    wins: int
    losses: int
    p_value: float
    p_corrected: float


def compare_hits(
    systems: Mapping[str, NDArray[np.bool_]],
    baseline: NDArray[np.bool_],
    *,
    correction: Correction,
) -> dict[str, HitDifference]:
    """Test each system against the baseline; the systems are the corrected family.

    Args:
        systems: name -> whether each question is a hit, shape (q,), questions as in ``baseline``.
        baseline: Of the baseline, shape (q,), at least one question.
        correction: How p-values are adjusted for the number of systems.

    Returns:
        name -> difference to the baseline.
    """
    found = {name: _compare(hits, baseline) for name, hits in systems.items()}
    corrected = correct([difference.p_value for difference in found.values()], correction)
    return {
        name: replace(difference, p_corrected=p_corrected)
        for (name, difference), p_corrected in zip(found.items(), corrected, strict=True)
    }


def mcnemar_p(wins: int, losses: int) -> float:
    """Return the two-sided p-value of McNemar's exact test (1947); 1 where there is neither.

    Under the null hypothesis each question that the systems differ on is a win or a loss with
    probability one half. Fisher's randomisation test of 0/1 values is the same test.

    Args:
        wins: Questions that the system alone hits.
        losses: Questions that the baseline alone hits.

    Returns:
        The p-value.
    """
    from scipy import stats

    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _compare(hits: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> HitDifference:
    count = len(baseline)
    wins, losses = int((hits & ~baseline).sum()), int((baseline & ~hits).sum())
    both = int((hits & baseline).sum())
    low, high = _bound_difference(both, wins, losses, count - both - wins - losses)
    p_value = mcnemar_p(wins, losses)
    return HitDifference((wins - losses) / count, low, high, wins, losses, p_value, p_value)


def _bound_difference(both: int, wins: int, losses: int, neither: int) -> tuple[float, float]:
    """Bound the difference of two paired proportions at 95%, by Newcombe's method 10."""
    from scipy import stats

    count = both + wins + losses + neither
    one, other = (both + wins) / count, (both + losses) / count
    low_1, high_1 = stats.binomtest(both + wins, count).proportion_ci(method="wilson")
    low_2, high_2 = stats.binomtest(both + losses, count).proportion_ci(method="wilson")
    product = float(both * neither - wins * losses)
    if product > 0:
        product = max(product - count / 2, 0.0)
    margins = (both + wins) * (losses + neither) * (both + losses) * (wins + neither)
    phi = product / math.sqrt(margins) if margins else 0.0

    def spread(first: float, second: float) -> float:
        return math.sqrt(max(first**2 - 2 * phi * first * second + second**2, 0.0))

    difference = one - other
    return (
        difference - spread(one - low_1, high_2 - other),
        difference + spread(high_1 - one, other - low_2),
    )

"""Do two systems hit different questions: McNemar's exact test, for values that are 0 or 1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.significance import Correction, correct

_NORMAL_975 = 1.959963984540054  # the normal distribution's 97.5% quantile


@dataclass(frozen=True, slots=True)
class HitDifference:
    """A system's hits against the baseline's; positive where the system has more.

    ``mean`` is the difference of the accuracies and ``ci_low`` and ``ci_high`` bound it at 95%
    (Wald's interval for paired proportions). ``wins`` and ``losses`` count the questions that one
    of the two hits and the other does not.
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
    mean = (wins - losses) / count
    error = math.sqrt(wins + losses - (wins - losses) ** 2 / count) / count
    p_value = mcnemar_p(wins, losses)
    low, high = mean - _NORMAL_975 * error, mean + _NORMAL_975 * error
    return HitDifference(mean, low, high, wins, losses, p_value, p_value)

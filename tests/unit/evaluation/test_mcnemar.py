"""McNemar's exact test, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from evaluation.mcnemar import compare_hits, mcnemar_p


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 5), (12, 3), (40, 90)])
def test_p_value_is_the_binomial_tail(wins, losses):
    """Twice the smaller tail of a fair coin, at most 1; the same test as flipping signs."""
    count = wins + losses
    tail = stats.binom.cdf(min(wins, losses), count, 0.5) if count else 1.0

    assert mcnemar_p(wins, losses) == pytest.approx(min(1.0, 2 * tail))


def test_differences_are_of_paired_questions():
    """10 questions, 4 wins and 1 loss: 0.3 more; the interval is Wald's; Holm over two systems."""
    baseline = np.array([1, 0, 0, 0, 0, 1, 1, 0, 0, 0], dtype=bool)
    better = np.array([0, 1, 1, 1, 1, 1, 1, 0, 0, 0], dtype=bool)

    found = compare_hits({"a": better, "b": baseline}, baseline, correction="holm")

    assert (found["a"].wins, found["a"].losses) == (4, 1)
    assert found["a"].mean == pytest.approx(0.3)
    # sqrt(4 + 1 - 9 / 10) / 10 = 0.20248
    assert found["a"].ci_high - found["a"].mean == pytest.approx(1.959964 * 0.2024846, rel=1e-5)
    assert found["a"].mean - found["a"].ci_low == pytest.approx(1.959964 * 0.2024846, rel=1e-5)
    assert found["a"].p_value == pytest.approx(0.375)  # 2 * (1 + 5) / 32
    assert found["a"].p_corrected == pytest.approx(0.75)
    assert (found["b"].mean, found["b"].p_value, found["b"].p_corrected) == (0, 1, 1)

"""McNemar's exact test, against scipy and by hand."""

import math

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
    """10 questions, 4 wins and 1 loss: 0.3 more; Holm over two systems."""
    baseline = np.array([1, 0, 0, 0, 0, 1, 1, 0, 0, 0], dtype=bool)
    better = np.array([0, 1, 1, 1, 1, 1, 1, 0, 0, 0], dtype=bool)

    found = compare_hits({"a": better, "b": baseline}, baseline, correction="holm")

    assert (found["a"].wins, found["a"].losses) == (4, 1)
    assert found["a"].mean == pytest.approx(0.3)
    assert found["a"].ci_low < 0.3 < found["a"].ci_high
    assert found["a"].p_value == pytest.approx(0.375)  # 2 * (1 + 5) / 32
    assert found["a"].p_corrected == pytest.approx(0.75)
    assert (found["b"].mean, found["b"].p_value, found["b"].p_corrected) == (0, 1, 1)


def make_hits(both, wins, losses, neither):
    """Lay out questions by which of two systems hit them; each count times."""
    counts = (both, wins, losses, neither)
    return tuple(
        np.repeat(np.array(hits, dtype=bool), counts) for hits in ((1, 1, 0, 0), (1, 0, 1, 0))
    )


def bound(*counts):
    """Give the interval of one system's difference to another."""
    system, baseline = make_hits(*counts)
    found = compare_hits({"a": system}, baseline, correction="holm")["a"]
    return found.ci_low, found.ci_high


def test_interval_of_systems_that_agree_has_a_width():
    """Sixty questions that both hit or miss do not prove that no other question would differ."""
    low, high = bound(50, 0, 0, 10)

    assert low == pytest.approx(-high)
    assert 0.01 < high < 0.1


def test_interval_turns_with_the_systems():
    """Wins for losses: the same bounds with the other sign."""
    low, high = bound(30, 12, 3, 15)

    assert bound(30, 3, 12, 15) == pytest.approx((-high, -low))


def test_interval_of_many_questions_is_walds():
    """Where the normal approximation holds, both come to the same."""
    both, wins, losses, neither = 4000, 900, 600, 4500
    difference = (wins - losses) / 10_000
    error = math.sqrt(wins + losses - (wins - losses) ** 2 / 10_000) / 10_000

    expected = (difference - 1.959964 * error, difference + 1.959964 * error)

    assert bound(both, wins, losses, neither) == pytest.approx(expected, abs=2e-4)


def test_interval_covers_what_is_true():
    """In 95 of 100 samples of 80 questions, on which two systems seldom differ."""
    generator = np.random.default_rng(0)
    chances = (0.7, 0.06, 0.03, 0.21)

    covered = 0
    for counts in generator.multinomial(80, chances, size=400):
        low, high = bound(*counts)
        covered += low <= chances[1] - chances[2] <= high

    assert 0.93 <= covered / 400 <= 0.99

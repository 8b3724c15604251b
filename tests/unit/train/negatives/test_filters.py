"""Which candidates are left out as probably relevant."""

import numpy as np
import pytest

from ance_plugin.train.negatives.filters import keep_by_margin, keep_by_teacher


@pytest.mark.parametrize(
    ("positive_score", "margin", "kept"),
    [
        (10.0, 0.0, [9.5, 9.0, 8.0, -10.0, -12.0, -12.5]),
        (10.0, 0.1, [8.0, -10.0, -12.0, -12.5]),
        (-10.0, 0.0, [-12.0, -12.5]),
        (-10.0, 0.2, [-12.5]),
        (0.0, 0.5, [-10.0, -12.0, -12.5]),
    ],
)
def test_the_margin_is_below_the_positive_whatever_its_sign(positive_score, margin, kept):
    """A share of the score's magnitude is taken off; what is equal to the limit is dropped."""
    scores = np.array([10.0, 9.5, 9.0, 8.0, -10.0, -12.0, -12.5], dtype=np.float32)

    keeps = keep_by_margin(scores, positive_score, margin)

    assert scores[keeps].tolist() == kept


def test_the_teacher_drops_by_probability():
    """Log-odds become a probability; the threshold itself is kept, and 1 drops nothing."""
    log_odds = np.array([-3.0, 0.0, 1.0, 40.0])  # probabilities 0.05, 0.5, 0.73, 1

    assert keep_by_teacher(log_odds, 0.5).tolist() == [True, True, False, False]
    assert keep_by_teacher(log_odds, 0.74).tolist() == [True, True, True, False]
    assert keep_by_teacher(log_odds, 1.0).tolist() == [True] * 4

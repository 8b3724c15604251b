"""The best of a pool are those of the ordering rule, however many are kept."""

import math

import numpy as np
import pytest

from ance_plugin.fusion.pool import HitPool, best_hits
from ance_plugin.ranking import rank

NUM_DOCUMENTS = 120


def make_pool():
    docids = sorted(f"d{number}" for number in range(NUM_DOCUMENTS))
    nothing = np.zeros((1, NUM_DOCUMENTS))
    return HitPool(nothing, nothing.astype(np.int64), np.array([NUM_DOCUMENTS]), docids)


@pytest.mark.parametrize("k", [1, 7, 119, 120, 500])
def test_the_best_are_the_first_of_all_ranked(k):
    """With many scores that are equal, and some that are equal as float32 alone."""
    rng = np.random.default_rng(0)
    scores = rng.integers(-9, 9, NUM_DOCUMENTS) / 7 + rng.choice([0, 1e-12], NUM_DOCUMENTS)
    pool = make_pool()

    assert best_hits(pool, scores, k) == rank(pool.docids, scores)[:k]


@pytest.mark.parametrize("score", [math.nan, math.inf, 1e39])
def test_a_score_that_is_no_float32_is_refused(score):
    """Even where one hit is kept of many."""
    scores = np.arange(NUM_DOCUMENTS, dtype=np.float64)
    scores[5] = score

    with pytest.raises(ValueError, match="finite"):
        best_hits(make_pool(), scores, 1)

"""Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion.pool import Pool


def score(pool: Pool, rrf_k: float) -> NDArray[np.float64]:
    """Sum ``1 / (rrf_k + rank)`` over the lists that hold a document; ranks count from 1.

    Scores have shape (n,), float64.
    """
    is_ranked = pool.ranks > 0
    divisors = np.where(is_ranked, rrf_k + pool.ranks, 1.0)
    scores: NDArray[np.float64] = np.where(is_ranked, 1.0 / divisors, 0.0).sum(axis=0)
    return scores

"""Weighted sum of a sparse and a dense list, as Pyserini's ``HybridSearcher`` computes it."""

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion.pool import Pool


def score(
    pool: Pool, *, alpha: float, normalization: bool = False, weight_on_dense: bool = False
) -> NDArray[np.float64]:
    """Compute ``alpha * sparse + dense``, or ``sparse + alpha * dense``.

    A document that one list lacks has that list's lowest score there. Where Pyserini's formula has
    no answer: with ``normalization``, a list whose scores are all equal gives each document 0, the
    middle of the range (Pyserini divides by zero). A list without hits gives every document the
    same, as in Pyserini: 0, or -0.5 with ``normalization``.

    Args:
        pool: Two lists, the sparse one first.
        alpha: Weight of the sparse scores.
        normalization: Map each list's scores to ``(s - (min + max) / 2) / (max - min)`` first.
        weight_on_dense: ``alpha`` weighs the dense scores instead.

    Returns:
        Scores, shape (n,), float64.
    """
    sparse, dense = (_complete(scores, normalization=normalization) for scores in pool.scores)
    return sparse + alpha * dense if weight_on_dense else alpha * sparse + dense


def _complete(scores: NDArray[np.float64], *, normalization: bool) -> NDArray[np.float64]:
    is_missing = np.isnan(scores)
    low, high = 0.0, 1.0
    if not is_missing.all():
        low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    filled = np.where(is_missing, low, scores)
    if not normalization:
        return filled
    if high == low:
        return np.zeros_like(filled)
    return np.asarray((filled - (low + high) / 2) / (high - low))

"""ranx's score normalisations, by ranx's names.

Scores are shape (r, n), NaN where a list lacks a document. ``_LEAST`` is ranx's: a list whose
scores are all equal is divided by it, so ``min-max`` and ``sum`` give 0 there, and ``max`` blows up
scores that are all negative (use another norm for those).
"""

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion.pool import Pool

_LEAST = 1e-9


def normalize(pool: Pool, norm: str) -> NDArray[np.float64]:
    """Normalise each list's scores; every list must have hits.

    The result has shape (r, n), float64, and NaN where a list lacks the document, which no list
    does after ``borda``: that norm also scores the documents a list lacks.
    """
    scores, num_hits = pool.scores, pool.sizes[:, np.newaxis]
    if norm in ("rank", "borda"):
        return _from_ranks(pool, is_borda=norm == "borda")
    low = np.nanmin(scores, axis=1, keepdims=True)
    high = np.nanmax(scores, axis=1, keepdims=True)
    if norm == "min-max":
        scores = (scores - low) / np.maximum(high - low, _LEAST)
    elif norm == "min-max-inverted":
        scores = (high - scores) / np.maximum(high - low, _LEAST)
    elif norm == "max":
        scores = scores / np.maximum(high, _LEAST)
    elif norm == "sum":
        total = np.nansum(scores, axis=1, keepdims=True)
        scores = (scores - low) / np.maximum(total - low * num_hits, _LEAST)
    elif norm == "zmuv":
        mean = np.nanmean(scores, axis=1, keepdims=True)
        scores = (scores - mean) / np.maximum(np.nanstd(scores, axis=1, keepdims=True), _LEAST)
    return scores


def _from_ranks(pool: Pool, *, is_borda: bool) -> NDArray[np.float64]:
    num_hits, num_docs = pool.sizes[:, np.newaxis], pool.num_docs
    scores = 1 - (pool.ranks - 1) / (num_docs if is_borda else num_hits)
    unranked = 0.5 - (num_hits - 1) / (2 * num_docs) if is_borda else np.nan
    return np.where(pool.ranks > 0, scores, unranked)

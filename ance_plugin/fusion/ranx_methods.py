"""ranx's fusion methods by ranx's names, with ranx's scores.

They are computed here and not by ranx because a result may not depend on the process or wait for a
compiler: ranx compiles for tens of seconds, again for each new length of the longest docid, orders
equal scores by an unstable sort, lets the hash seed decide ``condorcet``, and reads past its table
in ``bayesfuse`` below rank 1000. The tests hold each method and norm against ranx itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion import condorcet, positions
from ance_plugin.fusion.methods import METHODS, FusionParams
from ance_plugin.fusion.norms import normalize
from ance_plugin.fusion.pool import Pool

type Scores = NDArray[np.float64]

_UNSEEN_LOG_ODDS = float(np.log(0.001 / 0.999))  # bayesfuse: a document its list lacks


def score(pool: Pool, params: FusionParams) -> Scores:
    """Score a pool by one of ranx's methods.

    Lists without hits are left out, with their weights; if a single list has hits, its documents
    keep its scores and so its order, whatever the method. Scores have shape (n,), float64.
    """
    rows = np.flatnonzero(pool.sizes)
    if len(rows) == 1:
        return np.asarray(pool.scores[rows[0]])
    present = replace(
        pool, scores=pool.scores[rows], ranks=pool.ranks[rows], sizes=pool.sizes[rows]
    )
    weights = [params.weights[row] for row in rows] if params.weights else [1.0] * len(rows)
    if METHODS[params.method].trained:
        return _score_trained(present, params, [params.trained[row] for row in rows])
    if params.method in ("condorcet", "w_condorcet"):
        return condorcet.score(present, weights)
    if params.method in _BY_RANK:
        return _BY_RANK[params.method](present, params, np.array(weights)[:, np.newaxis])
    scores = normalize(present, params.norm or "none")
    return _BY_SCORE[params.method](scores, params, np.array(weights)[:, np.newaxis])


def _count(scores: Scores) -> Scores:
    """Count the lists that hold each document, shape (n,)."""
    return np.asarray((~np.isnan(scores)).sum(axis=0), dtype=np.float64)


def _total(scores: Scores) -> Scores:
    """Add each document's scores, shape (n,)."""
    return np.asarray(np.nansum(scores, axis=0))


def _wmnz(scores: Scores, _: FusionParams, weights: Scores) -> Scores:
    return _total(scores) * _total(np.where(np.isnan(scores), 0.0, weights))


_BY_SCORE: dict[str, Callable[[Scores, FusionParams, Scores], Scores]] = {
    "min": lambda scores, _, __: np.asarray(np.nanmin(scores, axis=0)),
    "max": lambda scores, _, __: np.asarray(np.nanmax(scores, axis=0)),
    "med": lambda scores, _, __: np.asarray(np.nanmedian(scores, axis=0)),
    "sum": lambda scores, _, __: _total(scores),
    "anz": lambda scores, _, __: _total(scores) / _count(scores),
    "mnz": lambda scores, _, __: _total(scores) * _count(scores),
    "gmnz": lambda scores, params, _: _total(scores) * _count(scores) ** params.numbers["gamma"],
    "mixed": lambda scores, _, weights: _total(weights * scores) * np.sqrt(_count(scores)),
    "wmnz": _wmnz,
    "wsum": lambda scores, _, weights: _total(weights * scores),
}


def _inverse_squares(pool: Pool) -> Scores:
    """Give ``1 / rank**2``, shape (r, n); NaN where a list lacks the document."""
    return np.where(pool.ranks > 0, 1.0 / np.maximum(pool.ranks, 1) ** 2, np.nan)


def _isr(pool: Pool, *_: object) -> Scores:
    scores = _inverse_squares(pool)
    return _total(scores) * _count(scores)


def _log_isr(pool: Pool, params: FusionParams, _: Scores) -> Scores:
    scores = _inverse_squares(pool)
    return _total(scores) * np.log(_count(scores) + params.numbers.get("sigma", 0.0))


def _borda(pool: Pool, _: FusionParams, weights: Scores) -> Scores:
    num_docs = pool.num_docs
    unranked = (num_docs - pool.sizes[:, np.newaxis] + 1) / 2
    points = np.where(pool.ranks > 0, num_docs - (pool.ranks - 1), unranked)
    return _total(weights * points)


def _rbc(pool: Pool, params: FusionParams, _: Scores) -> Scores:
    phi = params.numbers["phi"]
    gains = (1 - phi) * phi ** np.maximum(pool.ranks - 1, 0).astype(np.float64)
    return _total(np.where(pool.ranks > 0, gains, 0.0))


_BY_RANK: dict[str, Callable[[Pool, FusionParams, Scores], Scores]] = {
    "isr": _isr,
    "log_isr": _log_isr,
    "logn_isr": _log_isr,
    "bordafuse": _borda,
    "w_bordafuse": _borda,
    "rbc": _rbc,
}


def _score_trained(pool: Pool, params: FusionParams, trained: Sequence[Sequence[float]]) -> Scores:
    unseen = _UNSEEN_LOG_ODDS if params.method == "bayesfuse" else 0.0
    gains = np.full(pool.scores.shape, unseen)
    for row, values in enumerate(trained):
        at_rank = positions.gains(
            params.method, np.array(values), int(pool.sizes[row]), params.numbers, unseen=unseen
        )
        is_ranked = pool.ranks[row] > 0
        gains[row, is_ranked] = at_rank[pool.ranks[row, is_ranked] - 1]
    if params.method == "segfuse":
        gains = gains * (np.nan_to_num(normalize(pool, params.norm or "none")) + 1)
    return _total(gains)

"""Condorcet fusion (Montague and Aslam, CIKM 2002): sort by majority vote between documents."""

from collections.abc import Sequence
from functools import cmp_to_key

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion import rrf
from ance_plugin.fusion.methods import DEFAULT_RRF_K
from ance_plugin.fusion.pool import Pool

_DIGITS = 9  # of a sum of weights: 0.1 + 0.2 against 0.3 is a tie


def score(pool: Pool, weights: Sequence[float]) -> NDArray[np.float64]:
    """Sort documents by weighted majority and score them n, n - 1, ..., 1.

    A list votes for the document it ranks higher, and for a ranked one against one it lacks. Where
    ranx leaves the order to chance (its sort starts from a set of strings and takes both answers to
    a tie for true), documents without a majority between them keep their order by reciprocal rank
    fusion, then docid descending. With two lists of equal weight that is the order of ``rrf``.
    Scores have shape (n,), float64.
    """
    start = np.argsort(rrf.score(pool, DEFAULT_RRF_K).astype(np.float32), kind="stable")[::-1]
    ranks = np.where(pool.ranks > 0, pool.ranks, int(pool.sizes.max()) + 1)[:, start]
    deciders = _find_deciders(weights)
    if deciders is None:
        ordered = start[_sort_by_vote(ranks, weights)]
    elif deciders:
        ordered = start[np.lexsort(ranks[deciders[::-1]])]  # its last key is the first to decide
    else:
        ordered = start
    scores = np.empty(len(ordered))
    scores[ordered] = np.arange(len(ordered), 0, -1)
    return scores


def _find_deciders(weights: Sequence[float]) -> list[int] | None:
    """List the lists that decide one after the other, if each outvotes all after it together.

    That is so for any two lists, where a general sort, many times slower, would find the same. Two
    of equal weight never outvote each other: no list decides. None where it takes a count.
    """
    falling = sorted(range(len(weights)), key=lambda row: -weights[row])
    if len(weights) == 2 and round(weights[0] - weights[1], _DIGITS) == 0:
        return []
    deciders = [row for row in falling if weights[row] > 0]
    for place, row in enumerate(deciders):
        if (
            round(weights[row] - sum(weights[after] for after in deciders[place + 1 :]), _DIGITS)
            <= 0
        ):
            return None
    return deciders


def _sort_by_vote(ranks: NDArray[np.int64], weights: Sequence[float]) -> list[int]:
    """Sort columns of ``ranks``, shape (r, n), by weighted majority; the sort is stable."""
    columns = ranks.T.tolist()

    def compare(first: int, second: int) -> int:
        votes = 0.0
        for weight, one, other in zip(weights, columns[first], columns[second], strict=True):
            votes += weight * ((other > one) - (one > other))
        votes = round(votes, _DIGITS)
        return (votes < 0) - (votes > 0)

    return sorted(range(len(columns)), key=cmp_to_key(compare))

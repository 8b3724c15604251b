"""Condorcet fusion (Montague and Aslam, CIKM 2002): sort by majority vote between documents."""

from collections.abc import Sequence
from functools import cmp_to_key

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion import rrf
from ance_plugin.fusion.methods import DEFAULT_RRF_K
from ance_plugin.fusion.pool import Pool


def score(pool: Pool, weights: Sequence[float]) -> NDArray[np.float64]:
    """Sort documents by weighted majority and score them n, n - 1, ..., 1.

    A list votes for the document it ranks higher, and for a ranked one against one it lacks. Where
    ranx leaves the order to chance (its sort starts from a set of strings and takes both answers to
    a tie for true), documents without a majority between them keep their order by reciprocal rank
    fusion, then docid descending. With two lists of equal weight that is the order of ``rrf``.
    Scores have shape (n,), float64.
    """
    start = np.argsort(rrf.score(pool, DEFAULT_RRF_K).astype(np.float32), kind="stable")[::-1]
    far = int(pool.sizes.max()) + 1
    ranks = np.where(pool.ranks > 0, pool.ranks, far).T.tolist()

    def compare(first: int, second: int) -> int:
        votes = 0.0
        for weight, one, other in zip(weights, ranks[first], ranks[second], strict=True):
            votes += weight * ((other < one) - (one < other))
        votes = round(votes, 9)  # 0.1 + 0.2 against 0.3 is a tie
        return (votes > 0) - (votes < 0)

    ordered = sorted(start.tolist(), key=cmp_to_key(compare))
    scores = np.empty(len(ordered))
    scores[ordered] = np.arange(len(ordered), 0, -1)
    return scores

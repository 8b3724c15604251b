"""Fuse runs, or the lists of one query: files and live searches get the same result from here."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance_plugin.fusion import interpolation, ranx_methods, rrf
from ance_plugin.fusion.methods import DEFAULT_HITS, FusionParams
from ance_plugin.fusion.pool import HitPool, Pool, best_hits, best_packed, pool_hits, pool_packed
from ance_plugin.packed_hits import PackedHits
from ance_plugin.records import Hit, Run, no_collection

_NOTHING = PackedHits(np.empty(0, np.uint64), np.empty(0))


def fuse(runs: Sequence[Run], params: FusionParams, k: int = DEFAULT_HITS) -> Run:
    """Fuse runs topic by topic.

    Args:
        runs: Two or more; for ``interpolation`` the sparse one, then the dense one.
        params: Method and settings.
        k: Hits to keep for each topic.

    Returns:
        A run with the topics of all runs, in the order in which they first appear; a topic that one
        run lacks is one for which it has no hits.

    Raises:
        ValueError: Too few or too many runs, weights for another number of runs, ``k`` below 1, or
            a list that holds a document twice or a score that is not finite.
    """
    check_lists(len(runs), params, k)
    qids = dict.fromkeys(qid for run in runs for qid in run)
    with no_collection():
        return {qid: fuse_hits([run.get(qid, ()) for run in runs], params, k) for qid in qids}


def fuse_hits(
    lists: Sequence[Sequence[Hit]], params: FusionParams, k: int = DEFAULT_HITS
) -> Sequence[Hit]:
    """Fuse the lists of one topic, exactly as ``fuse`` does.

    Args:
        lists: One for each searcher, in any order within; an empty one is a searcher without hits.
        params: Method and settings.
        k: Hits to keep.

    Returns:
        Hits, best first; none if no list has any.

    Raises:
        ValueError: As for ``fuse``.
    """
    check_lists(len(lists), params, k)
    packed = [hits for hits in (hits or _NOTHING for hits in lists) if type(hits) is PackedHits]
    if len(packed) < len(lists):
        return fuse_pool(pool_hits(lists, params.depth), params, k)
    pool = pool_packed(packed, params.depth)
    return best_packed(pool, _score(pool, params), k) if pool.num_docs else []


def fuse_pool(pool: HitPool, params: FusionParams, k: int) -> list[Hit]:
    """Fuse lists that were pooled already; tuning pools once and comes here many times."""
    return best_hits(pool, _score(pool, params), k) if pool.num_docs else []


def check_lists(num_lists: int, params: FusionParams, k: int = 1) -> None:
    """Raise ValueError for a number of lists that the settings do not fit, or ``k`` below 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    if num_lists < 2:
        raise ValueError(f"fusion needs at least two runs, found {num_lists}")
    if params.method == "interpolation" and num_lists != 2:
        raise ValueError(f"interpolation takes two runs, sparse and dense, found {num_lists}")
    for name, values in (("weights", params.weights), ("trained values", params.trained)):
        if values and len(values) != num_lists:
            raise ValueError(
                f"{params.method} has {name} for {len(values)} runs, but there are {num_lists}"
            )


def _score(pool: Pool, params: FusionParams) -> NDArray[np.float64]:
    if params.method == "rrf":
        return rrf.score(pool, params.numbers["rrf_k"])
    if params.method == "interpolation":
        return interpolation.score(
            pool,
            alpha=params.numbers["alpha"],
            normalization=params.normalization,
            weight_on_dense=params.weight_on_dense,
        )
    return ranx_methods.score(pool, params)

"""A topic's candidates: every document of its lists, with score and rank in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance_plugin.packed_hits import Packed, PackedHits, join
from ance_plugin.ranking import canonical_scores, make_hits, order
from ance_plugin.records import Hit


@dataclass(frozen=True)
class Pool:
    """The n documents of r lists, pooled; all that a fusion method needs to know.

    Attributes:
        scores: Shape (r, n), float64, as the lists gave them; NaN where a list lacks the document.
        ranks: Shape (r, n), int64, from 1; 0 where a list lacks the document.
        sizes: Shape (r,), int64: hits of each list.
    """

    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def num_docs(self) -> int:
        """Documents of the pool."""
        return int(self.scores.shape[1])


@dataclass(frozen=True)
class HitPool(Pool):
    """A pool of hits; ``docids`` are the n documents, ascending."""

    docids: list[str]


@dataclass(frozen=True)
class PackedPool(Pool):
    """A pool of packed hits; ``docids``, shape (n,), are the documents, ascending."""

    docids: Packed


def pool_hits(lists: Sequence[Sequence[Hit]], depth: int) -> HitPool:
    """Pool the first ``depth`` hits of each list; ranks are by ``ranking.order``.

    Args:
        lists: Hits in any order, possibly none.
        depth: Hits to take from the top of each list.

    Returns:
        The pool; without documents if no list has hits.

    Raises:
        ValueError: A list holds a document twice, or a score that is not finite.
    """
    heads = [order(hits)[:depth] for hits in lists]
    found = [[docid for docid, _ in hits] for hits in heads]
    docids = sorted(set().union(*found))
    column_of = dict(zip(docids, range(len(docids)), strict=True)).__getitem__
    columns = [np.fromiter(map(column_of, of), np.int64, len(of)) for of in found]
    pool = _pool(columns, [np.array([score for _, score in hits]) for hits in heads], len(docids))
    return HitPool(pool.scores, pool.ranks, pool.sizes, docids)


def pool_packed(lists: Sequence[PackedHits], depth: int) -> PackedPool:
    """Pool packed hits; the pool is that of ``pool_hits``, but for its docids."""
    heads = [hits.docids[:depth] for hits in lists]
    found = join(heads)
    ascending = np.argsort(found)
    is_new = np.ones(len(found), dtype=bool)
    is_new[1:] = found[ascending[1:]] != found[ascending[:-1]]
    columns = np.empty(len(found), np.int64)
    columns[ascending] = np.cumsum(is_new) - 1
    docids = found[ascending[is_new]]
    ends = np.cumsum([len(head) for head in heads])
    scores = [hits.scores[:depth] for hits in lists]
    pool = _pool(np.split(columns, ends[:-1]), scores, len(docids))
    return PackedPool(pool.scores, pool.ranks, pool.sizes, docids)


def best_hits(pool: HitPool, scores: NDArray[np.float64], k: int) -> list[Hit]:
    """Rank the pool by fused scores, shape (n,), and keep the first ``k``."""
    best, values = _best(scores, k)
    return make_hits(map(pool.docids.__getitem__, best.tolist()), values.tolist())


def best_packed(pool: PackedPool, scores: NDArray[np.float64], k: int) -> PackedHits:
    """Rank the pool by fused scores, shape (n,), and keep the first ``k``."""
    best, values = _best(scores, k)
    return PackedHits(pool.docids[best], values)


def _pool(
    columns: Sequence[NDArray[np.int64]], own: Sequence[NDArray[np.float64]], num_docs: int
) -> Pool:
    """Pool lists given as the documents' columns and their scores, best first."""
    scores = np.full((len(columns), num_docs), np.nan)
    ranks = np.zeros((len(columns), num_docs), dtype=np.int64)
    for row, (places, values) in enumerate(zip(columns, own, strict=True)):
        if not np.isfinite(values).all():
            raise ValueError(f"list {row + 1} holds a score that is NaN or infinite")
        scores[row, places] = values
        ranks[row, places] = np.arange(1, len(places) + 1)
        if np.count_nonzero(ranks[row]) < len(places):
            raise ValueError(f"list {row + 1} holds a document twice; each may be there once")
    return Pool(scores, ranks, np.array([len(places) for places in columns], dtype=np.int64))


def _best(scores: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Give the places of the ``k`` best of ascending docids, and their canonical scores.

    Canonical scores are in the order of float32 ones, and equal where these are, so the best are
    chosen and ordered among these, which is much faster.
    """
    with np.errstate(over="ignore"):  # the ordering refuses what is no float32
        values = scores.astype(np.float32)
    best = np.argsort(values, kind="stable")[::-1][:k]  # docids ascend: ties too are in order
    return best, canonical_scores(values[best])

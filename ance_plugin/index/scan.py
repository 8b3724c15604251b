"""Find the nearest vectors by their 8-bit codes, and prove it with float32 inner products.

The codes of all vectors are read, a quarter of the bytes. What they leave in doubt (an estimate
within twice its bound of the k-th best one) is scored in float32; so nothing is missed, and each
score is the float32 inner product, the same whatever other queries or hits were asked for. Queries
for which the codes decide too little are scored against every vector.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.codes import Codes, QueryCodes, multiply
from ance_plugin.index.scores import Best, keep_best, score_all, score_rows

_ESTIMATES_AT_ONCE = 2**21  # what stays in a processor's cache
_LEAST_ROWS, _MOST_ROWS = 4096, 65_536
_FIRST_ROWS_A_HIT = 256
_MOST_IN_DOUBT = 16  # times k; beyond, and beyond a share of the rows, all rows are scored
_SHARE_IN_DOUBT = 8
_GROWTH = 2


def scan(
    queries: QueryCodes,
    vectors: NDArray[np.floating],
    codes: Codes,
    k: int,
) -> Iterator[Best]:
    """Find the k best vectors of each query, and those that tie with the last of them.

    Args:
        queries: The queries, coded for the center of ``codes``.
        vectors: Shape (n, d), float32 or float16; only rows in doubt are read.
        codes: Theirs, of one vector at least.
        k: Rows a query, at least 1.

    Yields:
        For each query scores, float32, and rows, best first, equal scores by row; at least
        min(k, n) of them.
    """
    wanted = min(k, len(codes))
    doubts = _Doubts(queries, codes, wanted)
    _estimate(queries, codes, wanted, doubts)
    loose = score_all(queries.queries[doubts.is_loose], vectors, k)
    for query, is_loose, (rows, most) in zip(
        queries.queries, doubts.is_loose, doubts.split(), strict=True
    ):
        if is_loose:
            yield next(loose)
        else:
            yield keep_best(*_score_doubtful(query, vectors, rows, most, k), k)


class _Doubts:
    """Rows that may be among the best k of a query, with estimates in units of the query's step.

    Args:
        queries: The queries.
        codes: The vectors' codes.
        k: Rows wanted a query, of which there are as many.

    Attributes:
        is_loose: Shape (q,): too many rows are in doubt, so no more are collected.
    """

    def __init__(self, queries: QueryCodes, codes: Codes, k: int) -> None:
        steps = queries.codes.steps.astype(np.float64)
        self._units = np.where(steps > 0, steps, 1.0)
        self._queries, self._codes, self._k = queries, codes, k
        self._widest = queries.bounds(codes) / self._units
        self._least = np.full(len(queries), -np.inf)
        self._most = max(_MOST_IN_DOUBT * k, len(codes) // _SHARE_IN_DOUBT)
        self._found: list[_Found] = []
        self.is_loose = np.zeros(len(queries), dtype=np.bool_)

    def start_from(self, estimates: NDArray[np.float32]) -> None:
        """Raise the thresholds by the k best estimates of some rows, shape (q, k)."""
        self._least = np.maximum(self._least, estimates.min(axis=1) - self._widest)

    def add(self, products: NDArray[np.int32], start: int) -> None:
        """Take what may reach a query's threshold.

        Args:
            products: Of codes, shape (q, n); times a row's step they are its estimates.
            start: The number of the first of the n rows.
        """
        steps = self._codes.steps[start : start + products.shape[1]]
        places = np.flatnonzero(products >= self._lowest_products(steps)[:, np.newaxis])
        owners, columns = np.divmod(places, len(steps))
        estimates = steps[columns].astype(np.float64) * products.ravel()[places]
        rows = columns + start
        bounds = self._queries.bound(owners, self._codes, rows) / self._units[owners]
        found = _Found(owners.astype(np.uint16), rows, estimates, bounds)
        self._found.append(found.keep(estimates + bounds >= self._least[owners]))

    def tighten(self) -> None:
        """Raise the thresholds, and drop what cannot be among the best k any more."""
        found = self._join()
        lower, start = found.estimates - found.bounds, 0
        for query, end in enumerate(found.ends(len(self._queries)).tolist()):
            if end - start >= self._k:
                place = end - start - self._k
                least = np.partition(lower[start:end], place)[place]
                self._least[query] = max(self._least[query], least)
            start = end
        found = found.keep(found.estimates + found.bounds >= self._least[found.owners])
        counts = np.diff(found.ends(len(self._queries)), prepend=0)
        self.is_loose |= counts > self._most
        self._least[self.is_loose] = np.inf
        self._found = [found.keep(~self.is_loose[found.owners])]

    def split(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield for each query its rows, the best estimate first, and what each can score most."""
        found = self._join()
        start = 0
        for query, end in enumerate(found.ends(len(self._queries)).tolist()):
            own = slice(start, end)
            most = (found.estimates[own] + found.bounds[own]) * self._units[query]
            order = np.argsort(-found.estimates[own], kind="stable")
            yield found.rows[own][order], most[order] + self._queries.shares[query]
            start = end

    def _lowest_products(self, steps: NDArray[np.float32]) -> NDArray[np.int32]:
        """Give the least product that some row's step takes to the threshold, shape (q,).

        Integers are compared as they come; only what passes is multiplied by its own step.
        """
        least = self._least - self._widest
        ends = [max(float(end), 1e-37) for end in (steps.max(), steps.min())]
        lowest = np.minimum(*(least / end for end in ends))
        return np.clip(np.floor(lowest), -(2**31), 2**31 - 1).astype(np.int32)

    def _join(self) -> "_Found":
        """Put all that was found together, by query."""
        whole = _Found(
            np.concatenate([part.owners for part in self._found]),
            np.concatenate([part.rows for part in self._found]),
            np.concatenate([part.estimates for part in self._found]),
            np.concatenate([part.bounds for part in self._found]),
        )
        return whole.keep(np.argsort(whole.owners, kind="stable"))  # 16 bits: sorted by counting


class _Found(NamedTuple):
    """Rows in doubt with the query, the estimate and its bound of each, shape (m,)."""

    owners: NDArray[np.uint16]
    rows: NDArray[np.int64]
    estimates: NDArray[np.float64]
    bounds: NDArray[np.float64]

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "_Found":
        """Take some of them."""
        return _Found(
            self.owners[which], self.rows[which], self.estimates[which], self.bounds[which]
        )

    def ends(self, num_queries: int) -> NDArray[np.int64]:
        """Give where each query's rows end."""
        return np.cumsum(np.bincount(self.owners, minlength=num_queries))


def _estimate(queries: QueryCodes, codes: Codes, k: int, doubts: _Doubts) -> None:
    """Collect the rows in doubt, with thresholds that rise whenever twice the rows are seen."""
    import torch

    own = torch.from_numpy(queries.codes.values)
    looked_at = 0
    for start, end in _parts(len(queries), len(codes), k):
        products = multiply(own, torch.from_numpy(codes.values[start:end]))
        if start == 0 and k < end:
            estimates = products * torch.from_numpy(codes.steps[start:end])
            doubts.start_from(torch.topk(estimates, k, dim=1, sorted=False).values.numpy())
        doubts.add(products.numpy(), start)
        if end >= _GROWTH * looked_at or end == len(codes):
            doubts.tighten()
            looked_at = end


def _parts(num_queries: int, num_rows: int, k: int) -> Iterator[tuple[int, int]]:
    """Divide rows so that a part's estimates stay in the cache.

    The first part, which all thresholds start from, has many rows for each of the k.
    """
    size = min(max(_ESTIMATES_AT_ONCE // num_queries, _LEAST_ROWS), _MOST_ROWS)
    first = min(max(_FIRST_ROWS_A_HIT * k, _LEAST_ROWS), _MOST_ROWS)
    start, end = 0, min(first, num_rows)
    while start < num_rows:
        yield start, end
        start, end = end, min(end + size, num_rows)


def _score_doubtful(
    query: NDArray[np.float32],
    vectors: NDArray[np.floating],
    rows: NDArray[np.int64],
    most: NDArray[np.float64],
    k: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Score the first k rows, then those that may still reach the last of them."""
    scores = score_rows(query, vectors, rows[:k])
    if len(rows) <= k:
        return scores, rows
    rest = rows[k:][most[k:] >= scores.min()]
    more = score_rows(query, vectors, rest)
    return np.concatenate([scores, more]), np.concatenate([rows[:k], rest])

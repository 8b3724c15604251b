"""Exact inner-product search over blocks of vectors, on any device, with nothing but PyTorch.

A block is held at a time, so the vectors may be larger than memory; queries are taken in groups, so
that the matrix of scores stays small. On a processor that multiplies 8-bit integers quickly, blocks
are coded and scanned (``index/scan.py``), which finds the same rows.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.codes import can_code, encode_queries, encode_vectors
from ance_plugin.index.scan import scan

if TYPE_CHECKING:
    import torch

_QUERIES_AT_ONCE = 2048
_QUERIES_TO_CODE = 256  # fewer do not repay the coding of a block
_ROWS_TO_CODE = 32  # times k; among fewer the codes leave too much in doubt

type _Blocks = Iterable[NDArray[np.floating]]
type _Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]


def search_exactly(
    queries: NDArray[np.float32],
    blocks: _Blocks,
    k: int,
    *,
    device: "torch.device | str" = "cpu",
) -> _Nearest:
    """Find the rows with the highest inner products.

    Args:
        queries: Shape (q, d), float32; not normalised here.
        blocks: The vectors, each block of shape (n, d), float32 or float16, in the order of rows.
        k: Rows per query.
        device: Where to compute; scores are float32 everywhere.

    Returns:
        Scores and rows, each of shape (q, min(k, n)), best first; equal scores by row. Of rows
        that tie with the last one, which are returned is left open.

    Raises:
        ValueError: ``k`` is below 1, or the dimensions differ.
    """
    import torch

    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return _nothing(len(queries), 0)
    checked = _check(chain([first], blocks), queries.shape[1])
    if (
        torch.device(device).type == "cpu"
        and len(queries) >= _QUERIES_TO_CODE
        and len(first) >= _ROWS_TO_CODE * k
        and can_code(queries.shape[1])
    ):
        return _search_codes(np.ascontiguousarray(queries, np.float32), checked, k)
    return _search_products(queries, checked, k, device)


def _check(blocks: _Blocks, dimension: int) -> Iterator[NDArray[np.floating]]:
    for block in blocks:
        if block.shape[1] != dimension:
            raise ValueError(f"queries have {dimension} dimensions, the vectors {block.shape[1]}")
        yield block


def _nothing(num_queries: int, width: int) -> _Nearest:
    shape = (num_queries, width)
    return np.empty(shape, np.float32), np.empty(shape, np.int64)


def _search_codes(queries: NDArray[np.float32], blocks: _Blocks, k: int) -> _Nearest:
    """Code each block and scan it, for what is better than the k best so far."""
    best_scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    best_rows = np.full((len(queries), k), -1, dtype=np.int64)
    coded, start = None, 0
    for block in blocks:
        vectors = np.asarray(block, np.float32)
        if coded is None:
            center = vectors.mean(axis=0)
            coded = [
                encode_queries(queries[first : first + _QUERIES_AT_ONCE], center)
                for first in range(0, len(queries), _QUERIES_AT_ONCE)
            ]
        codes, query = encode_vectors(vectors, coded[0].center), 0
        for group in coded if len(codes) else ():
            floors = best_scores[query : query + len(group), -1]
            for scores, rows in scan(group, vectors, codes, k, floors):
                _merge_into(best_scores[query], best_rows[query], scores, rows + start)
                query += 1
        start += len(vectors)
    width = min(k, start)
    return best_scores[:, :width], best_rows[:, :width]


def _merge_into(
    best_scores: NDArray[np.float32],
    best_rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> None:
    """Merge hits, best first, into the k best so far; the new rows come after the old ones."""
    together = np.concatenate([best_scores, scores])
    order = np.argsort(-together, kind="stable")[: len(best_scores)]
    best_scores[:] = together[order]
    best_rows[:] = np.concatenate([best_rows, rows])[order]


def _search_products(
    queries: NDArray[np.float32], blocks: _Blocks, k: int, device: "torch.device | str"
) -> _Nearest:
    """Multiply all queries with each block, and keep the best of both so far."""
    import torch

    matrix = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).to(device)
    groups = torch.split(matrix, _QUERIES_AT_ONCE)
    best: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(groups)
    start = 0
    for block in blocks:
        vectors = torch.from_numpy(np.array(block, np.float32)).to(device)
        for place, group in enumerate(groups):
            best[place] = _merge(best[place], group @ vectors.T, start, k)
        start += len(block)
    if not len(queries) or start == 0:
        return _nothing(len(queries), min(k, start))
    found = [pair for pair in best if pair is not None]
    scores = torch.cat([scores for scores, _ in found]).cpu().numpy()
    rows = torch.cat([rows for _, rows in found]).cpu().numpy()
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _merge(
    best: "tuple[torch.Tensor, torch.Tensor] | None", scores: "torch.Tensor", start: int, k: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    values, rows = torch.topk(scores, min(k, scores.shape[1]), dim=1, sorted=False)
    rows = rows + start
    if best is None:
        return values, rows
    values = torch.cat([best[0], values], dim=1)
    rows = torch.cat([best[1], rows], dim=1)
    values, places = torch.topk(values, min(k, values.shape[1]), dim=1, sorted=False)
    return values, torch.gather(rows, 1, places)

"""Exact inner-product search over blocks of vectors, on any device, with nothing but PyTorch.

A block is held at a time, so the vectors may be larger than memory; queries are taken in groups, so
that the matrix of scores stays small.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_QUERIES_AT_ONCE = 2048


def search_exactly(
    queries: NDArray[np.float32],
    blocks: Iterable[NDArray[np.floating]],
    k: int,
    *,
    device: "torch.device | str" = "cpu",
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
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
    matrix = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).to(device)
    groups = torch.split(matrix, _QUERIES_AT_ONCE)
    best: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(groups)
    start = 0
    for block in blocks:
        if block.shape[1] != queries.shape[1]:
            raise ValueError(
                f"queries have {queries.shape[1]} dimensions, the vectors {block.shape[1]}"
            )
        vectors = torch.from_numpy(np.array(block, np.float32)).to(device)
        for place, group in enumerate(groups):
            best[place] = _merge(best[place], group @ vectors.T, start, k)
        start += len(block)
    if not len(queries) or start == 0:
        width = min(k, start)
        return np.empty((len(queries), width), np.float32), np.empty(
            (len(queries), width), np.int64
        )
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

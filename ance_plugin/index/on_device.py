"""Exact search of a flat index on a GPU, which holds the vectors in half precision.

A search reads two bytes a number where float32 has four. With ``rest = vector - center``, and
``half`` the rest in float16, Cauchy and Schwarz bound what an estimate leaves out:

    |query . vector - (query . center + query . half)| <= |query| |rest - half|

Queries are split into two halves of their own, so nothing is lost there, and products are added
up in float32. The best estimates are scored in float32 from the vectors themselves; a query for
which the bound leaves a doubt is searched deeper.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.index.flat import NUM_SAMPLED
from ance_plugin.index.scores import keep_best, score_rows

if TYPE_CHECKING:
    import torch

_ROWS_AT_ONCE = 65_536  # brought to the device
_ESTIMATES_AT_ONCE = 2**28  # float32, 1 GiB
_QUERIES_AT_ONCE = 256
_VALUES_A_GROUP = 64
_LOW = 2.0**11  # what the second half of a query is multiplied by, as float16 has 11 bits
_SPARE_BYTES = 4 << 30  # beside the vectors, for estimates


class DeviceIndex:
    """Search vectors that are held on a device.

    Args:
        vectors: Shape (n, d), float32 or float16, perhaps memory-mapped; only those that may be
            hits are read again.
        device: ``cuda``, ``cuda:1``; any of PyTorch's does.

    Raises:
        ValueError: The device has too little memory, or a vector is too large for float16.
    """

    def __init__(self, vectors: NDArray[np.floating], device: "torch.device | str") -> None:
        import torch

        self._vectors = vectors
        self._device = torch.device(device)
        num_rows, dimension = vectors.shape
        _require_memory(self._device, 2 * vectors.size)
        step = max(num_rows // NUM_SAMPLED, 1)
        self._center = np.asarray(vectors[::step], np.float32).mean(axis=0).astype(np.float32)
        center = torch.from_numpy(self._center).to(self._device)
        self._halves = torch.empty((num_rows, dimension), dtype=torch.float16, device=self._device)
        loss = length = 0.0
        for start in range(0, num_rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            rest = torch.tensor(vectors[part]).to(self._device).float() - center
            halves = self._halves[part] = rest.half()
            loss = max(loss, _longest(rest - halves))
            length = max(length, _longest(rest))
        if not np.isfinite(loss):
            raise ValueError("vectors are too large for float16, or not finite")
        # The device's sums of d products, which it may cut off; the query's own two halves.
        rounding = (dimension + 16) * 2.0**-22
        size = length + _length(self._center)
        self._bound = 1.0001 * loss + rounding * size
        self._least_bound = dimension * 2.0**-149  # of products too small for a float32

    def search(
        self, queries: NDArray[np.float32], k: int, threads: int = 1
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Find the best k vectors of each query, and those that tie with the last.

        Args:
            queries: Shape (q, d), float32.
            k: Rows a query, at least 1.
            threads: That score what the GPU found.

        Returns:
            For each query scores, float32, and rows, best first, equal scores by row.
        """
        found: list[tuple[NDArray[np.float32], NDArray[np.int64]] | None] = [None] * len(queries)
        places = np.arange(len(queries))
        depth = min(k + max(k // 2, 64), len(self._vectors))
        with ThreadPoolExecutor(threads, "score") as pool:
            while len(places):
                is_open = np.zeros(len(places), dtype=np.bool_)
                step = min(_QUERIES_AT_ONCE, max(1, _ESTIMATES_AT_ONCE // (2 * depth)))
                for start in range(0, len(places), step):
                    part = places[start : start + step]
                    candidates = self._estimate(queries[part], depth)
                    score = partial(self._score, k=k)
                    scored = pool.map(score, queries[part], *candidates)
                    for number, (place, (kept, is_sure)) in enumerate(
                        zip(part, scored, strict=True), start
                    ):
                        found[place], is_open[number] = kept, not is_sure
                places = places[is_open]
                depth = min(4 * depth, len(self._vectors))
        return [pair for pair in found if pair is not None]

    def _score(
        self,
        query: NDArray[np.float32],
        estimates: NDArray[np.float64],
        rows: NDArray[np.int64],
        k: int,
    ) -> tuple[tuple[NDArray[np.float32], NDArray[np.int64]], bool]:
        """Score the rows in doubt; say whether no other row can be among the best k."""
        bound = self._bound * _length(query) + self._least_bound
        if len(rows) > k:
            last = np.partition(estimates, len(rows) - k)[len(rows) - k]
            doubtful = rows[estimates >= last - 2 * bound]
        else:
            doubtful = rows
        kept = keep_best(score_rows(query, self._vectors, doubtful), doubtful, k)
        last = float(kept[0][min(k, len(kept[0])) - 1])
        is_sure = len(rows) == len(self._vectors) or float(estimates.min()) + bound < last
        return kept, is_sure

    def _estimate(
        self, queries: NDArray[np.float32], depth: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give the highest estimates and their rows, (q, depth) each, in no order."""
        import torch

        wide = queries.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        units = torch.from_numpy(wide / np.where(lengths > 0, lengths, 1)).to(self._device)
        high = units.half()
        halves = torch.cat([high, ((units - high) * _LOW).half()])
        step = max(_ESTIMATES_AT_ONCE // len(halves), depth)
        best: list[torch.Tensor] = []
        for start in range(0, len(self._halves), step):
            both = _multiply(halves, self._halves[start : start + step])
            estimates = both[: len(units)].add_(both[len(units) :], alpha=1 / _LOW)
            values, rows = _find_highest(estimates, min(depth, estimates.shape[1]))
            rows += start
            if best:
                values, rows = torch.cat([best[0], values], 1), torch.cat([best[1], rows], 1)
                values, order = torch.topk(values, min(depth, values.shape[1]), 1, sorted=False)
                rows = torch.gather(rows, 1, order)
            best = [values, rows]
        shares = wide @ self._center.astype(np.float64)
        return best[0].cpu().numpy() * lengths + shares[:, None], best[1].cpu().numpy()


def _multiply(queries: "torch.Tensor", vectors: "torch.Tensor") -> "torch.Tensor":
    """Multiply halves, (q, d) and (n, d), adding up in float32; shape (q, n), float32."""
    import torch

    if queries.device.type == "cuda":
        return torch.mm(queries, vectors.T, out_dtype=torch.float32)
    return queries.float() @ vectors.float().T


def _length(vector: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


def _longest(rows: "torch.Tensor") -> float:
    """Give the length of the longest row, be it too small for its square to be a float32."""
    import torch

    largest = float(rows.abs().max())
    if not 0 < largest < np.inf:
        return largest
    return largest * float(torch.linalg.vector_norm(rows / largest, dim=1).max())


def _find_highest(values: "torch.Tensor", k: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Find the k highest values of each row, in no order, and where they are.

    They are in the k groups with the highest maxima, so that ``topk``, which reads its input
    several times, need not read all values.
    """
    import torch

    num_groups = values.shape[1] // _VALUES_A_GROUP
    if num_groups < 4 * k:
        return torch.topk(values, k, dim=1, sorted=False)
    end = num_groups * _VALUES_A_GROUP
    grouped = values[:, :end].view(len(values), num_groups, _VALUES_A_GROUP)
    groups = torch.topk(grouped.amax(2), k, dim=1, sorted=False).indices
    chosen = torch.gather(grouped, 1, groups[:, :, None].expand(-1, -1, _VALUES_A_GROUP))
    offsets = torch.arange(_VALUES_A_GROUP, device=values.device)
    places = (groups[:, :, None] * _VALUES_A_GROUP + offsets).flatten(1)
    rest = torch.arange(end, values.shape[1], device=values.device).expand(len(values), -1)
    candidates = torch.cat([chosen.flatten(1), values[:, end:]], dim=1)
    best = torch.topk(candidates, k, dim=1, sorted=False)
    return best.values, torch.gather(torch.cat([places, rest], dim=1), 1, best.indices)


def _require_memory(device: "torch.device", num_bytes: int) -> None:
    import torch

    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if num_bytes + _SPARE_BYTES > free:
        raise ValueError(
            f"{device} has {free / 1e9:.1f} GB free, and {num_bytes / 1e9:.1f} GB of vectors need "
            f"{_SPARE_BYTES / 1e9:.0f} GB beside them"
        )

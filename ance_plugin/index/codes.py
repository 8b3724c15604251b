"""8-bit codes of vectors, and how far an inner product taken from them can be off.

A vector is ``center + step * code + rest``: codes are integers from -127 to 127, each vector has a
step, and only the length of the rest is kept. For a query coded in the same way, without a center,
the inner product of the codes is a sum of integers, which is exact, and by Cauchy and Schwarz

    |query . vector - (query . center + query_step * step * code . query_code)|
        <= |query| |rest| + |query's rest| |step * code|

The center takes out what all vectors share, so that codes describe what tells them apart.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_LARGEST = 127
_ROWS_AT_ONCE = 1024
_MOST_DIMENSIONS = 2**24 // _LARGEST**2  # a float32 holds every sum up to there
_ROUNDING = 1.0001  # more than what float32 loses in the lengths below


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of n vectors.

    Attributes:
        center: Shape (d,), float32: what was taken off each vector.
        values: Shape (n, d), int8.
        steps: Shape (n,), float32: what one unit of a code is worth.
        losses: Shape (n,), float32: length of what the code leaves out, at least.
        lengths: Shape (n,), float32: length of ``step * code``, at least.
    """

    center: NDArray[np.float32]
    values: NDArray[np.int8]
    steps: NDArray[np.float32]
    losses: NDArray[np.float32]
    lengths: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class QueryCodes:
    """The codes of q queries, and what the estimates from them need.

    Attributes:
        queries: Shape (q, d), float32.
        codes: Their codes, without a center.
        center: Of the vectors, shape (d,), float32.
        shares: Shape (q,), float64: inner products with the vectors' center.
        lengths: Shape (q,), float64: lengths of the queries.
    """

    queries: NDArray[np.float32]
    codes: Codes
    center: NDArray[np.float32]
    shares: NDArray[np.float64]
    lengths: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.queries)

    def bound(
        self, owners: NDArray[np.int64], codes: Codes, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Say by how much the estimate of each pair of a query and a row can be off."""
        losses, lengths = codes.losses[rows], codes.lengths[rows]
        return self._bound(self.lengths[owners], self.losses[owners], codes, losses, lengths)

    def bounds(self, codes: Codes) -> NDArray[np.float64]:
        """Say by how much any estimate of each query can be off; there must be a vector."""
        losses, lengths = codes.losses.max(), codes.lengths.max()
        return self._bound(self.lengths, self.losses, codes, losses, lengths)

    @property
    def losses(self) -> NDArray[np.float32]:
        """Lengths of what the queries' codes leave out, shape (q,)."""
        return self.codes.losses

    @staticmethod
    def _bound(
        lengths: NDArray[np.float64],
        losses: NDArray[np.float32],
        codes: Codes,
        row_losses: NDArray[np.float32] | np.float32,
        row_lengths: NDArray[np.float32] | np.float32,
    ) -> NDArray[np.float64]:
        rounding = (codes.center.size + 16) * 2.0**-24  # of float32 sums, in any order
        size = float(np.linalg.norm(codes.center)) + row_lengths + row_losses
        return np.asarray(lengths * (row_losses + rounding * size) + losses * row_lengths)


def encode_vectors(vectors: NDArray[np.floating], center: NDArray[np.float32]) -> Codes:
    """Code vectors, a thousand at a time.

    Args:
        vectors: Shape (n, d), float32 or float16.
        center: Shape (d,), float32: near their mean; any center is right, this one is tightest.

    Returns:
        Their codes.
    """
    import torch

    num_rows, dimension = vectors.shape
    values = np.empty((num_rows, dimension), dtype=np.int8)
    sizes = np.empty((3, num_rows), dtype=np.float32)
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        rest = torch.from_numpy(np.asarray(vectors[part], np.float32) - center)
        steps = rest.abs().amax(1) / _LARGEST
        codes = torch.round(rest / torch.where(steps > 0, steps, 1.0)[:, None])
        values[part] = codes.clamp_(-_LARGEST, _LARGEST).to(torch.int8).numpy()
        coded = codes.mul_(steps[:, None])
        lengths = torch.linalg.vector_norm(coded, dim=1)
        losses = torch.linalg.vector_norm(rest.sub_(coded), dim=1)
        sizes[:, part] = torch.stack((steps, losses, lengths)).numpy()
    sizes[1:] *= _ROUNDING
    return Codes(center, values, *sizes)


def encode_queries(queries: NDArray[np.float32], center: NDArray[np.float32]) -> QueryCodes:
    """Code queries, shape (q, d), for vectors that have this center."""
    wide = queries.astype(np.float64)
    return QueryCodes(
        queries,
        encode_vectors(queries, np.zeros_like(center)),
        center,
        wide @ center.astype(np.float64),
        np.linalg.norm(wide, axis=1),
    )


def multiply(queries: "torch.Tensor", vectors: "torch.Tensor") -> "torch.Tensor":
    """Multiply codes, shapes (q, d) and (n, d), both int8; shape (q, n), int32."""
    import torch

    return torch._int_mm(queries, vectors.T)


@cache
def can_multiply() -> bool:
    """Say whether this machine multiplies codes exactly and with its own instructions.

    A processor without instructions for it saturates sums of two products at 16 bits, or takes far
    longer than for float32.
    """
    import torch

    if not (hasattr(torch, "_int_mm") and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    largest = torch.full((2, 256), _LARGEST, dtype=torch.int8)
    signs = torch.tensor([[1], [-1]], dtype=torch.int8)
    try:
        found = multiply(largest * signs, largest)
    except RuntimeError:
        return False
    return found.tolist() == [[256 * _LARGEST**2] * 2, [-256 * _LARGEST**2] * 2]


def can_code(dimension: int) -> bool:
    """Say whether vectors of this width are searched faster by codes on this machine."""
    return dimension <= _MOST_DIMENSIONS and can_multiply()

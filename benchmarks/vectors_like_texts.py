"""Vectors that lie as embeddings of texts do: topics, clusters in them, a common mean, length 1."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_NUM_TOPICS, _NUM_CLUSTERS = 300, 60_000
_ROWS_AT_ONCE = 50_000


class TextLikeVectors:
    """Draw documents and queries around the same clusters, whose sizes are log-normal.

    Args:
        dimension: Width of the vectors.
        seed: Everything depends on it.
    """

    def __init__(self, dimension: int = 768, seed: int = 0) -> None:
        self.dimension = dimension
        self._rng = np.random.default_rng(seed)
        topics = self._draw(_NUM_TOPICS, dimension) * np.float32(0.6)
        self._centers = self._draw(_NUM_CLUSTERS, dimension) * np.float32(0.75)
        self._centers += topics[self._rng.integers(0, _NUM_TOPICS, _NUM_CLUSTERS)]
        self._centers += self._draw(1, dimension) * np.float32(0.6)
        sizes = self._rng.lognormal(0, 1, _NUM_CLUSTERS)
        self._shares = sizes / sizes.sum()

    def documents(self, count: int) -> NDArray[np.float32]:
        """Draw documents, shape (count, d), each of length 1."""
        vectors = np.empty((count, self._centers.shape[1]), np.float32)
        for start in range(0, count, _ROWS_AT_ONCE):
            part = vectors[start : start + _ROWS_AT_ONCE]
            part[:] = self._around(len(part), 1.0)
        return vectors

    def queries(self, count: int) -> NDArray[np.float32]:
        """Draw queries, a little further from the clusters than documents are."""
        return self._around(count, 1.2)

    def _around(self, count: int, spread: float) -> NDArray[np.float32]:
        chosen = self._rng.choice(_NUM_CLUSTERS, count, p=self._shares)
        vectors = self._centers[chosen] + self._draw(count, self._centers.shape[1]) * np.float32(
            spread
        )
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _draw(self, *shape: int) -> NDArray[np.float32]:
        return self._rng.standard_normal(shape, dtype=np.float32)


def write_vectors(
    path: Path, drawn: TextLikeVectors, size: int, docids: Sequence[str] = ()
) -> None:
    """Write documents' vectors as our encode command does; they are marked as nobody's.

    Args:
        path: The directory to make.
        drawn: Gives the vectors.
        size: How many.
        docids: Of the first rows; the others have their number.
    """
    from ance_plugin.formats.vectors import GrowingVectors

    growing = GrowingVectors(path, {"dimension": drawn.dimension, "vector_type": "float32"})
    starts = range(0, size, _ROWS_AT_ONCE)
    for block, start in enumerate(starts):
        rows = range(start, min(start + _ROWS_AT_ONCE, size))
        names = [docids[row] if row < len(docids) else f"made-{row}" for row in rows]
        growing.write_block(block, names, drawn.documents(len(rows)))
    growing.finish(len(starts), size)

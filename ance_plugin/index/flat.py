"""Exact search of a flat index by the codes of its vectors, which stand beside it on disk.

``codes.npy`` has the codes, ``codes-rows.npy`` step, loss and length of each row, and
``codes-center.npy`` the center: a quarter more on disk, of which a search reads that quarter.
"""

from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance_plugin.errors import ArtifactError
from ance_plugin.index.codes import Codes, encode_queries, encode_vectors
from ance_plugin.index.scan import scan
from ance_plugin.index.scores import Best
from ance_plugin.index.threads import map_on_threads, torch_threads

VALUES_FILE, ROWS_FILE, CENTER_FILE = "codes.npy", "codes-rows.npy", "codes-center.npy"
LEAST_VECTORS = 50_000  # fewer are searched in no time as they are
NUM_SAMPLED = 10_000  # vectors whose mean is the center
_QUERIES_A_PART = 32  # fewer are bound by reading the codes, which each part reads


class CodeWriter:
    """Write the codes of vectors that come block by block.

    Args:
        folder: Where.
        num_vectors: How many will come.
        center: Shape (d,), float32: near the mean of them all.
    """

    def __init__(self, folder: Path, num_vectors: int, center: NDArray[np.float32]) -> None:
        self._folder, self._center = folder, center
        self._rows: list[NDArray[np.float32]] = []
        # Appended to and not mapped: a full disk ends a process that writes to a mapping.
        self._file = (folder / VALUES_FILE).open("wb")
        shape = (num_vectors, len(center))
        header = {"descr": np.dtype(np.int8).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, block: NDArray[np.floating]) -> None:
        """Code the next vectors, shape (n, d)."""
        codes = encode_vectors(block, self._center)
        self._file.write(codes.values.data)
        self._rows.append(np.stack([codes.steps, codes.losses, codes.lengths]))

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
        np.save(self._folder / ROWS_FILE, np.concatenate(self._rows, axis=1), allow_pickle=False)
        np.save(self._folder / CENTER_FILE, self._center, allow_pickle=False)


def read_codes(folder: Path) -> Codes | None:
    """Open a folder's codes, memory-mapped; None where it has none.

    Raises:
        ArtifactError: They are damaged.
    """
    if not (folder / VALUES_FILE).is_file():
        return None
    try:
        # Private pages, which nobody writes to: PyTorch takes no arrays that are read-only.
        values = np.load(folder / VALUES_FILE, mmap_mode="c", allow_pickle=False)
        rows = np.load(folder / ROWS_FILE, allow_pickle=False)
        center = np.load(folder / CENTER_FILE, allow_pickle=False)
    except (OSError, ValueError) as err:
        raise ArtifactError(f"{folder}: the codes are damaged ({err}); index it again") from err
    if rows.shape != (3, len(values)) or center.shape != values.shape[1:]:
        raise ArtifactError(f"{folder}: the codes do not fit each other; index it again")
    return Codes(center, values, *rows)


class FlatIndex:
    """Search the vectors of a flat index exactly.

    Args:
        vectors: Shape (n, d), float32, perhaps memory-mapped.
        codes: Theirs; None has them made, a few seconds for a million.
    """

    def __init__(self, vectors: NDArray[np.float32], codes: Codes | None = None) -> None:
        self._vectors = vectors
        if codes is None:
            step = max(len(vectors) // NUM_SAMPLED, 1)
            codes = encode_vectors(vectors, vectors[::step].mean(axis=0))
        self._codes = codes

    def search(self, queries: NDArray[np.float32], k: int, threads: int) -> list[Best]:
        """Find the best k vectors of each query, and those that tie with the last.

        Args:
            queries: Shape (q, d), float32.
            k: Rows a query, at least 1.
            threads: To search with.

        Returns:
            For each query scores, float32, and rows, best first, equal scores by row.
        """

        def find(part: NDArray[np.float32]) -> list[Best]:
            coded = encode_queries(part, self._codes.center)
            return list(scan(coded, self._vectors, self._codes, k))

        queries = np.ascontiguousarray(queries, np.float32)
        with torch_threads(threads):
            if threads == 1 or len(queries) < 2 * threads * _QUERIES_A_PART:
                return find(queries)
            # Of what a part needs, threads would share the products and nothing else.
            parts = map_on_threads(find, np.array_split(queries, 2 * threads), threads)
            return list(chain.from_iterable(parts))

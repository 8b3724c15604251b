"""Queries that were encoded before: Pyserini's ``embedding.pkl``, read safely, and ``.npz``.

``embedding.pkl`` is a pickled pandas DataFrame, and loading a pickle runs what its maker wrote
into it. Here it is read by an unpickler that knows the parts of such a frame and nothing else.
"""

import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.encode.safe_pickle import FrameUnpickler
from ance_plugin.errors import FormatError, first_line

PICKLE = "embedding.pkl"
NPZ = "queries.npz"
_COLUMNS = ("id", "text", "embedding")
# What a damaged pickle may raise; sizes in it may be beyond any memory.
_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, ValueError,
    struct.error,
)  # fmt: skip
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError)  # the last: unknown method
_SAFE_WAY = f"encode the queries again, or ask its maker for a {NPZ}"


class EncodedQueries:
    """A query encoder that looks vectors up by the query's exact text.

    Args:
        qids: Ids of the queries.
        texts: Their texts.
        vectors: Their vectors, shape (q, d), float32.
        identity: Of the encoder that made them, from ``Checkpoint.identify``; None if unknown.

    Raises:
        ValueError: The three differ in number, or vectors are no matrix.
    """

    def __init__(
        self,
        qids: Sequence[str],
        texts: Sequence[str],
        vectors: NDArray[np.float32],
        *,
        identity: dict[str, Any] | None = None,
    ) -> None:
        if vectors.ndim != 2 or not len(qids) == len(texts) == len(vectors):
            raise ValueError(
                f"{len(qids)} qids, {len(texts)} texts and vectors of shape {vectors.shape} "
                "do not belong together"
            )
        self.qids = list(qids)
        self.texts = list(texts)
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.identity = identity
        self.dimension = int(vectors.shape[1])
        self._rows = {text: row for row, text in reversed(list(enumerate(self.texts)))}

    def encode(self, query: str) -> NDArray[np.float32]:
        """Look up one query's vector, shape (d,)."""
        vector: NDArray[np.float32] = self.encode_queries([query])[0]
        return vector

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Look up several queries' vectors.

        Args:
            queries: Texts, exactly as they were encoded; of two alike the first counts.

        Returns:
            Shape (q, d), float32.

        Raises:
            ValueError: A query was not encoded.
        """
        missing = [query for query in queries if query not in self._rows]
        if missing:
            raise ValueError(
                f"{len(missing)} queries were not encoded before, such as {missing[0]!r}; "
                "give --encoder to encode them"
            )
        found: NDArray[np.float32] = self.vectors[[self._rows[query] for query in queries]]
        return found


def read_encoded_queries(path: Path) -> EncodedQueries:
    """Read encoded queries, whichever of the two kinds they are.

    Args:
        path: A ``.npz`` or ``.pkl`` file, or a folder with ``queries.npz`` or ``embedding.pkl``.

    Returns:
        The queries and their vectors.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: The file is damaged, of another kind, or would run code when loaded.
    """
    names = (NPZ, PICKLE)
    files = [path / name for name in names] if path.is_dir() else [path]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path}: no such file, nor a folder with {' or '.join(names)}")
    readers = {".npz": _read_npz, ".pkl": _read_pickle}
    if file.suffix not in readers:
        raise FormatError(f"{file}: expected a .npz or .pkl file")
    return readers[file.suffix](file)


def write_encoded_queries(queries: EncodedQueries, path: Path) -> None:
    """Write a ``.npz`` of ``ids``, ``texts`` and ``vectors``; it replaces a file whole."""
    identity = json.dumps(queries.identity)
    with artifacts.claim(path):
        staging = artifacts.partial_path(path)
        with staging.open("wb") as file:
            np.savez(
                file,
                ids=np.array(queries.qids, dtype=np.str_),
                texts=np.array(queries.texts, dtype=np.str_),
                vectors=queries.vectors,
                identity=np.array(identity, dtype=np.str_),
            )
        artifacts.flush(staging)
        staging.replace(path)
        artifacts.flush(path.parent)


def _read_npz(file: Path) -> EncodedQueries:
    try:
        if not zipfile.is_zipfile(file):
            raise FormatError(f"{file}: is no .npz file, or damaged; {_SAFE_WAY}")
        with np.load(file, allow_pickle=False) as content:
            parts = {name: content[name] for name in content.files}
        qids, texts, vectors = (parts[name] for name in ("ids", "texts", "vectors"))
        identity = json.loads(str(parts["identity"])) if "identity" in parts else None
        if not isinstance(identity, dict | None):
            raise FormatError(f"{file}: expected an identity with names, found {identity!r}")
        return EncodedQueries(qids.tolist(), texts.tolist(), vectors, identity=identity)
    except FormatError:
        raise
    except KeyError as err:
        found = ", ".join(parts) or "none"
        raise FormatError(f"{file}: expected ids, texts and vectors, found {found}") from err
    except (*_DAMAGED, OSError, RuntimeError, *_DAMAGED_ZIP) as err:
        raise FormatError(f"{file}: holds no encoded queries ({first_line(err)})") from err


def _read_pickle(file: Path) -> EncodedQueries:
    try:
        with file.open("rb") as content:
            frame = FrameUnpickler(content).load()
        columns = list(getattr(frame, "columns", []))
        if not set(_COLUMNS) <= set(columns):
            found = ", ".join(map(str, columns)) or f"a {type(frame).__name__}"
            raise FormatError(f"{file}: expected columns {', '.join(_COLUMNS)}, found {found}")
        qids, texts, rows = (frame[name] for name in _COLUMNS)
        vectors = np.asarray([np.asarray(row).ravel() for row in rows], dtype=np.float32)
        return EncodedQueries([str(qid) for qid in qids], [str(text) for text in texts], vectors)
    except FormatError:
        raise
    except pickle.UnpicklingError as err:
        raise FormatError(f"{file}: {err}; nothing of it was run; {_SAFE_WAY}") from err
    except _DAMAGED as err:
        raise FormatError(
            f"{file}: is no pickled DataFrame ({first_line(err)}); {_SAFE_WAY}"
        ) from err

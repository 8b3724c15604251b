"""Document vectors on disk: blocks of ``.npy`` and docids that grow in any order and resume.

While it grows, the directory is hidden (``.NAME.partial``) and each finished block has a ``.done``
record, written last. Once every block is there it is sealed and takes its name. A block is the same
bytes whichever process wrote it, so shards are no more than a division of the work.
"""

import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError

KIND = "vectors"
_SETTINGS = "settings.json"


class Vectors:
    """Finished document vectors, read block by block and memory-mapped.

    Args:
        path: The directory.

    Raises:
        FileNotFoundError: There is none.
        ArtifactError: It is not finished vectors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata = artifacts.open_sealed(path, KIND)
        missing = {"num_documents", "dimension", "num_blocks"} - self.metadata.keys()
        if missing:
            raise ArtifactError(f"{path}: its metadata lacks {', '.join(sorted(missing))}")
        self.num_documents: int = self.metadata["num_documents"]
        self.num_vectors: int = self.metadata.get("num_vectors", self.num_documents)
        self.dimension: int = self.metadata["dimension"]
        self.num_blocks: int = self.metadata["num_blocks"]

    def iter_blocks(self) -> Iterator[tuple[list[str], NDArray[np.floating]]]:
        """Yield docids and vectors, shape (n, d), float32 or float16, memory-mapped."""
        for block in range(self.num_blocks):
            vectors = _load(self.path / _vectors_name(block))
            docids = (self.path / _docids_name(block)).read_text(encoding="utf-8").split("\n")[:-1]
            if vectors.shape != (len(docids), self.dimension):
                raise ArtifactError(
                    f"{self.path / _vectors_name(block)}: has shape {vectors.shape}, expected "
                    f"{(len(docids), self.dimension)}; encode the collection again"
                )
            yield docids, vectors


class GrowingVectors:
    """Vectors being written, by this process and perhaps by others with other shards.

    Args:
        path: Where the finished directory will stand.
        settings: Everything that decides the bytes; a growing directory with other settings is
            refused.
        overwrite: Replace finished vectors that stand there.

    Raises:
        ArtifactError: Finished vectors stand there and ``overwrite`` is off.
        MismatchError: Unfinished vectors there were made with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self.settings = settings
        self._partial = artifacts.partial_path(path)
        with artifacts.claim(path, waits=True):  # other shards may be starting or finishing
            artifacts.restore_replaced(path)
            artifacts.refuse_existing(path, overwrite=overwrite)
            self._partial.mkdir(parents=True, exist_ok=True)
            self._require_same_settings()

    @contextmanager
    def claim(self, shard_id: int, shard_num: int) -> Iterator[None]:
        """Hold the right to write one shard; ArtifactError where another process holds it.

        Where the only shard fails before its first block, nothing of it is kept.
        """
        name = f"{self.path.name}-shard-{shard_id}-of-{shard_num}"
        with artifacts.claim(self.path.with_name(name)):
            try:
                yield
            except BaseException:
                if shard_num == 1 and not any(self._partial.glob("*.done")):
                    shutil.rmtree(self._partial, ignore_errors=True)
                raise

    def has_block(self, block: int) -> bool:
        """Say whether a block is finished."""
        return self._is_sealed() or (self._partial / _done_name(block)).is_file()

    def write_block(self, block: int, docids: Sequence[str], vectors: NDArray[np.floating]) -> None:
        """Write a block so that it is there whole, after a power cut too, or not at all.

        Raises:
            ValueError: A vector is not finite; the message names its docid. Or there are more or
                fewer docids than vectors.
        """
        if len(docids) != len(vectors):
            raise ValueError(f"block {block} has {len(docids)} docids for {len(vectors)} vectors")
        is_finite = np.isfinite(vectors).all(axis=1)
        if not is_finite.all():
            docid = docids[int(np.argmin(is_finite))]
            remedy = "--precision fp32" if vectors.dtype == np.float32 else "--vector-type float32"
            raise ValueError(f"the vector of document {docid} is not finite; try {remedy}")
        content = io.BytesIO()
        np.save(content, vectors, allow_pickle=False)
        self._write(_vectors_name(block), content.getbuffer())
        self._write(_docids_name(block), "".join(f"{docid}\n" for docid in docids).encode())
        self._write(_done_name(block), b"")

    def finish(self, num_blocks: int, num_documents: int) -> bool:
        """Seal and publish the directory if every block is there; say whether it was."""
        with artifacts.claim(self.path, waits=True):
            if not self._partial.is_dir():
                return True  # another shard published it
            if not all(self.has_block(block) for block in range(num_blocks)):
                return False
            counts = {
                "num_documents": num_documents,
                "num_vectors": sum(map(self._count_vectors, range(num_blocks))),
                "num_blocks": num_blocks,
            }
            names = [name(b) for b in range(num_blocks) for name in (_vectors_name, _docids_name)]
            artifacts.seal(self._partial, KIND, {**self.settings, **counts}, names=names)
            for leftover in self._partial.iterdir():  # what a kill leaves of it is sealed
                if leftover.name not in {*names, artifacts.METADATA}:
                    leftover.unlink()
            artifacts.publish_directory(self._partial, self.path)
        return True

    def _is_sealed(self) -> bool:
        """Say whether every block is there and listed, though not yet under its final name."""
        return (self._partial / artifacts.METADATA).is_file()

    def _count_vectors(self, block: int) -> int:
        return len(_load(self._partial / _vectors_name(block)))

    def _require_same_settings(self) -> None:
        file = self._partial / (artifacts.METADATA if self._is_sealed() else _SETTINGS)
        if not file.is_file():
            artifacts.write_json(file, self.settings)
        content = artifacts.read_json(file)
        found = {name: content.get(name) for name in self.settings}
        try:
            for name in ("collection", "encoder"):  # called otherwise elsewhere, but hashed alike
                ours, theirs = (
                    {**(settings.get(name) or {}), "name": None}
                    for settings in (self.settings, found)
                )
                artifacts.require_equal(ours, theirs, what=f"{self._partial}: {name}")
            settings = {**self.settings, "collection": None, "encoder": None}
            found = {**found, "collection": None, "encoder": None}
            artifacts.require_equal(settings, found, what=str(self._partial))
        except MismatchError as err:
            raise MismatchError(
                f"{err}; finish these vectors with the same settings, or delete that folder"
            ) from err

    def _write(self, name: str, content: bytes | memoryview) -> None:
        staging = self._partial / f".{name}.{os.getpid()}.partial"
        with artifacts.name_refusals(self.path):
            try:
                with staging.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                staging.replace(self._partial / name)
            except BaseException:
                staging.unlink(missing_ok=True)
                raise
            artifacts.flush(self._partial)


def _load(file: Path) -> NDArray[np.floating]:
    try:
        vectors: NDArray[np.floating] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as err:
        raise ArtifactError(f"{file}: is damaged ({err}); encode the collection again") from err
    return vectors


def _vectors_name(block: int) -> str:
    return f"block-{block:06d}.npy"


def _docids_name(block: int) -> str:
    return f"block-{block:06d}.docids"


def _done_name(block: int) -> str:
    return f"block-{block:06d}.done"

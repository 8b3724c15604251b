"""Open a dense index folder: ours, or one made by stock Pyserini."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.index.codes import Codes
from ance_plugin.index.dense import DOCID_FILE, INDEX_FILE, KIND
from ance_plugin.index.flat import read_codes
from ance_plugin.index.safety import check_faiss_file

if TYPE_CHECKING:
    import faiss

logger = logging.getLogger(__name__)

_NOT_COMPARED = {"name", "overrides"}


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """A FAISS index, the docid of each row, and what is known of how it was made.

    A flat index that was built here has the codes of its vectors too.
    """

    path: Path
    faiss_index: "faiss.Index"
    docids: list[str]
    metadata: dict[str, Any]
    codes: Codes | None = None

    @property
    def flat_vectors(self) -> NDArray[np.float32] | None:
        """The vectors as they stand in a flat index, shape (n, d); None for any other index."""
        import faiss

        flat: Any = faiss.downcast_index(self.faiss_index)
        if type(flat) not in (faiss.IndexFlat, faiss.IndexFlatIP):
            return None
        if flat.metric_type != faiss.METRIC_INNER_PRODUCT or not flat.ntotal:
            return None
        values: NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d)
        return values.reshape(flat.ntotal, flat.d)

    def require_encoder(self, identity: dict[str, Any] | None, dimension: int) -> None:
        """Refuse an encoder other than the one that made the vectors.

        Args:
            identity: The encoder's, from ``Checkpoint.identify``; None where it has none.
            dimension: Width of its vectors.

        Raises:
            MismatchError: Weights, tokenizer, pooling, lengths or text treatment differ.
        """
        check_encoder(self.path, self.metadata, self.faiss_index.d, identity, dimension)


def check_encoder(
    path: Path,
    metadata: dict[str, Any],
    index_dimension: int,
    identity: dict[str, Any] | None,
    dimension: int,
) -> None:
    """Refuse an encoder other than the one that made an index's vectors.

    Args:
        path: The index, for the message.
        metadata: Its metadata; one that Pyserini made has none.
        index_dimension: Width of the index's vectors.
        identity: The encoder's, from ``Checkpoint.identify``; None where it has none.
        dimension: Width of the encoder's vectors.

    Raises:
        MismatchError: Weights, tokenizer, pooling, lengths or text treatment differ.
    """
    if dimension != index_dimension:
        raise MismatchError(
            f"{path}: the index has {index_dimension} dimensions but the encoder "
            f"produces {dimension}; encode the collection with the same checkpoint"
        )
    made_with = metadata.get("encoder")
    if made_with is None:
        logger.warning("%s: does not say which encoder made it; taking yours", path)
        return
    if identity is None:
        logger.warning("%s: the queries do not say which encoder made them; taking them", path)
        return
    expected = {name: made_with[name] for name in made_with.keys() - _NOT_COMPARED}
    try:
        artifacts.require_equal(identity, expected, what=f"{path} was made by another encoder")
    except MismatchError as err:
        remedy = f"search it with {made_with['name']} as it was encoded"
        raise MismatchError(f"{err}; {remedy}") from err


def open_index(path: Path) -> StoredIndex:
    """Open an index folder; flat indexes are memory-mapped, not read.

    A folder without our metadata is of unknown origin: see ``check_faiss_file``.

    Raises:
        FileNotFoundError: There is no such folder.
        ArtifactError: It is no index, it is damaged, or docids and vectors differ in number.
    """
    import faiss

    metadata = read_metadata(path)
    for name in (INDEX_FILE, DOCID_FILE):
        if not (path / name).is_file():
            raise ArtifactError(f"{path / name}: is missing; expected a dense index folder")
    if not metadata or artifacts.is_verifying():
        check_faiss_file(path / INDEX_FILE)
    try:
        faiss_index = faiss.read_index(str(path / INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[-1]
        raise ArtifactError(f"{path / INDEX_FILE}: FAISS cannot read it ({reason})") from err
    docids = (path / DOCID_FILE).read_text(encoding="utf-8").split("\n")
    docids = [docid.rstrip("\r") for docid in docids[: -1 if docids[-1] == "" else None]]
    if len(docids) != faiss_index.ntotal:
        raise ArtifactError(
            f"{path}: has {faiss_index.ntotal} vectors but {len(docids)} docids; index it again"
        )
    codes = read_codes(path)
    if codes is not None and codes.values.shape != (faiss_index.ntotal, faiss_index.d):
        raise ArtifactError(f"{path}: the codes are not those of its vectors; index it again")
    return StoredIndex(path, faiss_index, docids, metadata, codes)


def read_metadata(path: Path) -> dict[str, Any]:
    """Read an index folder's metadata; empty for one that Pyserini made.

    Raises:
        FileNotFoundError: There is no such folder.
        ArtifactError: It is an artifact of another kind, or damaged.
    """
    is_stock = (path / INDEX_FILE).is_file() and not (path / artifacts.METADATA).is_file()
    return {} if is_stock else artifacts.open_sealed(path, KIND)


def peek_metadata(path: Path) -> dict[str, Any]:
    """Read an index folder's metadata whatever kind of index it is; empty where there is none.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such directory; expected an index folder")
    file = path / artifacts.METADATA
    return artifacts.read_json(file) if file.is_file() else {}


def summarise_metadata(path: Path) -> dict[str, Any]:
    """Give what a run's manifest says of the index it was made with."""
    file = path / artifacts.METADATA
    if not file.is_file():
        return {"path": str(path)}
    metadata = json.loads(file.read_text(encoding="utf-8"))
    kept = ("kind", "factory", "analyzer", "collection", "precision", "maxp")
    return {
        "path": str(path),
        "metadata_sha256": artifacts.sha256_file(file),
        **{name: metadata[name] for name in kept if name in metadata},
    }

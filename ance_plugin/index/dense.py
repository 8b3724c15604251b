"""Build a FAISS index from vectors, in the folder layout that ``pyserini.search.faiss`` opens.

``index`` is FAISS's own file and ``docid`` has a docid a line, the row of a vector being its line.
``metadata.json`` adds which encoder made the vectors, so that no other one searches them. A flat
index of some size has 8-bit codes of its vectors beside them (``index/flat.py``).
"""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.formats.vectors import Vectors
from ance_plugin.index.flat import LEAST_VECTORS, NUM_SAMPLED, CodeWriter
from ance_plugin.index.threads import faiss_threads
from ance_plugin.progress import track
from ance_plugin.version import describe_versions

if TYPE_CHECKING:
    import faiss

logger = logging.getLogger(__name__)

KIND = "dense-index"
INDEX_FILE = "index"
DOCID_FILE = "docid"
_TRAINING_VECTORS = 100_000
_SEED = 0
_BYTES_AT_ONCE = 1 << 20


def build_dense_index(
    vectors: Vectors,
    output: Path,
    *,
    factory: str = "Flat",
    threads: int | None = None,
    overwrite: bool = False,
) -> None:
    """Index vectors by inner product.

    Indexes that need training (IVF, PQ, SQ) are trained on at most 100,000 vectors, spread evenly
    over the collection. HNSW built with several threads differs a little from build to build; with
    ``threads=1`` it does not.

    Args:
        vectors: Finished vectors.
        output: The directory to make.
        factory: A FAISS factory string: Flat, HNSW32, ``IVF256,Flat``, SQfp16, SQ8, PQ96 ...
        threads: FAISS's threads; None leaves them to FAISS.
        overwrite: Replace a directory that stands there.

    Raises:
        ArtifactError: ``output`` exists and ``overwrite`` is off.
        ValueError: FAISS does not know the factory, or cannot train it on so few vectors.
    """
    import faiss

    artifacts.refuse_existing(output, overwrite=overwrite)
    index = make_index(factory, vectors.dimension)
    started = time.monotonic()
    with (
        faiss_threads(threads),
        artifacts.new_directory(output, overwrite=overwrite) as staging,
    ):
        _train(index, vectors, factory)
        coder = _new_coder(staging, vectors, factory)
        with (staging / DOCID_FILE).open("w", encoding="utf-8", newline="\n") as file:
            blocks = track(vectors.iter_blocks(), what="dense index", total=vectors.num_blocks)
            for docids, block in blocks:
                index.add(np.ascontiguousarray(block, dtype=np.float32))
                if coder is not None:
                    coder.write(block)
                file.writelines(f"{docid}\n" for docid in docids)
        if coder is not None:
            coder.close()
        with (staging / INDEX_FILE).open("wb") as file:
            # FAISS's own writer takes no notice where the disk refuses the last bytes.
            writer = faiss.PyCallbackIOWriter(file.write, _BYTES_AT_ONCE)  # type: ignore[attr-defined]
            faiss.write_index(index, writer)
        seconds = time.monotonic() - started
        artifacts.seal(staging, KIND, _describe(vectors, factory, seconds))
    size = (output / INDEX_FILE).stat().st_size
    logger.info(
        "indexed %d vectors as %s in %.1f s, %.1f MB: %s",
        vectors.num_vectors,
        factory,
        seconds,
        size / 1e6,
        output,
    )


def make_index(factory: str, dimension: int) -> "faiss.Index":
    """Make an empty inner-product index.

    Raises:
        ValueError: FAISS does not know the factory, or it does not fit the dimension.
    """
    import faiss

    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        if isinstance(faiss.downcast_index(index), faiss.IndexIDMap):
            raise RuntimeError("rows are numbered from 0 here, IDMap wants ids of its own")
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[-1]
        raise ValueError(
            f"factory {factory!r} makes no index of {dimension} dimensions ({reason}); try Flat, "
            "HNSW32, IVF256,Flat, SQfp16, SQ8 or PQ96 (PQ's number must divide the dimension)"
        ) from err
    return index


def _train(index: "faiss.Index", vectors: Vectors, factory: str) -> None:
    if index.is_trained:
        return
    sample = _sample(vectors, _TRAINING_VECTORS)
    try:
        index.train(sample)
    except RuntimeError as err:
        reason = str(err).strip().splitlines()[-1]
        raise ValueError(
            f"factory {factory!r} cannot be trained on {len(sample)} vectors ({reason}); use one "
            "with fewer lists or centroids, or Flat"
        ) from err


def _new_coder(folder: Path, vectors: Vectors, factory: str) -> CodeWriter | None:
    if factory != "Flat" or vectors.num_vectors < LEAST_VECTORS:
        return None
    center = _sample(vectors, NUM_SAMPLED).mean(axis=0)
    return CodeWriter(folder, vectors.num_vectors, center)


def _sample(vectors: Vectors, num_wanted: int) -> NDArray[np.float32]:
    """Take vectors at random, the same ones each time."""
    generator = np.random.default_rng(_SEED)
    num_taken = min(num_wanted, vectors.num_vectors)
    rows = np.sort(generator.choice(vectors.num_vectors, num_taken, replace=False))
    parts, first = [], 0
    for docids, block in vectors.iter_blocks():
        here = rows[(rows >= first) & (rows < first + len(docids))] - first
        parts.append(np.asarray(block[here], dtype=np.float32))
        first += len(docids)
    return np.concatenate(parts)


def describe_vectors(vectors: Vectors) -> dict[str, Any]:
    """List what an index's metadata says of the vectors it was made from."""
    names = (
        *("collection", "encoder", "tower", "precision", "vector_type", "dimension"),
        *("num_documents", "num_vectors", "maxp", "num_chunks", "chunk_tokens"),
    )
    return {name: vectors.metadata[name] for name in names if name in vectors.metadata}


def _describe(vectors: Vectors, factory: str, seconds: float) -> dict[str, Any]:
    return {
        **describe_vectors(vectors),
        "factory": factory,
        "versions": describe_versions("faiss-cpu"),
        "seconds": round(seconds, 3),
    }

"""Encode a whole collection, block by block: resumable, sharded, with one block in memory."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.ahead import one_ahead
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.maxp import NUM_CHUNKS, MaxP, tokenize_passages
from ance_plugin.formats.collection import Collection, Fingerprint
from ance_plugin.formats.vectors import GrowingVectors
from ance_plugin.progress import count
from ance_plugin.version import describe_versions

logger = logging.getLogger(__name__)

BLOCK_SIZE = 2048

type VectorType = Literal["float32", "float16"]


@dataclass(frozen=True, slots=True)
class Shard:
    """A share of the blocks: those whose number divided by ``shard_num`` leaves ``shard_id``."""

    shard_id: int = 0
    shard_num: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError where there is no such share."""
        if not 0 <= self.shard_id < self.shard_num:
            raise ValueError(
                f"shard id must be between 0 and {self.shard_num - 1} for {self.shard_num} shards, "
                f"found {self.shard_id}"
            )

    def has(self, block: int) -> bool:
        """Say whether a block belongs to this share."""
        return block % self.shard_num == self.shard_id


def encode_collection(
    collection: Collection,
    encoder: Encoder,
    output: Path,
    *,
    shard: Shard | None = None,
    block_size: int = BLOCK_SIZE,
    vector_type: VectorType = "float32",
    maxp: MaxP | None = None,
    overwrite: bool = False,
) -> bool:
    """Encode the blocks of one shard that are not there yet.

    A run that was killed is continued by the same call. The bytes of a block depend on its
    documents and on what the metadata records, so an interrupted and an undisturbed run end alike.

    Args:
        collection: What to encode.
        encoder: With what.
        output: The directory that takes its name once every block of every shard is there.
        shard: The share of the blocks to encode here; all of them when None.
        block_size: Documents a block.
        vector_type: ``float32`` or ``float16``, on disk.
        maxp: The kind of MaxP, recorded in the metadata; None is one vector a document.
        overwrite: Replace finished vectors that stand there.

    Returns:
        Whether the vectors are finished: False where other shards have blocks to do.

    Raises:
        ArtifactError: Finished vectors stand there, or another process encodes this shard.
        FormatError: A document is malformed, a docid is there twice, or there are none.
        MismatchError: Unfinished vectors there were made from or with something else.
    """
    share = shard or Shard()
    artifacts.refuse_existing(output, overwrite=overwrite)
    fingerprint = collection.scan()
    num_blocks = -(-fingerprint.num_documents // block_size)
    settings = _describe(collection, fingerprint, encoder, block_size, vector_type)
    settings |= _describe_maxp(encoder, maxp)
    vectors = GrowingVectors(output, settings, overwrite=overwrite)
    started = time.monotonic()
    num_encoded = 0
    with (
        vectors.claim(share.shard_id, share.shard_num),
        count(what="encode", total=fingerprint.num_documents) as advance,
    ):
        blocks = _tokenize_blocks(collection, encoder, maxp, block_size, share, vectors)
        # A CPU would only share its cores between tokenizing and encoding.
        for block in blocks if encoder.device.type == "cpu" else one_ahead(blocks):
            if not block.is_wanted:
                advance(block.num_documents)
                continue
            encoded = _encode_block(encoder, block, vector_type, advance)
            vectors.write_block(block.number, block.docids, encoded)
            num_encoded += block.num_documents
    seconds = time.monotonic() - started
    is_finished = vectors.finish(num_blocks, fingerprint.num_documents)
    logger.info(
        "encoded %d of %d documents in %.1f s (%.1f a second, %s on %s): %s",
        num_encoded,
        fingerprint.num_documents,
        seconds,
        num_encoded / seconds,
        encoder.precision,
        encoder.device,
        output if is_finished else f"{output} waits for other shards",
    )
    return is_finished


@dataclass(frozen=True, slots=True)
class _Block:
    """Documents as the token ids of a vector each, or of several; none where it is not wanted."""

    number: int
    num_documents: int
    is_wanted: bool
    docids: Sequence[str] = ()
    rows: Sequence[list[int]] = ()


def _tokenize_blocks(
    collection: Collection,
    encoder: Encoder,
    maxp: MaxP | None,
    block_size: int,
    share: Shard,
    vectors: GrowingVectors,
) -> Iterator[_Block]:
    for number, documents in enumerate(batched(collection, block_size)):
        is_wanted = share.has(number) and not vectors.has_block(number)
        passages = tokenize_passages(encoder, documents, maxp) if is_wanted else ()
        yield _Block(number, len(documents), is_wanted, *passages)


def _encode_block(
    encoder: Encoder, block: _Block, vector_type: VectorType, advance: Callable[[int], object]
) -> NDArray[np.floating]:
    is_one_each = len(block.rows) == block.num_documents
    encoded = encoder.encode_tokens(block.rows, on_progress=advance if is_one_each else None)
    if not is_one_each:
        advance(block.num_documents)
    with np.errstate(over="ignore"):  # write_block refuses what became infinite
        return encoded.astype(vector_type, copy=False)


def _describe(
    collection: Collection,
    fingerprint: Fingerprint,
    encoder: Encoder,
    block_size: int,
    vector_type: VectorType,
) -> dict[str, Any]:
    """List what decides the bytes of the vectors."""
    tower = {} if encoder.tower is None else {"tower": encoder.tower}
    return {
        "collection": collection.describe(fingerprint),
        "encoder": {"name": encoder.name, **encoder.identity, "overrides": encoder.overrides},
        **tower,
        "dimension": encoder.dimension,
        "precision": encoder.precision,
        "device": encoder.device.type,
        "batch_size": encoder.batch_size,
        "block_size": block_size,
        "vector_type": vector_type,
        "versions": describe_versions("torch", "transformers"),
    }


def _describe_maxp(encoder: Encoder, maxp: MaxP | None) -> dict[str, Any]:
    if maxp is None:
        return {}
    chunks = {"num_chunks": NUM_CHUNKS, "chunk_tokens": encoder.settings.max_document_tokens}
    return {"maxp": maxp, **(chunks if maxp == "chunks" else {})}

"""Which texts of a batch go through the body together, and on which rank.

The plan depends on the batch and the size of a chunk alone, never on the number of ranks: each
chunk draws its own dropout, so any number of ranks computes the same step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance_plugin.encode.batching import plan_batches
from ance_plugin.train.batches import Batch

type Side = Literal["query", "document"]


class Texts(NamedTuple):
    """All texts of a batch in one list, and where each document's pieces are in it.

    Attributes:
        tokens: Token ids: the b queries, then each document's pieces, one document after the other.
        pieces: Position in ``tokens`` of each document's pieces, shape (m, c), int64, c the most
            that a document has; any position where there is none.
        piece_mask: Where a document has a piece, shape (m, c), bool.
    """

    tokens: list[NDArray[np.integer]]
    pieces: NDArray[np.int64]
    piece_mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts of one side and of like length, encoded together.

    Attributes:
        side: ``query`` or ``document``.
        number: Counts the chunks of the side from 0; part of the seed of its dropout.
        places: Positions into ``Texts.tokens``, int64.
        num_tokens: Its size, padding included.
    """

    side: Side
    number: int
    places: NDArray[np.int64]
    num_tokens: int


def list_texts(batch: Batch) -> Texts:
    """Put a batch's queries and the pieces of its documents into one list.

    Args:
        batch: One step's texts.

    Returns:
        The texts.

    Raises:
        ValueError: A document has no piece.
    """
    counts = np.array([len(pieces) for pieces in batch.documents], dtype=np.int64)
    if (counts == 0).any():
        raise ValueError(f"document {int(counts.argmin())} of the batch has no piece of text")
    columns = np.arange(counts.max(initial=1))
    firsts = len(batch.queries) + np.cumsum(counts) - counts
    mask = columns < counts[:, None]
    pieces = np.where(mask, firsts[:, None] + columns, firsts[:, None])
    tokens = [*batch.queries, *(piece for pieces in batch.documents for piece in pieces)]
    return Texts(tokens, pieces, mask)


def plan_chunks(texts: Texts, num_queries: int, *, chunk_tokens: int) -> list[Chunk]:
    """Group the texts of each side by length.

    Args:
        texts: A batch's texts, queries first.
        num_queries: How many of them are queries.
        chunk_tokens: Tokens a chunk at most, padding included; a longer text is a chunk of its own.

    Returns:
        The chunks, those of the queries first, long texts before short; each text is in one chunk.
    """
    lengths = [len(row) for row in texts.tokens]
    sides: tuple[tuple[Side, int, int], ...] = (
        ("query", 0, num_queries),
        ("document", num_queries, len(lengths)),
    )
    chunks = []
    for side, start, end in sides:
        groups = plan_batches(
            lengths[start:end], max_texts=max(1, end - start), max_tokens=chunk_tokens
        )
        for number, group in enumerate(groups):
            longest = max(lengths[start + place] for place in group)
            chunks.append(Chunk(side, number, group + start, len(group) * longest))
    return chunks


def assign_chunks(chunks: Sequence[Chunk], world_size: int) -> list[list[Chunk]]:
    """Share chunks out so that ranks have about as many tokens each.

    Args:
        chunks: The plan.
        world_size: How many ranks there are.

    Returns:
        Each rank's chunks, in the order of the plan; none for some where chunks are few.
    """
    loads = [0] * world_size
    ranks = [0] * len(chunks)
    for place in sorted(range(len(chunks)), key=lambda place: (-chunks[place].num_tokens, place)):
        rank = loads.index(min(loads))
        ranks[place] = rank
        loads[rank] += chunks[place].num_tokens
    return [
        [chunk for chunk, owner in zip(chunks, ranks, strict=True) if owner == rank]
        for rank in range(world_size)
    ]

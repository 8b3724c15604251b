"""Batches of texts of like length, so that little of the arithmetic is spent on padding."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance_plugin.encode.device import Precision

_TOKENS_PADDED = 16_384
# Packed, on a CPU: its buffers stay below 32 MiB, above which glibc returns every page when it is
# freed, and the system clears them anew for the next batch.
_TOKENS_PACKED: dict[Precision, int] = {"bf16": 4096, "fp32": 2048}
_TOKENS_ON_GPU = 32_768  # packed


def count_tokens(device_type: str, precision: Precision, *, is_packed: bool) -> int:
    """Give the tokens of a batch with which encoding is fastest.

    Args:
        device_type: ``cpu``, ``cuda``, ``mps``.
        precision: Of the body.
        is_packed: Whether texts are encoded without padding.
    """
    if not is_packed:
        return _TOKENS_PADDED
    return _TOKENS_PACKED[precision] if device_type == "cpu" else _TOKENS_ON_GPU


def plan_batches(
    lengths: Sequence[int], *, max_texts: int, max_tokens: int
) -> list[NDArray[np.int64]]:
    """Group texts by length, longest first, so that too large a batch shows at once.

    Args:
        lengths: Tokens of each text.
        max_texts: Texts a batch at most.
        max_tokens: Tokens a batch at most, padding included; a longer text is a batch of its own.

    Returns:
        Positions into ``lengths``; each is in exactly one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        longest = max(lengths[order[start]], 1)
        size = max(1, min(max_texts, max_tokens // longest))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad(rows: Sequence[Sequence[int]], value: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad token ids at the right to the longest row.

    Args:
        rows: Token ids of each text, at least one text.
        value: The id that fills up.

    Returns:
        Token ids and attention mask, both of shape (b, t), int64.
    """
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), value, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask

"""The hits of a topic as two arrays, which become objects when they are asked for one by one.

Millions of hits as objects take 150 bytes each, and longer to make than their lines to read. Here a
docid is a number or a string of numpy's, and ordering, joining and comparing are numpy's, too.
"""

from collections.abc import Buffer, Iterator, Sequence
from operator import index
from typing import ClassVar, overload, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ance_plugin.ranking import canonical_scores, check_ranking, make_hits, order, rank
from ance_plugin.records import Hit

type Packed = NDArray[np.uint64 | np.bytes_]
"""Docids, shape (n,), which compare as their strings do.

Up to eight bytes of UTF-8 are the big-endian number that they make, filled up with zeros; where one
docid is longer, all are bytes.
"""

LONGEST_DOCID = 32  # bytes; each takes as many as the longest, and numpy sorts long ones slowly
_NUMBER_BYTES = 8


class PackedHits(Sequence[Hit]):
    """A topic's hits in the order of ``ranking``.

    Args:
        docids: Shape (n,).
        scores: Shape (n,), float64, finite.
    """

    __slots__ = ("docids", "scores")
    __hash__: ClassVar[None] = None  # type: ignore[assignment] # as of a list

    def __init__(self, docids: Packed, scores: NDArray[np.float64]) -> None:
        self.docids = docids
        self.scores = scores

    @override
    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Hit]: ...
    @override
    def __getitem__(self, place: int | slice) -> Hit | Sequence[Hit]:
        if not isinstance(place, slice):
            place = index(place)
            docid = self.docids[place].item()
            if isinstance(docid, int):
                docid = docid.to_bytes(_NUMBER_BYTES).rstrip(b"\0")
            return Hit(docid.decode(), self.scores[place].item())
        if place.step is not None and place.step < 0:
            return list(self)[place]  # in another order, which these never are in
        # Copies, so that a few hits do not keep all of a run.
        return type(self)(self.docids[place].copy(), self.scores[place].copy())

    @override
    def __iter__(self) -> Iterator[Hit]:
        return iter(make_hits(unpack(self.docids), self.scores.tolist()))

    @override
    def __reversed__(self) -> Iterator[Hit]:
        return reversed(list(self))

    @override
    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, list | PackedHits) else NotImplemented

    @override
    def __repr__(self) -> str:
        return repr(list(self))


def docids_of(hits: Sequence[Hit]) -> list[str]:
    """Give the docids of hits."""
    return unpack(hits.docids) if isinstance(hits, PackedHits) else [docid for docid, _ in hits]


def scores_of(hits: Sequence[Hit]) -> list[float]:
    """Give the scores of hits."""
    return hits.scores.tolist() if isinstance(hits, PackedHits) else [score for _, score in hits]


def ranked_docids(hits: Sequence[Hit], depth: int | None = None) -> list[str]:
    """Give the docids of hits by ``ranking.order``, each once.

    Args:
        hits: In any order.
        depth: Docids to give from the top; all of them when None.
    """
    if isinstance(hits, PackedHits):
        first = unpack(hits.docids[:depth])
        if len(set(first)) == len(first):
            return first
    return list(dict.fromkeys(docids_of(order(hits))))[:depth]


def rank_packed(
    docids: Sequence[str] | Packed, scores: ArrayLike, k: int | None = None
) -> Sequence[Hit]:
    """Order documents by the rule and keep the first ``k``, as ``ranking.rank`` does.

    Args:
        docids: One for each score; packed here where they are not.
        scores: Shape (n,); made canonical before they are compared.
        k: Hits to keep, at least 0; all of them when None.

    Returns:
        Packed hits; a list where docids cannot be packed.

    Raises:
        ValueError: A score is not finite, lengths differ, or ``k`` is negative.
    """
    if not isinstance(docids, np.ndarray):
        packed = pack(docids)
        if packed is None:
            return rank(docids, scores, k)
        docids = packed
    values = canonical_scores(scores)
    check_ranking(len(docids), len(values), k)
    best = np.argsort(-values, kind="stable")
    ordered = values[best]
    if (ordered[1:] == ordered[:-1]).any():
        best = np.lexsort((docids, values))[::-1]
    best = best[:k]
    return PackedHits(docids[best], values[best])


def pack(docids: Sequence[str]) -> Packed | None:
    """Pack docids; None where one cannot be: it is too long, or has a NUL or a line feed."""
    if not docids:
        return np.empty(0, np.uint64)
    text = "\n".join(docids)
    if "\0" in text or text.count("\n") >= len(docids):
        return None
    try:
        rows = np.array(text.encode().split(b"\n"), dtype=np.bytes_)
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return None if rows.itemsize > LONGEST_DOCID else _as_numbers(rows)


def pack_padded(docids: Buffer, width: int, num_docids: int) -> Packed:
    """Pack docids that stand one after another.

    Args:
        docids: Their bytes, each filled up to ``width`` with zeros.
        width: At least 1, at most ``LONGEST_DOCID``.
        num_docids: How many there are.
    """
    return _as_numbers(np.frombuffer(docids, f"S{width}", num_docids))


def join(docids: Sequence[Packed]) -> Packed:
    """Put packed docids together; as bytes where some are bytes."""
    if len({of.dtype.kind for of in docids}) > 1:
        docids = [_as_bytes(of) for of in docids]
    return np.concatenate(docids)


def unpack(docids: Packed) -> list[str]:
    """Give docids as strings."""
    rows = np.ascontiguousarray(_as_bytes(docids))
    lines = np.full((len(rows), rows.itemsize + 1), b"\n", dtype="S1")
    lines[:, :-1] = rows.view("S1").reshape(len(rows), rows.itemsize)
    return lines.tobytes().translate(None, b"\0").decode().split("\n")[:-1]


def _as_numbers(rows: NDArray[np.bytes_]) -> Packed:
    """Make numbers of bytes, where these are few enough."""
    if rows.itemsize > _NUMBER_BYTES:
        return rows
    return rows.astype(f"S{_NUMBER_BYTES}").view(">u8").astype(np.uint64)


def _as_bytes(docids: Packed) -> NDArray[np.bytes_]:
    if docids.dtype == np.uint64:
        return docids.astype(">u8").view(f"S{_NUMBER_BYTES}")
    return docids.astype(np.bytes_, copy=False)

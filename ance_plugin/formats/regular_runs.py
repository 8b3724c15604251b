"""Read a run whose lines are all regular, by columns, in a fraction of the time.

Regular is what every toolkit writes: ASCII, six columns with one space (or one tab) between,
finite scores, no document twice in a topic. Anything else gives None, and ``formats/runs.py`` reads
line by line, which also names what is wrong and where.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin.packed_hits import LONGEST_DOCID, Packed, PackedHits, join, pack_padded
from ance_plugin.ranking import make_hits, order
from ance_plugin.records import Run, no_collection

_COLUMNS = ("qid", "Q0", "docid", "rank", "score", "tag")
_SPACE, _TAB = b" ", b"\t"
# What else ends a column or a line for Python or for Arrow, and what Arrow may take as a quote.
_IRREGULAR = (b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\0")
_LEAST_BYTES = 1 << 16  # below, loading Arrow takes longer than reading
_BYTES_AT_ONCE = 1 << 22
_HITS_TO_PACK = 16  # of a topic; fewer take longer as arrays


def read_regular_run(path: Path) -> Run | None:
    """Read a TREC run if all its lines are regular, with the result that reading by line gives.

    Args:
        path: A file, gzipped where its name says so.

    Returns:
        qid -> hits in the order of ``ranking``, packed unless topics have few or docids are long;
        topics in the order of their first line. None where a line is not regular, or the file is
        small.

    Raises:
        FileNotFoundError: There is no such file.
    """
    data = _read_bytes(path)
    if data is None or len(data) < _LEAST_BYTES or not _looks_regular(data):
        return None
    columns = _read_columns(data, _TAB if _TAB in data else _SPACE)
    if columns is None:
        return None
    del data
    qids, docids, scores = columns
    lines: dict[str, list[slice]] = {}
    for qid, stretch in _stretches(qids):
        lines.setdefault(qid, []).append(stretch)
    packed = _pack(docids) if len(scores) >= _HITS_TO_PACK * len(lines) else None
    if packed is not None:
        return _arrange(lines, packed, scores)
    with no_collection():
        return _arrange_objects(lines, docids.to_pylist(), scores.tolist())


def _read_bytes(path: Path) -> bytes | None:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None


def _looks_regular(data: bytes) -> bool:
    separators = (_SPACE in data) + (_TAB in data)
    is_plain = data.isascii() and not any(byte in data for byte in _IRREGULAR)
    return separators == 1 and is_plain and not _has_empty_column(data)


def _has_empty_column(data: bytes) -> bool:
    """Say whether a separator stands at a line's start or end, or beside another one."""
    if data[:1] in (_SPACE, _TAB) or data[-1:] in (_SPACE, _TAB):
        return True
    values = np.frombuffer(data, np.uint8)
    for start in range(0, len(values), _BYTES_AT_ONCE):
        is_white = values[start : start + _BYTES_AT_ONCE + 1] <= ord(_SPACE)
        if (is_white[1:] & is_white[:-1]).any():
            return True
    return False


def _read_columns(data: bytes, separator: bytes) -> tuple[Any, Any, NDArray[np.float64]] | None:
    """Read qids and docids (Arrow's) and scores; None where a value is not as it must be."""
    import pyarrow as arrow
    from pyarrow import compute, csv

    types = {"qid": arrow.string(), "docid": arrow.string(), "score": arrow.float64()}
    try:
        table = csv.read_csv(
            arrow.BufferReader(data),
            read_options=csv.ReadOptions(column_names=_COLUMNS, block_size=_BYTES_AT_ONCE),
            parse_options=csv.ParseOptions(delimiter=separator.decode(), quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[]
            ),
        )
    except arrow.ArrowInvalid:
        return None
    if not compute.all(compute.is_finite(table["score"])).as_py():
        return None
    scores = [np.from_dlpack(chunk) for chunk in table["score"].chunks]  # to_numpy loads pandas
    return table["qid"], table["docid"], np.concatenate(scores)


def _pack(docids: Any) -> Packed | None:  # noqa: ANN401 - Arrow's array
    """Pack docids; None where one is too long."""
    from pyarrow import compute

    width = compute.max(compute.binary_length(docids)).as_py()
    if width > LONGEST_DOCID:
        return None
    return join(
        [
            pack_padded(
                compute.ascii_rpad(chunk, width=width, padding="\0").buffers()[2],
                width,
                len(chunk),
            )
            for chunk in docids.chunks
        ]
    )


def _stretches(qids: Any) -> Iterator[tuple[str, slice]]:  # noqa: ANN401 - Arrow's array
    """Yield a topic and the lines of it that stand together."""
    from pyarrow import compute

    start = 0
    for chunk in qids.chunks:
        encoded = compute.run_end_encode(chunk)
        first = 0
        for qid, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
            yield qid, slice(start + first, start + end)
            first = end
        start += len(chunk)


def _arrange(
    lines: Mapping[str, list[slice]], docids: Packed, scores: NDArray[np.float64]
) -> Run | None:
    """Bring each topic's lines together, in order; None where one has a document twice."""
    run = {}
    for qid, parts in lines.items():
        own, values = docids[parts[0]], scores[parts[0]]
        if len(parts) > 1:
            own = join([docids[part] for part in parts])
            values = np.concatenate([scores[part] for part in parts])
        if (values[1:] >= values[:-1]).any():
            best = np.lexsort((own, values))[::-1]
            own, values = own[best], values[best]
        ascending = np.sort(own)
        if (ascending[1:] == ascending[:-1]).any():
            return None
        run[qid] = PackedHits(own, values)
    return run


def _arrange_objects(
    lines: Mapping[str, list[slice]], docids: list[str], scores: list[float]
) -> Run | None:
    """Do as ``_arrange`` does, with hits that are objects."""
    run = {}
    for qid, parts in lines.items():
        hits = [hit for part in parts for hit in make_hits(docids[part], scores[part])]
        if len({hit[0] for hit in hits}) < len(hits):
            return None
        run[qid] = order(hits)
    return run

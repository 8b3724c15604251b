"""Read a run whose lines are all regular, by columns, in a fraction of the time.

Regular is what every toolkit writes: ASCII, six columns with one space (or one tab) between,
finite scores, no document twice in a topic. Anything else gives None, and ``formats/runs.py`` reads
line by line, which also names what is wrong and where.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ance_plugin.ranking import make_hits, order
from ance_plugin.records import Run, no_collection

_COLUMNS = ("qid", "Q0", "docid", "rank", "score", "tag")
_SPACE, _TAB = b" ", b"\t"
# What else ends a column or a line for Python or for Arrow, and what Arrow may take as a quote.
_IRREGULAR = (b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\0")
_LEAST_BYTES = 1 << 16  # below, loading Arrow takes longer than reading


def read_regular_run(path: Path) -> Run | None:
    """Read a TREC run if all its lines are regular, with the result that reading by line gives.

    Args:
        path: A file, gzipped where its name says so.

    Returns:
        qid -> hits in the order of ``ranking``, topics in the order of their first line; None where
        a line is not regular, or the file is small.

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
    with no_collection():
        return _build(*columns)


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
    return separators == 1 and is_plain


def _read_columns(data: bytes, separator: bytes) -> tuple[Any, Any, Any] | None:
    """Read qids, docids and scores as Arrow's arrays; None where a value is not as it must be."""
    import pyarrow as arrow
    from pyarrow import compute, csv

    types = dict.fromkeys(_COLUMNS, arrow.string()) | {"score": arrow.float64()}
    try:
        table = csv.read_csv(
            arrow.BufferReader(data),
            read_options=csv.ReadOptions(column_names=_COLUMNS, block_size=1 << 24),
            parse_options=csv.ParseOptions(delimiter=separator.decode(), quote_char=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except arrow.ArrowInvalid:
        return None
    for name in _COLUMNS:
        if name != "score" and compute.any(compute.equal(table[name], "")).as_py():
            return None
    if not compute.all(compute.is_finite(table["score"])).as_py():
        return None
    return table["qid"], table["docid"], table["score"]


def _build(qids: Any, docids: Any, scores: Any) -> Run | None:  # noqa: ANN401 - Arrow's
    """Make hits of the columns; None where a topic has a document twice."""
    run: Run = {}
    unordered = set()
    values = scores.to_numpy()
    descends = np.diff(values) < 0
    for qid, start, end in _stretches(qids):
        hits = make_hits(docids[start:end].to_pylist(), values[start:end].tolist())
        if qid in run or not descends[start : end - 1].all():
            unordered.add(qid)
        run.setdefault(qid, []).extend(hits)
    for qid, hits in run.items():
        if len({hit[0] for hit in hits}) < len(hits):
            return None
        if qid in unordered:
            run[qid] = order(hits)
    return run


def _stretches(qids: Any) -> Iterator[tuple[str, int, int]]:  # noqa: ANN401 - Arrow's array
    """Yield (qid, first line, line after the last) of lines of one topic that stand together."""
    from pyarrow import compute

    start = 0
    for chunk in qids.chunks:
        encoded = compute.run_end_encode(chunk)
        first = 0
        for qid, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
            yield qid, start + first, start + end
            first = end
        start += len(chunk)

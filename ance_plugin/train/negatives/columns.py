"""Rows of negatives as Arrow's columns, and back."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin.errors import FormatError
from ance_plugin.train.negatives.rows import PARALLEL, REASONS, TopicNegatives

if TYPE_CHECKING:
    import pyarrow as pa

_NULLABLE = ("teacher_scores", "positive_teacher_scores")
_FULL = ("positives", "negatives", "sources", *_NULLABLE)  # no element of them is missing
_OBJECTS_AT_ONCE = 512


def names() -> tuple[str, ...]:
    """Name the columns, in order."""
    return tuple(column.name for column in fields(TopicNegatives))


def schema() -> "pa.Schema":
    """Make the table's schema."""
    import pyarrow as pa

    texts, numbers = pa.list_(pa.string()), pa.list_(pa.float32())
    special = {
        "qid": pa.string(),
        "ranks": pa.list_(pa.int32()),
        "num_dropped": pa.struct([(reason, pa.int32()) for reason in sorted(REASONS)]),
        "round": pa.int32(),
        "step": pa.int64(),
        **dict.fromkeys(("positives", "negatives", "sources"), texts),
    }
    return pa.schema([(name, special.get(name, numbers)) for name in names()])


def to_batch(rows: Iterable[TopicNegatives]) -> "pa.RecordBatch":
    """Turn rows into columns; ValueError where a reason is not in ``REASONS``."""
    import pyarrow as pa

    rows = tuple(rows)
    for row in rows:
        unknown = sorted(row.num_dropped.keys() - set(REASONS))
        if unknown:
            raise ValueError(f"num_dropped is for {', '.join(REASONS)}, found {unknown[0]!r}")
    columns = [pa.array(_list_values(rows, column.name), column.type) for column in schema()]
    return pa.RecordBatch.from_arrays(columns, schema=schema())


def to_rows(batch: "pa.RecordBatch") -> Iterator[TopicNegatives]:
    """Yield a batch's rows, a few hundred of them as Python objects at a time."""
    for start in range(0, batch.num_rows, _OBJECTS_AT_ONCE):
        part = batch.slice(start, _OBJECTS_AT_ONCE)
        columns = [part.column(name).to_pylist() for name in names()]
        for values in zip(*columns, strict=True):
            row: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in zip(names(), values, strict=True)
            }
            counts = row.pop("num_dropped").items()
            yield TopicNegatives(**row, num_dropped={name: n for name, n in counts if n})


def check_batch(batch: "pa.RecordBatch", path: Path) -> None:
    """Raise FormatError where a value is missing, or columns differ in length."""
    import pyarrow.compute as pc

    for name in names():
        column = batch.column(name)
        has_missing = column.null_count > 0 and name not in _NULLABLE
        if has_missing or (name in _FULL and column.flatten().null_count > 0):
            raise FormatError(f"{path}: a topic has no value where {name!r} needs one")
        if name in PARALLEL:
            other = batch.column(PARALLEL[name])
            is_equal = pc.equal(pc.list_value_length(column), pc.list_value_length(other))
            if not pc.all(is_equal, min_count=0).as_py():
                problem = f"{name!r} does not have a value for each of {PARALLEL[name]!r}"
                raise FormatError(f"{path}: a topic's {problem}")


def _list_values(rows: tuple[TopicNegatives, ...], name: str) -> list[Any]:
    values = [getattr(row, name) for row in rows]
    if name in ("scores", "positive_scores"):
        return [[None if score != score else score for score in scores] for scores in values]
    if name == "num_dropped":
        return [{reason: dropped.get(reason, 0) for reason in REASONS} for dropped in values]
    return values

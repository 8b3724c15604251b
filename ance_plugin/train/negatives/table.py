"""The table of negatives: one row a topic, in one Parquet file that any tool reads."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, batched, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, FormatError, MismatchError, first_line
from ance_plugin.train.negatives.columns import check_batch, names, schema, to_batch, to_rows
from ance_plugin.train.negatives.rows import REASONS, TopicNegatives

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "KIND",
    "REASONS",
    "TABLE",
    "Negatives",
    "TopicNegatives",
    "read_negatives",
    "require_collection",
    "write_negatives",
    "write_table",
]

KIND = "negatives"
TABLE = "negatives.parquet"
_CONTAINERS = (KIND, "refresh")
_ROWS_AT_ONCE = 4096  # in memory as Python objects, and in a row group


class Negatives:
    """A table of negatives in memory, as columns; a topic's row is made when it is asked for.

    Args:
        metadata: Of the artifact; empty for a bare file.
        batches: The rows, with the columns of the table, checked.
        qids: Of all rows, in order, no two the same.
    """

    def __init__(
        self, metadata: dict[str, Any], batches: "list[pa.RecordBatch]", qids: list[str]
    ) -> None:
        self.metadata = metadata
        self.qids = qids
        self._batches = batches
        self._rows = {qid: row for row, qid in enumerate(qids)}
        self._starts = list(accumulate((len(batch) for batch in batches), initial=0))

    def __len__(self) -> int:
        """Give the number of topics."""
        return len(self.qids)

    def __contains__(self, qid: object) -> bool:
        """Say whether a topic has a row."""
        return qid in self._rows

    def __iter__(self) -> Iterator[TopicNegatives]:
        """Yield the rows in the order of the table."""
        for batch in self._batches:
            yield from to_rows(batch)

    def by_qid(self, qid: str) -> TopicNegatives:
        """Give a topic's row; KeyError where it has none."""
        row = self._rows[qid]
        number = bisect_right(self._starts, row) - 1
        return next(to_rows(self._batches[number].slice(row - self._starts[number], 1)))


def write_table(directory: Path, rows: Iterable[TopicNegatives]) -> dict[str, Any]:
    """Write ``negatives.parquet`` into a directory that an artifact grows in, batch by batch.

    Args:
        directory: Where to; it exists.
        rows: One for each topic.

    Returns:
        What metadata may say of the table: number of topics, negatives by source, dropped by
        reason.

    Raises:
        ValueError: There are no rows, a topic is there twice, or a reason is not in ``REASONS``.
    """
    import pyarrow.parquet as pq

    parts = batched(rows, _ROWS_AT_ONCE)
    first = next(parts, None)  # before the file is there: it may fail
    if first is None:
        raise ValueError(f"{directory / TABLE}: there are no topics to write")
    qids = set[str]()
    sources: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
    with pq.ParquetWriter(directory / TABLE, schema(), **options) as writer:
        for part in chain([first], parts):
            writer.write_batch(to_batch(part))
            for row in part:
                if row.qid in qids:
                    raise ValueError(f"topic {row.qid} has two rows of negatives, expected one")
                qids.add(row.qid)
                sources.update(row.sources)
                dropped.update(row.num_dropped)
    return {
        "num_topics": len(qids),
        "num_negatives": dict(sorted(sources.items())),
        "num_dropped": {reason: dropped[reason] for reason in REASONS if dropped[reason]},
    }


def write_negatives(
    output: Path,
    rows: Iterable[TopicNegatives],
    provenance: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write a table as an artifact of its own.

    Args:
        output: The directory to make.
        rows: One for each topic.
        provenance: How they were made; goes into the metadata, with what ``write_table`` says.
        overwrite: Replace a directory that stands there.

    Raises:
        ArtifactError: ``output`` exists, or another process is writing it.
        ValueError: As for ``write_table``.
    """
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        summary = write_table(staging, rows)
        artifacts.seal(staging, KIND, {**provenance, **summary})


def read_negatives(path: Path) -> Negatives:
    """Read a table into memory: about 30 bytes a negative.

    Args:
        path: What ``write_negatives`` made, a refresh that mined negatives, or the Parquet file.

    Returns:
        The table.

    Raises:
        FileNotFoundError: There is no such file or directory.
        ArtifactError: The directory is something else, damaged, or holds no negatives.
        FormatError: The file is no table of negatives, or damaged.
    """
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or directory; expected negatives")
        return _read(path, {})
    rounds = sorted(path.glob("refreshes/step-*[0-9]"))
    if rounds:
        raise ArtifactError(
            f"{path}: is a training run with {len(rounds)} rounds of negatives; name one of them, "
            f"such as {rounds[-1]}"
        )
    kind: Any = KIND
    if (path / artifacts.METADATA).is_file():
        kind = artifacts.read_json(path / artifacts.METADATA).get("kind")
    metadata = artifacts.open_sealed(path, kind if kind in _CONTAINERS else KIND)
    if not (path / TABLE).is_file():
        raise ArtifactError(f"{path}: is a {kind} that holds no {TABLE}; it mined no negatives")
    # A Parquet file's footer has no checksum of its own.
    stated = metadata["files"].get(TABLE, {}).get("sha256")
    if artifacts.sha256_file(path / TABLE) != stated:
        raise ArtifactError(f"{path / TABLE}: content has changed; make the {kind} again")
    return _read(path / TABLE, metadata)


def require_collection(negatives: Negatives, collection: Mapping[str, Any], *, path: Path) -> None:
    """Raise MismatchError where a table says that it was mined from other documents.

    Docids alone do not tell: many collections number theirs from 0 or 1.

    Args:
        negatives: The table; a bare Parquet file says nothing.
        collection: As ``Collection.describe`` gives it.
        path: The table's, for the message.
    """
    mined_from = negatives.metadata.get("collection")
    if isinstance(mined_from, dict) and mined_from.get("sha256") != collection["sha256"]:
        raise MismatchError(
            f"{path}: was mined from {mined_from.get('name')}, {mined_from.get('num_documents')} "
            f"documents, which is not what {collection['name']} holds now "
            f"({collection['num_documents']} documents); mine negatives from this collection"
        )


def _read(path: Path, metadata: dict[str, Any]) -> Negatives:
    import pyarrow as pa

    with path.open("rb") as file:
        try:
            batches = list(_read_batches(file, path))
        except (pa.ArrowException, OSError) as err:
            problem = f"is no table of negatives, or damaged ({first_line(err)})"
            raise FormatError(f"{path}: {problem}") from err
    qids = [qid for batch in batches for qid in batch.column("qid").to_pylist()]
    if not qids:
        raise FormatError(f"{path}: has no topics")
    if len(set(qids)) != len(qids):
        raise FormatError(f"{path}: topic {Counter(qids).most_common(1)[0][0]} is there twice")
    return Negatives(metadata, batches, qids)


def _read_batches(file: BinaryIO, path: Path) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(names())
    with pq.ParquetFile(file, page_checksum_verification=True) as source:
        missing = [name for name in columns if name not in source.schema_arrow.names]
        if missing:
            raise FormatError(f"{path}: is no table of negatives, it has no {missing[0]!r}")
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, columns=columns).select(columns).cast(schema())
            for batch in table.to_batches():
                batch.validate(full=True)
                check_batch(batch, path)
                # One buffer a batch: many small ones that stay, between large ones that go, cost
                # 367 MB where this takes 253 (200,000 topics of 20, Arrow's default allocator).
                yield pa.ipc.read_record_batch(batch.serialize(), batch.schema)

"""What a query costs each system: from a latency report, else from what runs recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import read_json
from ance_plugin.errors import ArtifactError, FormatError
from ance_plugin.formats.runs import manifest_path
from evaluation.comparison import Cost
from evaluation.notes import find_inputs


def read_latency(path: Path, tags: Mapping[str, str], runs: Mapping[str, Path]) -> list[Cost]:
    """Read what ``evaluation latency`` measured of the systems that are compared.

    Args:
        path: Its ``latency.json``.
        tags: System -> tag. A system's rows are those of its name, else of its tag.
        runs: System -> run. Where the file beside it says how deep it was reranked, rows of other
            depths are passed over; of what is left the smallest batch counts.

    Returns:
        Median milliseconds a query, for the systems it has.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: It is no latency report, or has none of the systems.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; write it with evaluation latency")
    rows = _check_rows(path, read_json(path).get("systems"))
    costs = []
    for name, tag in tags.items():
        own = [row for row in rows if row["name"] == name]
        own = own or [row for row in rows if row["name"] == tag]
        depth = _read_manifest(runs[name]).get("rerank_depth")
        own = [row for row in own if depth is None or row.get("depth") == depth]
        if own:
            row = min(own, key=lambda row: row["batch_size"])
            costs.append(Cost(name, float(row["p50_ms"]), _describe(row)))
    if not costs:
        measured = ", ".join(dict.fromkeys(row["name"] for row in rows)) or "none"
        compared = ", ".join(tags)
        raise FormatError(f"{path}: has none of the systems {compared}; it has {measured}")
    return costs


def read_run_seconds(paths: Mapping[str, Path]) -> list[Cost]:
    """Divide the seconds that runs recorded by their topics, those they were made from included.

    Args:
        paths: System -> run. One without a record, or made from a run without one, is left out.

    Returns:
        Milliseconds a topic, batched and with whatever the command started first.
    """
    source = "seconds in RUN.json over topics, batched"
    found = [(name, _sum_seconds(path)) for name, path in paths.items()]
    return [Cost(name, 1000 * seconds, source) for name, seconds in found if seconds]


def find_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other is better than: cheaper at no less effect, or the reverse.

    Args:
        points: Cost (less is better) and effect (more is better) of each.

    Returns:
        Positions in ``points``, cheapest first.
    """
    front: list[int] = []
    for place in sorted(
        range(len(points)), key=lambda place: (points[place][0], -points[place][1])
    ):
        if not front or points[place][1] > points[front[-1]][1]:
            front.append(place)
    return front


def _check_rows(path: Path, rows: object) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError(f'{path}: expected {{"systems": [...]}}, as evaluation latency writes it')
    for number, row in enumerate(rows):
        p50 = row.get("p50_ms")
        if not isinstance(row.get("name"), str) or not isinstance(row.get("batch_size"), int):
            raise FormatError(f'{path}: systems[{number}] needs "name" and "batch_size"')
        if isinstance(p50, bool) or not isinstance(p50, int | float) or not 0 < p50 < float("inf"):
            raise FormatError(
                f"{path}: systems[{number}] ({row['name']}): p50_ms must be above zero, "
                f"found {p50!r}"
            )
    return rows


def _read_manifest(run: Path) -> dict[str, Any]:
    """Read the file beside a run; empty where there is none that can be read."""
    try:
        return read_json(manifest_path(run))
    except (FileNotFoundError, ArtifactError):
        return {}


def _describe(row: dict[str, Any]) -> str:
    depth = f", depth {row['depth']}" if row.get("depth") is not None else ""
    return f"median of evaluation latency, {row['batch_size']} a batch{depth}"


def _sum_seconds(path: Path) -> float | None:
    """Return the seconds a topic of a run and of those it was made from; None if one is unknown."""
    manifest = _read_manifest(path)
    seconds, topics = manifest.get("seconds"), manifest.get("num_topics")
    if not isinstance(seconds, int | float) or not isinstance(topics, int) or topics < 1:
        return None
    recorded = manifest.get("runs")
    num_inputs = len(recorded) if isinstance(recorded, list) else int("run" in manifest)
    inputs = [_sum_seconds(run) for run in find_inputs(path)]
    known = [each for each in inputs if each is not None]
    if len(known) < num_inputs:
        return None
    return seconds / topics + sum(known)

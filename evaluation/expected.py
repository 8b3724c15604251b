"""Published figures, and which of them stand beside a run: those of the very same setting.

Each file of ``expected/`` has groups of figures of one system, source and setting. The setting
names everything that the source does; a run of ours must agree in all of it (BM25's k1 and b, what
of a document was indexed, encoder, depths) or the figure is not printed beside it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import read_json
from ance_plugin.errors import FormatError
from ance_plugin.measures import check_measures

EXPECTED_DIR = Path(__file__).parent / "expected"
_ANSWERS = re.compile(r"answer@[1-9]\d*")
_GROUP = ("system", "source", "setting", "tolerance", "values")


@dataclass(frozen=True, slots=True)
class ExpectedFigure:
    """A published value of a measure.

    Attributes:
        benchmark: Name in the table of benchmarks.
        system: What its source calls the system; beside a run of ours, that run's name.
        measure: As ``measures`` names it, or ``answer@k`` for answers in the top k.
        value: Between 0 and 1.
        tolerance: How far a run of the same setting may be from it, above 0.
        source: Where it was published.
        conditions: The setting, name by name.
        note: What else a reader should know.
    """

    benchmark: str
    system: str
    measure: str
    value: float
    tolerance: float
    source: str
    conditions: Mapping[str, Any]
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of range, or without source or setting."""
        if not _ANSWERS.fullmatch(self.measure):
            check_measures([self.measure])
        for name in ("value", "tolerance"):
            number = getattr(self, name)
            if not isinstance(number, float) or not 0 <= number <= 1:
                raise ValueError(f"{name} must be a number from 0 to 1, found {number!r}")
        if self.tolerance == 0:
            raise ValueError("tolerance must be above 0")
        for name in ("benchmark", "system", "source"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise ValueError(f"{name} must be a text, found {getattr(self, name)!r}")
        if not isinstance(self.conditions, Mapping) or "kind" not in self.conditions:
            raise ValueError(f"setting must have a kind, found {self.conditions!r}")

    @property
    def setting(self) -> str:
        """Say the setting in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.conditions.items())

    def fits(self, setting: Mapping[str, Any]) -> bool:
        """Say whether a run's setting agrees in all that the figure's names."""
        missing = object()
        return all(setting.get(name, missing) == value for name, value in self.conditions.items())

    def holds(self, value: float) -> bool:
        """Say whether a value is within the tolerance; values count to four digits."""
        return abs(round(value, 4) - self.value) <= self.tolerance + 1e-9


def read_figures(folder: Path = EXPECTED_DIR) -> list[ExpectedFigure]:
    """Read all published figures, file by file.

    Args:
        folder: Of JSON files.

    Returns:
        The figures in the order of the files.

    Raises:
        FormatError: A file is not of this form; the message names the group.
        ArtifactError: A file is no JSON object.
    """
    return [figure for path in sorted(folder.glob("*.json")) for figure in _read_file(path)]


def match_figures(
    benchmark: str,
    settings: Mapping[str, Mapping[str, Any]],
    figures: Iterable[ExpectedFigure] | None = None,
) -> list[ExpectedFigure]:
    """Find the published figures of the settings that our systems have.

    Args:
        benchmark: Its name.
        settings: Our system -> its setting.
        figures: Where to look; all that are published when None.

    Returns:
        The figures, each with the name of our system in place of its own.
    """
    found = list(_all_figures() if figures is None else figures)
    return [
        replace(figure, system=system)
        for system, setting in settings.items()
        for figure in found
        if figure.benchmark == benchmark and figure.fits(setting)
    ]


@cache
def _all_figures() -> tuple[ExpectedFigure, ...]:
    return tuple(read_figures())


def _read_file(path: Path) -> Iterator[ExpectedFigure]:
    groups = read_json(path).get("figures")
    if not isinstance(groups, list):
        raise FormatError(f'{path}: expected {{"figures": [...]}}')
    for number, group in enumerate(groups, start=1):
        where = f"{path}: group {number}"
        unknown = set(group) - {*_GROUP, "note"}
        missing = set(_GROUP) - set(group)
        if unknown or missing:
            raise FormatError(f"{where}: expected {', '.join(_GROUP)}, found {', '.join(group)}")
        try:
            yield from _read_group(group)
        except (AttributeError, TypeError, ValueError) as err:
            raise FormatError(f"{where} ({group['system']}): {err}") from err


def _read_group(group: Mapping[str, Any]) -> Iterator[ExpectedFigure]:
    for benchmark, values in group["values"].items():
        for measure, value in values.items():
            yield ExpectedFigure(
                benchmark=benchmark,
                system=group["system"],
                measure=measure,
                value=value,
                tolerance=group["tolerance"],
                source=group["source"],
                conditions=group["setting"],
                note=group.get("note", ""),
            )

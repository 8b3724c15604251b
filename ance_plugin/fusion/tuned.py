"""The file that tuning writes and fusing reads, and the guard it carries."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import read_json, write_json
from ance_plugin.errors import ArtifactError, LeakError
from ance_plugin.fusion.methods import METHODS, FusionParams
from ance_plugin.fusion.tune import Trial, Tuning
from ance_plugin.version import describe_versions

logger = logging.getLogger(__name__)

KIND = "fusion-params"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Tuned:
    """Tuned settings, and what they were tuned on.

    Attributes:
        params: Method and settings.
        qrels: Name of the judgments.
        qids: The topics.
        measure: What was maximised.
        value: Its mean on these topics.
        tags: Tags of the runs, in their order.
        kinds: What each run is (``bm25``, ``dense``, ...), None where that is not known.
    """

    params: FusionParams
    qrels: str
    qids: tuple[str, ...]
    measure: str
    value: float
    tags: tuple[str, ...]
    kinds: tuple[str | None, ...] = ()

    def check_leak(self, qids: Iterable[str], *, allow_leak: bool) -> None:
        """Raise LeakError if any of ``qids`` was tuned on; warn where that is allowed."""
        num_leaked = len(set(self.qids) & set(qids))
        if not num_leaked:
            return
        problem = f"{num_leaked} topics of the runs are among the {len(self.qids)} tuned on"
        if not allow_leak:
            raise LeakError(
                f"{problem} ({self.qrels}): their results would be too good; tune on other topics, "
                "or give --allow-leak if these only share their ids or you want it so"
            )
        logger.warning("%s (%s): their results are too good", problem, self.qrels)

    def check_sides(self, tags: Sequence[str]) -> None:
        """Raise ValueError if the same runs are given in another order and the order matters."""
        is_reordered = sorted(tags) == sorted(self.tags) and tuple(tags) != self.tags
        if is_reordered and METHODS[self.params.method].keeps_sides:
            raise ValueError(
                f"{self.params.method} was tuned on runs in the order {' '.join(self.tags)}, "
                f"found {' '.join(tags)}; give --runs in that order"
            )

    def check_kinds(self, kinds: Sequence[str]) -> None:
        """Raise ValueError if runs of these kinds were tuned in another order that matters."""
        is_reordered = None not in self.kinds and sorted(map(str, self.kinds)) == sorted(kinds)
        if (
            is_reordered
            and list(self.kinds) != list(kinds)
            and METHODS[self.params.method].keeps_sides
        ):
            raise ValueError(
                f"{self.params.method} was tuned on {' and '.join(map(str, self.kinds))} in this "
                f"order, hybrid search fuses {' and '.join(kinds)}; tune again with --runs in that "
                "order"
            )

    def to_json(self) -> dict[str, Any]:
        """Say what the settings were tuned on, for the manifest of a fused run."""
        return {
            "qrels": self.qrels,
            "qids": list(self.qids),
            "measure": self.measure,
            "value": self.value,
        }


def write_tuned(
    path: Path, tuning: Tuning, *, qrels: str, runs: Sequence[Mapping[str, Any]]
) -> None:
    """Write what tuning found, whole or not at all.

    Args:
        path: The JSON file.
        tuning: What was found.
        qrels: Name of the judgments, as it was given.
        runs: Path, tag and SHA-256 of each run.
    """
    singles = [{**run, "value": value} for run, value in zip(runs, tuning.singles, strict=True)]
    content = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "created_by": describe_versions("ranx", "numpy"),
        "params": tuning.best.params.to_json(),
        "measure": tuning.measure,
        "value": tuning.best.value,
        "runs": singles,
        "grid": [describe_trial(trial) for trial in tuning.trials],
        "qrels": qrels,
        "qids": tuning.qids,
    }
    write_json(path, content)


def refuse_other(path: Path) -> None:
    """Raise ArtifactError where ``path`` is a file that tuning did not write, as a run's manifest.

    What is no JSON is not looked into.
    """
    if path.is_file() and path.suffix == ".json" and read_json(path).get("kind") != KIND:
        raise ArtifactError(
            f'{path}: is there already, and not from "python -m ance_plugin.fusion tune"; name '
            "another --output"
        )


def read_tuned(path: Path) -> Tuned:
    """Read what ``write_tuned`` wrote.

    A file that is no such file, damaged, or from a newer version is an ArtifactError.
    """
    content = read_json(path)
    if content.get("kind") != KIND:
        raise ArtifactError(
            f'{path}: was not written by "python -m ance_plugin.fusion tune"; '
            f"its kind is {content.get('kind')!r}, expected {KIND!r}"
        )
    version = content.get("format_version", 0)
    if not isinstance(version, int):
        raise ArtifactError(f"{path}: is damaged (its format version is no integer); tune again")
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: has format version {version}, this ance-plugin reads up to "
            f"{FORMAT_VERSION}; upgrade it"
        )
    try:
        return Tuned(
            params=FusionParams.from_json(content["params"]),
            qrels=content["qrels"],
            qids=tuple(content["qids"]),
            measure=content["measure"],
            value=content["value"],
            tags=tuple(run["tag"] for run in content["runs"]),
            kinds=tuple(run.get("kind") for run in content["runs"]),
        )
    except (KeyError, TypeError, ValueError) as err:
        raise ArtifactError(f"{path}: is damaged ({err}); tune again") from err


def describe_trial(trial: Trial) -> dict[str, Any]:
    """Give a trial's settings and value, without the norm and depth that all trials share."""
    return {"settings": trial.params.settings(), "value": trial.value}


def format_report(tuning: Tuning, names: Sequence[str]) -> str:
    """Say in a few lines what won, how flat it is around there, and what each run has alone."""
    best, measure = tuning.best, tuning.measure
    lines = [
        f"{best.params.method} on {len(tuning.qids)} topics, {len(tuning.trials)} settings tried",
        f"  best {measure} = {best.value:.4f} with {_format_settings(best)}",
    ]
    lines += [
        f"  near {measure} = {trial.value:.4f} with {_format_settings(trial)}"
        for trial in _find_neighbours(tuning)
    ]
    pairs = list(zip(tuning.singles, names, strict=True))
    lines += [f"  alone {measure} = {value:.4f} {name}" for value, name in pairs]
    value, name = max(pairs, key=lambda pair: pair[0])  # of equal ones the first
    if value >= best.value:
        lines.append(f"  fusion does not win: {name} alone has {value:.4f}")
    return "\n".join(lines)


def _find_neighbours(tuning: Tuning) -> list[Trial]:
    """Find the trials with the next smaller and next larger setting, all else equal."""
    best = tuning.best
    same = [trial for trial in tuning.trials if _switches(trial) == _switches(best)]
    same.sort(key=_position)
    place = same.index(best)
    return same[max(place - 1, 0) : place] + same[place + 1 : place + 2]


def _switches(trial: Trial) -> tuple[bool, bool]:
    return trial.params.normalization, trial.params.weight_on_dense


def _position(trial: Trial) -> tuple[float, ...]:
    return tuple(trial.params.numbers.values()) + trial.params.weights


def _format_settings(trial: Trial) -> str:
    return json.dumps(trial.params.settings()) if trial.params.settings() else "nothing to set"

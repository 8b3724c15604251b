"""Compare runs on the same topics: values per topic, means, and tests against a baseline."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ance_plugin import measures
from ance_plugin.artifacts import sha256_file
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run, read_tag
from ance_plugin.records import Qrels, Run
from evaluation import notes
from evaluation.significance import Correction, Difference, TestMethod, compare_to_baseline

logger = logging.getLogger(__name__)

_SUFFIXES = {".trec", ".txt", ".run", ".res", ".tsv"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure and how to test; an unknown measure is a ``ValueError`` at once."""

    measures: tuple[str, ...] = measures.DEFAULT_MEASURES
    test: TestMethod = "student"
    correction: Correction = "holm"
    alpha: float = 0.05
    permutations: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        measures.check_measures(self.measures)
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, found {self.alpha}")
        if self.permutations < 1:
            raise ValueError(f"permutations must be at least 1, found {self.permutations}")


@dataclass(frozen=True, slots=True)
class System:
    """A run that is compared; it is named by its file.

    ``num_missing`` counts topics of the qrels that the run lacks, ``num_unjudged`` topics of the
    run that the qrels lack.
    """

    name: str
    tag: str
    path: str
    sha256: str
    num_missing: int
    num_unjudged: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything a report says.

    ``values`` is system -> measure -> qid -> value, and ``differences`` is system -> measure -> the
    difference to the baseline: empty without one, and never holding the baseline itself.
    """

    qrels: str
    qrels_sha256: str | None
    num_topics: int
    num_without_relevant: int
    settings: Settings
    baseline: str | None
    systems: tuple[System, ...]
    values: dict[str, dict[str, dict[str, float]]]
    differences: dict[str, dict[str, Difference]]
    notes: tuple[str, ...]
    versions: dict[str, str]

    def mean(self, system: str, measure: str) -> float:
        """Average a measure over all topics of the qrels."""
        return math.fsum(self.values[system][measure].values()) / self.num_topics

    def is_significant(self, system: str, measure: str) -> bool:
        """Say whether a system differs from the baseline at ``alpha`` after the correction."""
        difference = self.differences.get(system, {}).get(measure)
        return difference is not None and difference.p_corrected < self.settings.alpha


def compare_runs(
    qrels: str, paths: Sequence[Path], *, settings: Settings, baseline: str | None = None
) -> Comparison:
    """Measure runs on the topics of the qrels, and test them against a baseline if one is named.

    Args:
        qrels: A qrels file or an ir-datasets id.
        paths: TREC runs, each of its own file name.
        settings: What to measure and how to test.
        baseline: Name (file name without its suffix) or tag of the run to test against.

    Returns:
        The comparison; topics that a run lacks count zero.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: Names collide, the baseline is unknown, or a run shares no topic with the qrels.
    """
    files = name_systems(paths)
    tags = {name: read_tag(path) for name, path in files.items()}
    chosen = None if baseline is None else find_baseline(baseline, tags)
    judgments = read_qrels(qrels)
    if chosen is not None and len(judgments) < 2:
        raise ValueError(f"{qrels}: has one topic; a test against {chosen} needs two or more")
    systems, values, found = [], {}, notes.about_qrels(judgments)
    for name, path in files.items():
        run = read_run(path)
        system = _describe_system(run, judgments, name=name, tag=tags[name], path=path)
        if system.num_missing == len(judgments):
            raise ValueError(_explain_no_topic(run, judgments, path=path, qrels_name=qrels))
        logger.info("measuring %s: %d topics", name, len(judgments))
        values[name] = measures.per_topic(run, judgments, settings.measures)
        systems.append(system)
        found += notes.about_topics(name, system.num_missing, system.num_unjudged)
        found += notes.about_tuning(name, path, judgments)
    for note in found:
        logger.warning("%s", note)
    return Comparison(
        qrels=qrels,
        qrels_sha256=sha256_file(Path(qrels)) if Path(qrels).is_file() else None,
        num_topics=len(judgments),
        num_without_relevant=notes.count_without_relevant(judgments),
        settings=settings,
        baseline=chosen,
        systems=tuple(systems),
        values=values,
        differences=_test(values, chosen, settings) if chosen else {},
        notes=tuple(found),
        versions={package: version(package) for package in ("ance-plugin", "ranx", "scipy")},
    )


def name_systems(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each run by its file, without ``.gz`` and a suffix such as ``.trec``.

    Args:
        paths: Run files.

    Returns:
        name -> path, in the order given.

    Raises:
        FileNotFoundError: One is not a file.
        ValueError: Two have the same name.
    """
    named: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such run file")
        bare = Path(path.name.removesuffix(".gz"))
        name = bare.stem if bare.suffix in _SUFFIXES else bare.name
        if name in named:
            raise ValueError(
                f"{named[name]} and {path} would both be named {name!r}; rename one of them"
            )
        named[name] = path
    return named


def find_baseline(wanted: str, tags: dict[str, str]) -> str:
    """Find the system of that name, or else the only one of that tag.

    Args:
        wanted: A name or a tag.
        tags: name -> tag.

    Returns:
        The name.

    Raises:
        ValueError: None or several systems are so named; the message lists them all.
    """
    found = [wanted] if wanted in tags else [name for name, tag in tags.items() if tag == wanted]
    if len(found) != 1:
        listed = ", ".join(f"{name} (tag {tag})" for name, tag in tags.items())
        problem = "names no run" if not found else f"is the tag of {len(found)} runs"
        raise ValueError(f"baseline {wanted!r} {problem}; there are {listed}")
    return found[0]


def _describe_system(run: Run, qrels: Qrels, *, name: str, tag: str, path: Path) -> System:
    return System(
        name=name,
        tag=tag,
        path=str(path),
        sha256=sha256_file(path),
        num_missing=sum(not run.get(qid) for qid in qrels),
        num_unjudged=sum(qid not in qrels for qid in run),
    )


def _test(
    values: dict[str, dict[str, dict[str, float]]], baseline: str, settings: Settings
) -> dict[str, dict[str, Difference]]:
    """Test all systems on each measure; every per-topic dict has the topics in qrels order."""
    differences: dict[str, dict[str, Difference]] = {
        name: {} for name in values if name != baseline
    }
    for measure in settings.measures:
        columns = {
            name: np.array(list(measured[measure].values())) for name, measured in values.items()
        }
        tested = compare_to_baseline(
            {name: columns[name] for name in differences},
            columns[baseline],
            test=settings.test,
            correction=settings.correction,
            seed=settings.seed,
            permutations=settings.permutations,
        )
        for name, difference in tested.items():
            differences[name][measure] = difference
    return differences


def _explain_no_topic(run: Run, qrels: Qrels, *, path: Path, qrels_name: str) -> str:
    first = next(iter(run), None)
    found = "has no topics" if first is None else f"has topics such as {first!r}"
    return (
        f"{path}: shares no topic with {qrels_name}: it {found}, the qrels have "
        f"{next(iter(qrels))!r}; give the qrels of the same topics"
    )

"""Compare runs on the same topics: values per topic, means, tests, and what the report shows."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from ance_plugin.artifacts import sha256_file
from ance_plugin.errors import MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_tag
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Qrels
from evaluation.comparison import Comparison, Example, Expected, ExpectedFigure, Settings, System
from evaluation.costs import read_latency, read_run_seconds
from evaluation.examples import choose_topics, clean, make_examples
from evaluation.notes import (
    about_depths,
    about_directions,
    about_qrels,
    count_without_relevant,
    flag_copies,
)
from evaluation.overlap import measure_overlaps
from evaluation.pairs import against, run_tests
from evaluation.systems import Measured, find_baseline, measure_run, name_systems

__all__ = [
    "Comparison",
    "Settings",
    "System",
    "compare_runs",
    "find_baseline",
    "name_systems",
]

logger = logging.getLogger(__name__)

EXAMPLES = 10


def compare_runs(
    qrels: str,
    paths: Sequence[Path],
    *,
    settings: Settings,
    baseline: str | None = None,
    topics: str | None = None,
    collection: str | None = None,
    latency: Path | None = None,
    expected: Sequence[ExpectedFigure] = (),
) -> Comparison:
    """Measure runs on the topics of the qrels, and test them against each other as settings say.

    Args:
        qrels: A qrels file or an ir-datasets id.
        paths: TREC runs, each of its own file name.
        settings: What to measure and how to test.
        baseline: Name (file name without its suffix) or tag of the run to test against.
        topics: Where the texts of topics come from; None shows qids alone.
        collection: Where the texts of hits come from; None shows docids alone.
        latency: The ``latency.json`` of ``evaluation latency``; None takes the seconds that runs
            recorded.
        expected: Published values to show beside ours.

    Returns:
        The comparison; topics that a run lacks count zero.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: Names collide, the baseline is unknown, a run shares no topic with the qrels, or
            there is nothing to test.
    """
    files = name_systems(paths)
    tags = {name: read_tag(path) for name, path in files.items()}
    chosen = None if baseline is None else find_baseline(baseline, tags)
    judgments = read_qrels(qrels)
    _check_testable(qrels, judgments, files, chosen, settings)
    costs = read_latency(latency, tags, files) if latency else read_run_seconds(files)
    texts = _read_texts(topics, judgments)
    source = None if collection is None else Collection(collection)
    measured = [
        measure_run(name, path, judgments, qrels=qrels, tag=tags[name], settings=settings)
        for name, path in files.items()
    ]
    systems, notes = _flag_systems(measured, judgments, settings)
    values = {each.system.name: each.values for each in measured}
    tops = {each.system.name: each.top for each in measured}
    tested = run_tests(values, chosen, settings)
    return Comparison(
        qrels=qrels,
        qrels_sha256=sha256_file(Path(qrels)) if Path(qrels).is_file() else None,
        num_topics=len(judgments),
        num_without_relevant=count_without_relevant(judgments),
        settings=settings,
        baseline=chosen,
        systems=systems,
        values=values,
        differences=against(tested, chosen),
        notes=notes,
        versions={package: version(package) for package in ("ance-plugin", "ranx", "scipy")},
        pairs=tuple(tested) if settings.all_pairs else (),
        recalls={each.system.name: each.recalls for each in measured},
        overlaps=tuple(measure_overlaps(tops, list(judgments))),
        costs=tuple(costs),
        topics=texts,
        examples=_choose_examples(measured, judgments, settings, source),
        expected=tuple(_set_beside(expected, values, len(judgments))),
    )


def _flag_systems(
    measured: Sequence[Measured], judgments: Qrels, settings: Settings
) -> tuple[tuple[System, ...], tuple[str, ...]]:
    """Flag copies too, and list all that a reader must be told, which is logged as well."""
    copies = flag_copies({each.system.name: each.ranking for each in measured})
    systems = [
        replace(each.system, flags=(*each.system.flags, copies[each.system.name]))
        if each.system.name in copies
        else each.system
        for each in measured
    ]
    notes = [
        *about_qrels(judgments),
        *(note for each in measured for note in each.notes),
        *copies.values(),
        *about_depths({each.name: each.num_hits for each in systems}, settings.measures),
        *about_directions(settings.measures),
    ]
    for note in notes:
        logger.warning("%s", note)
    return tuple(systems), tuple(notes)


def _choose_examples(
    measured: Sequence[Measured],
    judgments: Qrels,
    settings: Settings,
    source: Collection | None,
) -> tuple[Example, ...]:
    values = {each.system.name: each.values[settings.measures[0]] for each in measured}
    tops = {each.system.name: each.top for each in measured}
    chosen = choose_topics(values, EXAMPLES)
    return tuple(make_examples(chosen, values, tops, judgments, source=source))


def _check_testable(
    name: str, qrels: Qrels, files: Mapping[str, Path], baseline: str | None, settings: Settings
) -> None:
    if settings.all_pairs and len(files) < 2:
        raise ValueError("tests of all pairs need two runs or more, found one")
    if len(qrels) < 2 and (baseline is not None or settings.all_pairs):
        against = "all pairs" if baseline is None else f"against {baseline}"
        raise ValueError(f"{name}: has one topic; a test {against} needs two or more")


def _read_texts(topics: str | None, qrels: Qrels) -> dict[str, str]:
    """Read the texts of the topics of the qrels; MismatchError where none of them is there."""
    if topics is None:
        return {}
    texts = {topic.qid: clean(topic.text) for topic in read_topics(topics)}
    found = {qid: texts[qid] for qid in qrels if qid in texts}
    if not found:
        raise MismatchError(
            f"{topics}: has none of the topics of the qrels, such as {next(iter(qrels))!r}; "
            "give the topics that were searched"
        )
    return found


def _set_beside(
    figures: Iterable[ExpectedFigure],
    values: dict[str, dict[str, dict[str, float]]],
    num_topics: int,
) -> Iterator[Expected]:
    for figure in figures:
        measured = values.get(figure.system, {}).get(figure.measure)
        setting = figure.setting
        if isinstance(setting, Mapping):
            setting = ", ".join(f"{name} {value}" for name, value in setting.items())
        yield Expected(
            system=figure.system,
            measure=figure.measure,
            value=figure.value,
            tolerance=figure.tolerance,
            source=figure.source,
            setting=str(setting),
            ours=None if measured is None else math.fsum(measured.values()) / num_topics,
        )

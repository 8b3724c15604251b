"""Reading and measuring one run: its name, what is kept of it, and what must be said of it."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ance_plugin import measures
from ance_plugin.artifacts import sha256_file
from ance_plugin.formats.runs import read_run
from ance_plugin.records import Hit, Qrels, Run
from evaluation.comparison import Settings, System
from evaluation.notes import about_unjudged, flag_run, hash_ranking
from evaluation.overlap import DEPTHS

logger = logging.getLogger(__name__)

RECALL_DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SUFFIXES = {".trec", ".txt", ".run", ".res", ".tsv"}


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of a run: ``values`` is measure -> qid -> value, ``top`` the first hits.

    ``ranking`` is its ``hash_ranking``.
    """

    system: System
    values: dict[str, dict[str, float]]
    recalls: dict[int, float]
    top: dict[str, Sequence[Hit]]
    notes: list[str]
    ranking: bytes


def measure_run(
    name: str, path: Path, judgments: Qrels, *, qrels: str, tag: str, settings: Settings
) -> Measured:
    """Read a run and measure it on every topic of the qrels.

    Args:
        name: Of the system.
        path: The run.
        judgments: The qrels.
        qrels: What errors call them.
        tag: Of the run.
        settings: What to measure.

    Returns:
        What a comparison keeps of it.

    Raises:
        ValueError: The run shares no topic with the qrels.
    """
    run = read_run(path)
    if not any(run.get(qid) for qid in judgments):
        raise ValueError(_explain_no_topic(run, judgments, path=path, qrels_name=qrels))
    logger.info("measuring %s: %d topics", name, len(judgments))
    flags = flag_run(name, path, run, judgments)
    num_unjudged = sum(qid not in judgments for qid in run)
    num_hits = max(len(hits) for hits in run.values())
    curve = _recall_names(settings.measures, num_hits)
    values = measures.per_topic(run, judgments, [*settings.measures, *curve])
    return Measured(
        system=System(
            name=name,
            tag=tag,
            path=str(path),
            sha256=sha256_file(path),
            num_missing=sum(not run.get(qid) for qid in judgments),
            num_unjudged=num_unjudged,
            flags=tuple(flags),
            num_hits=num_hits,
        ),
        values={measure: values[measure] for measure in settings.measures},
        recalls={
            depth: math.fsum(values[measure].values()) / len(judgments)
            for measure, depth in curve.items()
        },
        top={qid: run[qid][: DEPTHS[-1]] for qid in judgments if run.get(qid)},
        notes=flags + about_unjudged(name, num_unjudged, len(run)),
        ranking=hash_ranking(run),
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


def _recall_names(measured: Sequence[str], num_hits: int) -> dict[str, int]:
    """Name the recalls of the curve, at the level of the first recall that is measured."""
    levels = [measures.find_level(name) for name in measured if name.startswith("recall")]
    level = f"-l{levels[0]}" if levels and levels[0] > 1 else ""
    return {f"recall@{depth}{level}": depth for depth in RECALL_DEPTHS if depth <= num_hits}


def _explain_no_topic(run: Run, qrels: Qrels, *, path: Path, qrels_name: str) -> str:
    first = next(iter(run), None)
    found = "has no topics" if first is None else f"has topics such as {first!r}"
    return (
        f"{path}: shares no topic with {qrels_name}: it {found}, the qrels have "
        f"{next(iter(qrels))!r}; give the qrels of the same topics"
    )

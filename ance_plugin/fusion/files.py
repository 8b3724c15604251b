"""Fuse and tune run files."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import read_json, sha256_file
from ance_plugin.disk import require_writable
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import (
    RunFormat,
    check_tag,
    manifest_path,
    read_run,
    read_tag,
    save_run,
)
from ance_plugin.fusion.fuse import check_lists, fuse
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.fusion.tune import check_tunable, tune
from ance_plugin.fusion.tuned import Tuned, format_report, refuse_other, write_tuned
from ance_plugin.measures import check_measures
from ance_plugin.records import Run
from ance_plugin.version import describe_versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """Where a fused run goes, and what is noted beside it.

    Attributes:
        path: The run file.
        tag: Last column; None is the method's name.
        output_format: Of the run file.
        command: The command line, for the manifest.
    """

    path: Path
    tag: str | None = None
    output_format: RunFormat = "trec"
    command: tuple[str, ...] = ()


def fuse_files(
    paths: Sequence[Path],
    settings: FusionParams | Tuned,
    destination: Destination,
    *,
    hits: int,
    allow_leak: bool = False,
) -> None:
    """Fuse run files and write the fused run with its manifest.

    Args:
        paths: The runs, each another file.
        settings: What to fuse by; tuned settings refuse the topics they were tuned on.
        destination: Where the run goes.
        hits: Hits to keep for each topic.
        allow_leak: Apply tuned settings even to those topics, and note it in the manifest.

    Raises:
        FileNotFoundError: A run does not exist.
        LeakError: The settings were tuned on topics of the runs.
        ValueError: The runs do not fit the method, are given twice or in the wrong order,
            or one shares no topic with the others.
    """
    started = time.monotonic()
    tuned, params = (settings, settings.params) if isinstance(settings, Tuned) else (None, settings)
    tag = params.method if destination.tag is None else destination.tag
    check_tag(tag)
    check_lists(len(paths), params, hits)
    check_paths(paths, destination.path)
    require_writable(destination.path)
    check_kinds(paths, params.method)
    tags = [read_tag(path) for path in paths]
    if tuned:
        tuned.check_sides(tags)
    runs = [read_run(path) for path in paths]
    check_topics(paths, runs)
    if tuned:
        tuned.check_leak((qid for run in runs for qid in run), allow_leak=allow_leak)
    fused = fuse(runs, params, hits)
    seconds = round(time.monotonic() - started, 3)
    content = {
        "kind": "fusion",
        "command": list(destination.command),
        "version": describe_versions("numpy"),
        "runs": describe_runs(paths, tags),
        "fusion": params.to_json() | ({"tuned_on": tuned.to_json()} if tuned else {}),
        "allow_leak": allow_leak,
        "hits": hits,
        "num_topics": len(fused),
        "tag": tag,
        "seconds": seconds,
    }
    output_format = destination.output_format
    save_run(destination.path, fused, content, tag=tag, output_format=output_format)
    logger.info("fused %d topics of %d runs in %.1f s", len(fused), len(paths), seconds)


def tune_files(
    paths: Sequence[Path],
    qrels: str,
    output: Path,
    *,
    method: str,
    measure: str,
    norm: str | None,
    depth: int,
) -> str:
    """Tune a method on run files and write what was found.

    Args:
        paths: The runs, each another file.
        qrels: A file or dataset id.
        output: The JSON file to write.
        method: The method to tune.
        measure: What to maximise.
        norm: For the methods that take one; None is the method's default.
        depth: Hits read from each run.

    Returns:
        A report of a few lines.

    Raises:
        FileNotFoundError: A run or the qrels do not exist.
        ValueError: The runs do not fit the method, are given twice or in the wrong order,
            or one shares no topic with the others.
    """
    check_measures([measure])
    check_tunable(method, norm, depth, len(paths))
    check_paths(paths, output)
    require_writable(output)
    refuse_other(output)
    check_kinds(paths, method)
    judgments = read_qrels(qrels)
    runs = [read_run(path) for path in paths]
    check_topics(paths, runs)
    tuning = tune(runs, judgments, method=method, measure=measure, norm=norm, depth=depth)
    num_unseen = len(judgments) - len(tuning.qids)
    if num_unseen:
        logger.info("%d judged topics are in no run and do not count", num_unseen)
    tags = [read_tag(path) for path in paths]
    write_tuned(output, tuning, qrels=qrels, runs=describe_runs(paths, tags))
    return format_report(tuning, [str(path) for path in paths])


def describe_runs(paths: Sequence[Path], tags: Sequence[str]) -> list[dict[str, Any]]:
    """Say which runs were read: path, tag, kind where it is known, and SHA-256 of each."""
    return [
        {"path": str(path), "tag": tag, "kind": _read_kind(path), "sha256": sha256_file(path)}
        for path, tag in zip(paths, tags, strict=True)
    ]


def check_paths(paths: Sequence[Path], output: Path) -> None:
    """Raise unless each run exists, is given once, and is not the output."""
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such run file")
    resolved = [path.resolve() for path in paths]
    for position, path in enumerate(resolved):
        if path in resolved[:position]:
            raise ValueError(f"{paths[position]}: is given twice; fuse different runs")
    if output.resolve() in resolved:
        raise ValueError(f"{output}: is one of --runs; name another --output")


def check_topics(paths: Sequence[Path], runs: Sequence[Run]) -> None:
    """Raise ValueError for a run that shares no topic with any other; log what only some have."""
    for path, run in zip(paths, runs, strict=True):
        if any(run.keys() & other.keys() for other in runs if other is not run):
            continue
        has = [
            f"{name} has {f'topics such as {next(iter(run))!r}' if run else 'no topics'}"
            for name, run in zip(paths, runs, strict=True)
        ]
        raise ValueError(
            f"{path}: shares no topic with the other runs; fuse runs of the same topics "
            f"({', '.join(has)})"
        )
    num_topics = len(set().union(*runs))
    num_common = sum(all(qid in run for run in runs) for qid in runs[0])
    if num_common < num_topics:
        logger.info("%d of %d topics are not in every run", num_topics - num_common, num_topics)


def check_kinds(paths: Sequence[Path], method: str) -> None:
    """Raise ValueError for a dense run before a BM25 run where the sparse one comes first.

    Their manifests say which they are; runs without one are taken in the order given.
    """
    if method != "interpolation":
        return
    if [_read_kind(path) for path in paths] == ["dense", "bm25"]:
        raise ValueError(
            f"interpolation takes the sparse run first, but {paths[0]} is dense and {paths[1]} is "
            "bm25; swap them in --runs"
        )


def _read_kind(path: Path) -> str | None:
    manifest = manifest_path(path)
    return read_json(manifest).get("kind") if manifest.is_file() else None

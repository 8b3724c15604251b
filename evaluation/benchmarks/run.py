"""Run a benchmark from nothing, or from wherever a killed run left it, to the report."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ance_plugin import artifacts
from ance_plugin.artifacts import claim
from ance_plugin.errors import ArtifactError
from evaluation.benchmarks.inputs import Inputs, read_inputs
from evaluation.benchmarks.layout import Settings
from evaluation.benchmarks.models import Model, open_encoder, open_reranker
from evaluation.benchmarks.plan import Plan, make_plan
from evaluation.benchmarks.report import KIND, REPORT, Finished, write_report
from evaluation.benchmarks.stages import Workshop, find_problem, list_stages
from evaluation.benchmarks.table import Benchmark

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    Attributes:
        benchmark: What is judged.
        encoders: Name of a system -> checkpoint.
        reranker: Checkpoint of the cross-encoder, or None.
        settings: How systems are made.
        output: The folder of the report.
        artifacts: Where indexes, vectors and runs are kept.
        baseline: The system that the others are tested against; None is ``bm25`` if it is there.
        latency: The ``latency.json`` of ``evaluation latency``, or None.
        command: The command line.
        overwrite: Replace an output that is no report of this benchmark.
        is_verbose: Stages log more.
    """

    benchmark: Benchmark
    encoders: Mapping[str, str]
    reranker: str | None
    settings: Settings
    output: Path
    artifacts: Path
    baseline: str | None = None
    latency: Path | None = None
    command: str = ""
    overwrite: bool = False
    is_verbose: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a name that cannot be part of a file's."""
        for name in self.encoders:
            if not _NAME.fullmatch(name) or name.startswith("bm25"):
                raise ValueError(
                    f"encoder name {name!r} must be of letters, digits and ._-, and not begin with "
                    "bm25, which names other systems"
                )


def run_benchmark(order: Order) -> str:
    """Make what is missing, and write the report.

    Args:
        order: What was asked for.

    Returns:
        The tables, for a terminal.

    Raises:
        AnceError: Inputs do not belong together, or a stage failed.
        FileNotFoundError: Something that was named is not there.
        ValueError: The systems that were asked for cannot be made.
    """
    _refuse_other_output(order)
    inputs, plan, folder = prepare(order)
    stages = list(list_stages([system.stage for system in plan.systems]))
    workshop = Workshop(is_verbose=order.is_verbose)
    with claim(folder):
        for number, system in enumerate(plan.systems, start=1):
            logger.info("system %d of %d: %s", number, len(plan.systems), system.name)
            workshop.ensure(system.stage)
        finished = Finished(order.benchmark, inputs, plan, tuple(stages), order.command)
        with artifacts.new_directory(order.output, overwrite=True) as directory:
            text = write_report(
                directory, finished, baseline=_choose_baseline(order, plan), latency=order.latency
            )
    logger.info(
        "made %d stages, reused %d: %s", len(workshop.made), len(workshop.reused), order.output
    )
    return text


def describe_plan(order: Order) -> str:
    """Say which stages would be made and which reused, without making any.

    Args:
        order: What was asked for.

    Returns:
        A line for each stage, and its command where it would be made.

    Raises:
        AnceError: Inputs do not belong together.
        FileNotFoundError: Something that was named is not there.
        ValueError: The systems that were asked for cannot be made.
    """
    _, plan, _ = prepare(order)
    lines = []
    for stage in list_stages([system.stage for system in plan.systems]):
        problem = find_problem(stage)
        lines.append(f"{'reuse' if problem is None else 'make '}  {stage.name}")
        if problem is not None:
            lines.append(f"       {problem}; {stage.command}")
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines) + "\n"


def prepare(order: Order) -> tuple[Inputs, Plan, Path]:
    """Load models and read inputs, so that what is wrong with them shows first.

    Args:
        order: What was asked for.

    Returns:
        The inputs, the systems, and the folder of their artifacts.

    Raises:
        AnceError: Inputs do not belong together.
        FileNotFoundError: Something that was named is not there.
        ValueError: The systems that were asked for cannot be made.
    """
    computing = order.settings.computing
    encoders: Sequence[Model] = [
        open_encoder(name, checkpoint, computing) for name, checkpoint in order.encoders.items()
    ]
    reranker = open_reranker(order.reranker, computing) if order.reranker else None
    inputs = read_inputs(order.benchmark)
    name = _NOT_IN_NAMES.sub("-", Path(inputs.collection).name.partition(".")[0])
    folder = order.artifacts / f"{name}-{inputs.fingerprint.sha256[:10]}"
    plan = make_plan(
        order.benchmark,
        inputs,
        order.settings,
        encoders=encoders,
        reranker=reranker,
        artifacts=folder,
    )
    _choose_baseline(order, plan)
    return inputs, plan, folder


def _choose_baseline(order: Order, plan: Plan) -> str | None:
    names = [system.name for system in plan.systems]
    if order.baseline is None:
        return "bm25" if "bm25" in names and len(names) > 1 else None
    if order.baseline not in names:
        raise ValueError(f"baseline {order.baseline!r} is none of {', '.join(names)}")
    return order.baseline


def _refuse_other_output(order: Order) -> None:
    """Raise ArtifactError where the output is anything but an older report of this benchmark."""
    if order.overwrite or not order.output.exists():
        return
    report = order.output / REPORT
    content = artifacts.read_json(report) if report.is_file() else {}
    name = content.get("benchmark", {}).get("name")
    if content.get("kind") != KIND or name != order.benchmark.name:
        what = f"is a report of {name}" if name else "is no report of a benchmark"
        raise ArtifactError(
            f"{order.output}: exists and {what}; name another --output or give --overwrite"
        )

"""The report of a benchmark: comparison, answer accuracy, runs, and how to make them again."""

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ance_plugin
import evaluation
from ance_plugin.artifacts import read_json, write_json
from ance_plugin.formats.runs import manifest_path
from ance_plugin.version import describe_versions
from evaluation import compare, qa, qa_report
from evaluation import report as tables
from evaluation.benchmarks.inputs import Inputs
from evaluation.benchmarks.plan import Plan
from evaluation.benchmarks.stages import Stage
from evaluation.benchmarks.table import Benchmark
from evaluation.expected import ExpectedFigure, match_figures
from evaluation.tables import align, pipe

KIND = "benchmark-report"
REPORT = "benchmark.json"
FORMAT_VERSION = 1
RUNS = "runs"
ANSWERS = "answers"
_LIBRARIES = ("pyserini", "faiss-cpu", "torch", "transformers", "numpy", "ranx", "ir-datasets")


@dataclass(frozen=True, slots=True)
class Finished:
    """A benchmark whose runs are all made.

    Attributes:
        benchmark: What is judged.
        inputs: What was read.
        plan: The systems.
        stages: All stages, each after what it reads.
        command: The command line.
    """

    benchmark: Benchmark
    inputs: Inputs
    plan: Plan
    stages: tuple[Stage, ...]
    command: str

    def list_notes(self) -> list[str]:
        """Say what a reader must know beside the numbers."""
        own = [self.benchmark.note] if self.benchmark.note else []
        return [*own, *self.inputs.list_notes(), *self.plan.notes]

    def find_figures(self) -> list[ExpectedFigure]:
        """Find the published figures of the very settings of these systems."""
        settings = {system.name: system.setting for system in self.plan.systems}
        return match_figures(self.benchmark.name, settings)


def write_report(
    directory: Path, finished: Finished, *, baseline: str | None, latency: Path | None
) -> str:
    """Judge the runs and write everything into a directory.

    Args:
        directory: Where to.
        finished: What was made.
        baseline: The system the others are tested against; None tests none.
        latency: What ``evaluation latency`` wrote; None takes the seconds that runs recorded.

    Returns:
        The tables, for a terminal.
    """
    paths = _copy_runs(directory / RUNS, finished)
    figures = finished.find_figures()
    benchmark, texts = finished.benchmark, []
    if benchmark.qrels:
        comparison = compare.compare_runs(
            benchmark.qrels,
            paths,
            settings=compare.Settings(measures=benchmark.measures),
            baseline=baseline,
            topics=benchmark.topics,
            collection=benchmark.collection,
            latency=latency,
            expected=[figure for figure in figures if figure.measure in benchmark.measures],
        )
        systems = [replace(one, path=f"{RUNS}/{Path(one.path).name}") for one in comparison.systems]
        notes = (*finished.list_notes(), *comparison.notes)
        comparison = replace(comparison, systems=tuple(systems), notes=notes)
        tables.write_report(directory, comparison)
        texts.append(tables.format_terminal(comparison))
    if benchmark.answers:
        accuracy = _judge_answers(paths, finished, baseline)
        (directory / ANSWERS).mkdir()
        qa_report.write_report(directory / ANSWERS, accuracy)
        texts.append(qa_report.format_terminal(accuracy))
        rows = _answer_rows(figures, accuracy)
        if rows:
            (directory / ANSWERS / "published.md").write_text(f"{pipe(rows)}\n", encoding="utf-8")
            texts.append(f"{align(rows)}\n")
    _write_making(directory, finished, figures)
    return "\n".join(text for text in texts if text.strip())


def _copy_runs(directory: Path, finished: Finished) -> list[Path]:
    """Copy each system's run, named as the system, and the JSON file beside it."""
    directory.mkdir()
    paths = []
    for system in finished.plan.systems:
        path = directory / f"{system.name}.trec"
        shutil.copyfile(system.stage.output, path)
        shutil.copyfile(manifest_path(system.stage.output), manifest_path(path))
        paths.append(path)
    return paths


def _judge_answers(paths: Sequence[Path], finished: Finished, baseline: str | None) -> qa.Accuracy:
    benchmark = finished.benchmark
    accuracy = qa.judge_runs(
        paths,
        topics=benchmark.topics,
        answers=benchmark.answers,
        collection=benchmark.collection,
        settings=qa.Settings(topk=benchmark.topk),
        baseline=baseline,
    )
    systems = [replace(one, path=f"{RUNS}/{Path(one.path).name}") for one in accuracy.systems]
    notes = (*finished.list_notes(), *accuracy.notes)
    return replace(accuracy, systems=tuple(systems), notes=notes)


def _answer_rows(figures: Sequence[ExpectedFigure], accuracy: qa.Accuracy) -> list[list[str]]:
    """Set published answer accuracies beside ours; empty where there are none."""
    depths = {f"answer@{k}": k for k in accuracy.settings.topk}
    rows = [
        [
            figure.system,
            figure.measure,
            f"{accuracy.mean(figure.system, depths[figure.measure]):.4f}",
            f"{figure.value:.4f}",
            figure.source,
        ]
        for figure in figures
        if figure.measure in depths
    ]
    header = ["system", "measure", "ours", "published", "source"]
    return [header, *rows] if rows else []


def _write_making(directory: Path, finished: Finished, figures: Sequence[ExpectedFigure]) -> None:
    """Write ``benchmark.json`` and ``benchmark.md``: how everything was made."""
    records = [read_json(stage.record) for stage in finished.stages if stage.record.is_file()]
    content = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "command": finished.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": describe_versions(*_LIBRARIES),
        "code_sha256": hash_code(),
        "seed": compare.Settings().seed,
        "benchmark": _describe_benchmark(finished.benchmark),
        "inputs": _describe_inputs(finished.inputs),
        "systems": {
            system.name: {**system.setting, "run_sha256": read_json(system.stage.record)["sha256"]}
            for system in finished.plan.systems
        },
        "published": [
            {**asdict(figure), "conditions": dict(figure.conditions)} for figure in figures
        ],
        "notes": finished.list_notes(),
        "stages": records,
    }
    write_json(directory / REPORT, content)
    (directory / "benchmark.md").write_text(_format_making(content), encoding="utf-8")


def _format_making(content: dict[str, Any]) -> str:
    benchmark, inputs, machine = content["benchmark"], content["inputs"], content["machine"]
    tuning = inputs["tuning"]
    facts = [
        ["", ""],
        ["collection", f"{benchmark['collection']}, {inputs['num_documents']} documents"],
        ["topics", f"{benchmark['topics']}, {inputs['test']['num_judged']} judged"],
        ["tuned on", f"{tuning['topics']}, {tuning['num_judged']} topics" if tuning else "nothing"],
        ["licence", benchmark["licence"]],
        ["date", content["date"]],
        ["machine", ", ".join(f"{value}" for value in machine.values() if value)],
        ["versions", ", ".join(f"{name} {text}" for name, text in content["versions"].items())],
    ]
    stages = [["stage", "seconds", "made", "command"]]
    stages += [
        [one["stage"], f"{one['seconds']:.1f}", one["finished"], f"`{one['command']}`"]
        for one in content["stages"]
    ]
    parts = [
        f"# {benchmark['name']}: how it was made",
        pipe(facts),
        f"```\n{content['command']}\n```",
        *(["\n".join(f"- Note: {note}." for note in content["notes"])] if content["notes"] else []),
        "Seconds are a command's, with what it loads; a stage that was killed counts from its last "
        "start.",
        pipe(stages),
    ]
    return "\n\n".join(parts) + "\n"


def _describe_benchmark(benchmark: Benchmark) -> dict[str, Any]:
    content = {name: getattr(benchmark, name) for name in Benchmark.__dataclass_fields__}
    tuning = benchmark.tuning
    return {**content, "tuning": asdict(tuning) if tuning else None, "files": dict(benchmark.files)}


def _describe_inputs(inputs: Inputs) -> dict[str, Any]:
    judged = {
        part: None
        if topics is None
        else {
            "topics": topics.name,
            "num_topics": topics.num_topics,
            "num_judged": len(topics.qids),
            "topics_sha256": topics.topics_sha256,
            "qrels_sha256": topics.qrels_sha256,
        }
        for part, topics in (("test", inputs.test), ("tuning", inputs.tuning))
    }
    return {
        "num_documents": inputs.fingerprint.num_documents,
        "collection_sha256": inputs.fingerprint.sha256,
        "num_relevant": inputs.num_relevant,
        "num_relevant_missing": inputs.num_lost,
        **judged,
    }


def describe_machine() -> dict[str, Any]:
    """Say on what the report was made: system, processor, cores, memory and accelerator."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": models[0] if models else platform.processor(),
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{pages * size / 2**30:.0f} GiB",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
    }


def hash_code() -> str:
    """Hash the sources of both packages, which say more than a version number."""
    digest = hashlib.sha256()
    for package in (ance_plugin, evaluation):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{file.relative_to(root.parent)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()

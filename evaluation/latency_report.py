"""A latency report as JSON, Markdown, CSV and a table for the terminal."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import seal, write_json
from evaluation.latency_summary import PERCENTS, find_dominant, label
from evaluation.tables import align, pipe

_CSV = (
    "name", "depth", "batch_size", "num_queries", "num_calls", "num_calls_planned", "p50_ms",
    "p95_ms", "p99_ms", "mean_ms", "cpu_p50_ms", "queries_per_second", "memory_bytes",
)  # fmt: skip
KIND = "latency-report"
_MIB = 1 << 20
_SHOWN_SHARE = 0.0005


def write_report(directory: Path, report: dict[str, Any]) -> None:
    """Write ``latency.json``, ``latency.md`` and ``latency.csv`` into a directory, and seal it."""
    write_json(directory / "latency.json", report)
    (directory / "latency.md").write_text(format_markdown(report), encoding="utf-8")
    (directory / "latency.csv").write_text(format_csv(report), encoding="utf-8")
    seal(directory, KIND, {"versions": report["versions"]})


def format_terminal(report: dict[str, Any]) -> str:
    """Align the tables with spaces."""
    return "\n\n".join(_sections(report, align)) + "\n"


def format_markdown(report: dict[str, Any]) -> str:
    """Write pipe tables."""
    title = f"# Latency\n\n{report['date']}, `{report['command']}`"
    return "\n\n".join([title, *_sections(report, pipe)]) + "\n"


def format_csv(report: dict[str, Any]) -> str:
    """Write one line for each system and batch size, then a column for each stage's mean."""
    stages = list(dict.fromkeys(name for row in report["systems"] for name in row["stages"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_CSV, *(f"{name} mean_ms" for name in stages)])
    for row in report["systems"]:
        times = [row["stages"].get(name, {}).get("mean_ms") for name in stages]
        writer.writerow([*(row[name] for name in _CSV), *times])
    return text.getvalue()


def _sections(
    report: dict[str, Any], layout: Callable[[Sequence[Sequence[str]]], str]
) -> list[str]:
    rows = report["systems"]
    found = [
        "Milliseconds a query, of a batch each query's share; in brackets intervals of 95%, which "
        "a percentile of too few samples lacks:",
        layout(_query_rows(rows)),
        "Mean milliseconds a query in each stage, and its share:",
        layout(_stage_rows(rows)),
        "Most of a single query's time: " + "; ".join(find_dominant(rows)) + ".",
    ]
    if any(report["ratios"].values()):
        found += ["How many times as long reranking takes:", layout(_ratio_rows(report["ratios"]))]
    offline = _offline_lines(report["offline"])
    if offline:
        found.append("Offline: " + "; ".join(offline) + ".")
    found += [_published_line(report["published"]), _machine_line(report)]
    return found + [f"Note: {note}." for note in report["notes"]]


def _query_rows(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    header = ["system", "batch", "queries", *(f"p{percent}" for percent in PERCENTS)]
    table = [[*header, "CPU p50", "queries/s", "memory, MiB"]]
    for row in rows:
        table.append(
            [
                label(row),
                str(row["batch_size"]),
                str(row["num_queries"]),
                *(_with_interval(row, percent) for percent in PERCENTS),
                _median_cpu(row),
                _number(row["queries_per_second"]),
                "" if row["memory_bytes"] is None else f"{row['memory_bytes'] / _MIB:.0f}",
            ]
        )
    return table


def _stage_rows(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    table = [["system", "batch", "stage", "ms", "share"]]
    for row in rows:
        for name, cost in row["stages"].items():
            if cost["share"] < _SHOWN_SHARE:
                continue
            share = f"{100 * cost['share']:.1f}%"
            number = _number(cost["mean_ms"])
            table.append([label(row), str(row["batch_size"]), name, number, share])
    return table


def _ratio_rows(ratios: dict[str, Any]) -> list[list[str]]:
    table = [["against", "system", "ratio", "ratio of CPU times", "topics"]]
    for slow, others in ratios.items():
        for fast, found in others.items():
            if found["num_topics"]:
                pair = [_ratio(found, name) for name in ("ratio", "cpu_ratio")]
                table.append([slow, fast, *pair, str(found["num_topics"])])
    return table


def _ratio(found: dict[str, Any], name: str) -> str:
    return f"{_number(found[name])} {_interval(found[f'{name}_ci95'])}".rstrip()


def _offline_lines(offline: dict[str, Any]) -> list[str]:
    lines = []
    if encoded := offline.get("encode"):
        lines.append(
            f"encoding takes {_number(encoded['ms_per_document'])} ms a document "
            f"({_number(encoded['cpu_ms_per_document'])} ms CPU; a sample of "
            f"{encoded['num_documents']}, {encoded['mean_tokens']:.0f} tokens each on average)"
        )
    for name in ("sparse index", "dense index"):
        if made := offline.get(name):
            num = made.get("num_vectors", made.get("num_documents"))
            lines.append(f"the {name} of {num} took {made['seconds']} s to make")
    return lines


def _published_line(published: dict[str, Any]) -> str:
    times = ", ".join(f"{name} {value} ms" for name, value in published["ms_per_query"].items())
    encode = published["ms_per_document"]["encode"]
    return (
        f"Published ({published['source']}; {published['setting']}): {times}, "
        f"encoding {encode} ms a document, ratio {published['ratio']:.0f}."
    )


def _machine_line(report: dict[str, Any]) -> str:
    machine, models = report["machine"], report["models"]
    computing = [
        f"{name} {model['name']} in {model['precision']} on {model['device']}"
        for name, model in models.items()
    ]
    return (
        f"{machine['cpu']}, {machine['num_cores']} cores, {machine['threads']} threads each for "
        f"PyTorch, FAISS and Lucene; {', '.join([*computing, report['hits_text']])}; peak memory "
        f"of the process {report['peak_memory_bytes'] / _MIB:.0f} MiB."
    )


def _with_interval(row: dict[str, Any], percent: int) -> str:
    interval = _interval(row[f"p{percent}_ci95_ms"])
    return f"{_number(row[f'p{percent}_ms'])} {interval}".rstrip()


def _median_cpu(row: dict[str, Any]) -> str:
    return f"{_number(row['cpu_p50_ms'])} {_interval(row['cpu_p50_ci95_ms'])}".rstrip()


def _interval(ends: Sequence[float | None]) -> str:
    known = [_number(end) for end in ends if end is not None]
    return f"[{', '.join(known)}]" if known else ""


def _number(value: float) -> str:
    """Write three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

"""``python -m evaluation list``."""

import argparse
import json
import sys
from typing import Any

from evaluation.benchmarks.presence import find_missing
from evaluation.benchmarks.table import Benchmark, find_benchmark, list_benchmarks
from evaluation.tables import align


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``list``."""
    text = "Show the benchmarks that are known, and which of their data are on this machine."
    parser = commands.add_parser("list", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_list)
    add = parser.add_argument
    text = "one benchmark or a TOML file, in full and with its published figures (default: all)"
    add("benchmark", nargs="?", metavar="NAME", help=text)
    add("--json", action="store_true", help="write JSON")


def _list(args: argparse.Namespace) -> None:
    if args.benchmark is not None:
        sys.stdout.write(_show_one(find_benchmark(args.benchmark), is_json=args.json))
        return
    benchmarks = list_benchmarks()
    if args.json:
        sys.stdout.write(_dump([_describe(one) for one in benchmarks]))
        return
    header = ["name", "documents", "topics", "measures", "tuned on", "data", "licence"]
    rows = [
        [
            one.name,
            _format_count(one.num_documents),
            _format_count(one.num_topics),
            _format_measures(one),
            one.tuning.topics if one.tuning else "-",
            _format_missing(one),
            one.licence,
        ]
        for one in benchmarks
    ]
    sys.stdout.write(align([header, *rows]) + "\n")


def _show_one(benchmark: Benchmark, *, is_json: bool) -> str:
    from evaluation.expected import read_figures

    figures = [one for one in read_figures() if one.benchmark == benchmark.name]
    content = _describe(benchmark)
    if is_json:
        published = [
            {
                **{name: getattr(one, name) for name in ("system", "measure", "value")},
                **{name: getattr(one, name) for name in ("tolerance", "source", "note")},
                "setting": dict(one.conditions),
            }
            for one in figures
        ]
        return _dump({**content, "published": published})
    lines = [[name, _format_value(value)] for name, value in content.items() if value]
    rows = [
        [one.system, one.measure, f"{one.value:.4f}", one.source, one.setting] for one in figures
    ]
    parts = [align(lines)]
    if rows:
        parts += [
            "Published, each in its own setting; a report prints those that its runs share:",
            align([["system", "measure", "value", "source", "setting"], *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def _describe(benchmark: Benchmark) -> dict[str, Any]:
    tuning = benchmark.tuning
    names = ("name", "collection", "topics", "qrels", "answers", "num_documents", "num_topics")
    missing = find_missing(benchmark)
    return {
        **{name: getattr(benchmark, name) for name in names},
        "measures": list(benchmark.measures) if benchmark.qrels else [],
        "topk": [] if benchmark.qrels else list(benchmark.topk),
        "depth": benchmark.depth,
        "tuning": [tuning.topics, tuning.qrels, tuning.measure] if tuning else None,
        "index_text": benchmark.index_text,
        "maxp": benchmark.maxp,
        "is_here": not missing,
        "missing": missing,
        "licence": benchmark.licence,
        "note": benchmark.note,
    }


def _format_missing(benchmark: Benchmark) -> str:
    missing = find_missing(benchmark)
    return f"no {', '.join(missing)}" if missing else "here"


def _format_measures(benchmark: Benchmark) -> str:
    if benchmark.qrels:
        return " ".join(benchmark.measures)
    return f"answer in top {'/'.join(map(str, benchmark.topk))}"


def _format_count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _format_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _dump(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

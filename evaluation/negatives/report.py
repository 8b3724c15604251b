"""The analyses of negatives as JSON, Markdown with figures, and a text for the terminal."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import seal, write_json
from ance_plugin.train.diagnostics import THIRDS
from evaluation.negatives.findings import Analysis, Finding
from evaluation.negatives.gradients import Spread
from evaluation.negatives.plots import draw_gradients, draw_overlap, draw_training
from evaluation.negatives.strategies import DESCRIPTIONS
from evaluation.tables import align, pipe

KIND = "negatives-analysis"


def write_report(directory: Path, analysis: Analysis) -> None:
    """Write ``negatives.json``, the figures as SVG, and ``report.md`` with both; seal it."""
    draw_overlap(analysis, directory / "overlap.svg")
    draw_gradients(analysis, directory / "gradients.svg")
    has_logs = draw_training(analysis, directory / "training.svg")
    write_json(directory / "negatives.json", to_json(analysis))
    text = format_markdown(analysis, has_logs=has_logs)
    (directory / "report.md").write_text(text, encoding="utf-8")
    seal(directory, KIND, {"versions": analysis.versions})


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Hold everything, what training runs logged included."""
    return {**asdict(analysis), "runs": [str(run) for run in analysis.runs]}


def format_terminal(analysis: Analysis) -> str:
    """Align the three tables with spaces."""
    parts = []
    for title, rows in _tables(analysis):
        parts += [title, align(rows)]
    return "\n\n".join(parts) + "\n"


def format_markdown(analysis: Analysis, *, has_logs: bool) -> str:
    """Write the tables, each with its figure, and what the names mean."""
    figures = ["![overlap](overlap.svg)", "![losses and gradients](gradients.svg)", ""]
    parts = [f"# Negatives of {analysis.names.topics}", _describe(analysis)]
    for (title, rows), figure in zip(_tables(analysis), figures, strict=True):
        parts += [f"## {title}", pipe(rows), *([figure] if figure else [])]
    if has_logs:
        parts += ["## While training", "![what the training runs logged](training.svg)"]
    return "\n\n".join(parts) + "\n"


def _describe(analysis: Analysis) -> str:
    settings, names = analysis.settings, analysis.names
    strategies = "; ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
    return (
        f"Collection {names.collection}, qrels {names.qrels}, "
        f"{max(found.num_topics for found in analysis.findings)} topics with a positive in it; "
        f"depth {settings.depth}, {settings.num_topics} topics for triples, batches of "
        f"{settings.batch_size}, seed {settings.seed}.\n"
        f"Judged positives and copies of them are no negatives. {strategies}."
    )


def _tables(analysis: Analysis) -> Iterator[tuple[str, list[list[str]]]]:
    depth = analysis.settings.depth
    title = f"Share of each strategy's negatives among the top {depth} at test time (figure 3)"
    yield title, _overlap_rows(analysis)
    title = (
        "Loss, its bound on the gradient, and gradient norms of one triple: mean [10%, 90%] "
        "(figure 4)"
    )
    yield title, _gradient_rows(analysis)
    yield f"First {depth} against BM25's, and unjudged hits (table 6)", _dense_rows(analysis)


def _overlap_rows(analysis: Analysis) -> list[list[str]]:
    used = {name for found in analysis.findings for name in found.strategies}
    names = [name for name in DESCRIPTIONS if name in used]
    rows = [["checkpoint", *names]]
    for found in analysis.findings:
        shares = (found.strategies.get(name) for name in names)
        cells = (None if share is None else share.overlap for share in shares)
        rows.append([_name(found), *(_number(cell) for cell in cells)])
    return rows


def _gradient_rows(analysis: Analysis) -> list[list[str]]:
    rows = [["checkpoint", "strategy", "triples", "loss", "bound", "norm", *THIRDS]]
    for found in analysis.findings:
        for name, strategy in found.strategies.items():
            told = strategy.gradients
            if told is not None:
                means = [f"{told.norms[third].mean:.3g}" for third in THIRDS]
                spreads = [told.loss, told.bound, told.norms["all"]]
                cells = [_name(found), name, str(told.num_triples), *map(_spread, spreads)]
                rows.append([*cells, *means])
    return rows


def _dense_rows(analysis: Analysis) -> list[list[str]]:
    measured = list(analysis.findings[0].measures)
    rows = [["checkpoint", "overlap with BM25", *measured]]
    for found in analysis.findings:
        values = [found.bm25_overlap, *found.measures.values()]
        rows.append([_name(found), *map(_number, values)])
    if analysis.bm25_measures is not None:
        rows.append(["BM25", "", *map(_number, analysis.bm25_measures.values())])
    return rows


def _name(found: Finding) -> str:
    return found.label if found.step is None else f"{found.series}, {found.label}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3g} [{spread.quantile_10:.3g}, {spread.quantile_90:.3g}]"

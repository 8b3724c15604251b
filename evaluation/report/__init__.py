"""A comparison as text for the terminal, Markdown, CSV, LaTeX, JSON, and a page for a browser."""

from pathlib import Path

from ance_plugin.artifacts import write_json
from evaluation.comparison import Comparison
from evaluation.report.data import format_csv, format_topics_csv, to_json
from evaluation.report.latex import format_latex
from evaluation.report.page import format_page
from evaluation.report.text import format_markdown, format_terminal

__all__ = [
    "format_csv",
    "format_latex",
    "format_markdown",
    "format_page",
    "format_terminal",
    "format_topics_csv",
    "to_json",
    "write_report",
]


def write_report(directory: Path, comparison: Comparison) -> None:
    """Write the comparison into a directory, in every format.

    They are ``index.html``, ``table.md``, ``table.csv``, ``table.tex``, ``topics.csv`` and
    ``comparison.json``.
    """
    texts = {
        "index.html": format_page(comparison),
        "table.md": format_markdown(comparison),
        "table.csv": format_csv(comparison),
        "table.tex": format_latex(comparison),
        "topics.csv": format_topics_csv(comparison),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    write_json(directory / "comparison.json", to_json(comparison))

"""A comparison for the terminal and as Markdown."""

import re
from collections.abc import Sequence

from evaluation.comparison import Comparison
from evaluation.report.tables import (
    FLAG,
    Style,
    describe_title,
    difference_rows,
    further_tables,
    legend,
    list_flags,
    list_notes,
    mean_rows,
    show,
)
from evaluation.tables import align, pipe

_MARKDOWN = re.compile(r"[\\`*]|<(?=[a-zA-Z/!?])|\](?=[(\[:])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")


def format_terminal(comparison: Comparison) -> str:
    """Align the tables with spaces; what makes values doubtful comes first."""
    parts = [show(describe_title(comparison))]
    parts += [f"{FLAG} {show(flag)}" for flag in list_flags(comparison)]
    parts.append(_align(mean_rows(comparison)))
    if legend(comparison):
        parts += [show(legend(comparison)), _align(difference_rows(comparison))]
    for table in further_tables(comparison):
        parts.append(f"{table.title}\n{_align(table.rows)}")
    parts += [f"note: {show(note)}" for note in list_notes(comparison)]
    return "\n\n".join(parts) + "\n"


def format_markdown(comparison: Comparison) -> str:
    """Write pipe tables; the best mean of each measure is bold, names are never markup."""
    style = Style(
        escape=_escape,
        emphasise="**{}**".format,
        raise_letters="<sup>{}</sup>".format,
    )
    parts = [f"# {_escape(describe_title(comparison))}"]
    flags = list_flags(comparison)
    if flags:
        parts.append("\n".join(["> [!WARNING]", *(f"> - {_escape(flag)}." for flag in flags)]))
    parts.append(pipe(mean_rows(comparison, style)))
    if legend(comparison):
        parts += [_escape(legend(comparison)), pipe(_escape_rows(difference_rows(comparison)))]
    for table in further_tables(comparison):
        parts += [f"## {table.title}", pipe(_escape_rows(table.rows))]
    if list_notes(comparison):
        parts.append("\n".join(f"- Note: {_escape(note)}." for note in list_notes(comparison)))
    return "\n\n".join(parts) + "\n"


def _align(rows: Sequence[Sequence[str]]) -> str:
    return align([[show(cell) for cell in row] for row in rows])


def _escape_rows(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[_escape(cell) for cell in row] for row in rows]


def _escape(text: str) -> str:
    """Keep names and texts from being Markdown or HTML; an underscore within a word is none."""
    return _MARKDOWN.sub(r"\\\g<0>", show(text))

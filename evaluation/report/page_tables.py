"""The tables of the page, which sort when their headings are pressed."""

import re
from collections.abc import Mapping, Sequence

from evaluation.comparison import Comparison
from evaluation.report import plot
from evaluation.report.markup import Content, Html, join, tag
from evaluation.report.tables import FLAG, difference_rows, further_tables, mean_rows
from evaluation.report.tables import Style as CellStyle

_NUMBER = re.compile(r"(<strong>)?[<\[]?[+-]?\d[\d.,/\]+ -]*†?(</strong>)?(<sup>.*</sup>)?")
_BEST = "\x01{}\x02"  # stands in a cell until it is known to be markup


def make_table(
    rows: Sequence[Sequence[Content]], *, class_: str = "", values: Sequence[Sequence[float]] = ()
) -> Html:
    """Write a table whose first row is its header and whose first column names the rows.

    Args:
        rows: Cells; a plain string is escaped.
        class_: Of the table, beside ``sortable``.
        values: For each row of the body, what its cells after the first sort by; without them a
            cell sorts by its text.

    Returns:
        The table, in a box that scrolls where the page is narrow.
    """
    header, *body = rows
    kinds = [{_kind(cell) for cell in column if cell} for column in zip(*body, strict=True)]
    classes = [kind.pop() if len(kind) == 1 else None for kind in kinds]
    headings = zip(header, classes, strict=True)
    head = tag("tr", *(tag("th", cell, scope="col", class_=kind) for cell, kind in headings))
    lines = []
    for at, row in enumerate(body):
        sorts = [None, *values[at]] if values else [None] * len(row)
        cells = [
            tag("th", cell, scope="row")
            if column == 0
            else tag("td", cell, class_=_kind(cell), data_value=_exact(sorts[column]))
            for column, cell in enumerate(row)
        ]
        lines.append(tag("tr", *cells))
    table = tag(
        "table",
        tag("thead", head),
        tag("tbody", *lines),
        class_=f"sortable {class_}".strip(),
    )
    return tag("div", table, class_="scroll", tabindex="0")


def make_means(comparison: Comparison) -> Html:
    """Write the means: the best stands out, superscripts say what is significant."""
    columns = comparison.settings.measures
    style = CellStyle(emphasise=_BEST.format, raise_letters="\x03{}\x04".format, mark="\x03†\x04")
    header, *body = mean_rows(comparison, style)
    costs = {cost.system: cost for cost in comparison.costs}
    rows: list[list[Content]] = [[*header, *(["ms"] if costs else [])]]
    values = []
    for name, (_, *cells) in zip(comparison.values, body, strict=True):
        cost = costs.get(name)
        shown = [f"{cost.latency_ms:,.2f}" if cost else ""] if costs else []
        rows.append([name_system(comparison, name), *map(_mark_up, cells), *shown])
        means = [comparison.mean(name, measure) for measure in columns]
        values.append([*means, *([cost.latency_ms if cost else float("inf")] if costs else [])])
    return make_table(rows, class_="means", values=values)


def make_differences(comparison: Comparison) -> Html | None:
    """Write what was tested; None where nothing was."""
    rows = difference_rows(comparison)
    return make_table(rows, class_="wide") if len(rows) > 1 else None


def make_further(comparison: Comparison, title: str) -> Html | None:
    """Write one of the further tables; None where there is nothing to say in it."""
    for table in further_tables(comparison):
        if table.title == title:
            return make_table(table.rows, class_="wide")
    return None


def make_topics(comparison: Comparison, measure: str) -> Html:
    """Write a measure's value for each topic and system, and how far the systems are apart."""
    by_system: Mapping[str, Mapping[str, float]] = {
        name: measured[measure] for name, measured in comparison.values.items()
    }
    has_texts = bool(comparison.topics)
    rows: list[list[Content]] = [["qid", *(["topic"] if has_texts else []), *by_system, "range"]]
    for qid in next(iter(by_system.values())):
        values = [measured[qid] for measured in by_system.values()]
        texts = [tag("bdi", comparison.topics.get(qid, ""))] if has_texts else []
        numbers = [f"{value:.4f}" for value in (*values, max(values) - min(values))]
        rows.append([tag("bdi", qid), *texts, *numbers])
    return make_table(rows, class_="topics")


def name_system(comparison: Comparison, name: str) -> Html:
    """Write a system's name with its colour, its letter, and whether its values are doubtful."""
    place = list(comparison.values).index(name)
    flags = next((each.flags for each in comparison.systems if each.name == name), ())
    return join(
        tag("span", class_=f"swatch {plot.series(place)}", aria_hidden="true"),
        tag("span", comparison.letter(name), class_="letter") if comparison.pairs else None,
        tag("bdi", name),
        tag("span", "baseline", class_="chip") if name == comparison.baseline else None,
        tag("span", FLAG, class_="flag", title="; ".join(flags)) if flags else None,
    )


def _mark_up(cell: str) -> Html:
    """Turn what ``mean_rows`` marked in its numbers into elements."""
    marks = {"\x01": "<strong>", "\x02": "</strong>", "\x03": "<sup>", "\x04": "</sup>"}
    return Html("".join(marks.get(character, character) for character in cell))


def _kind(cell: Content) -> str | None:
    return "number" if cell is not None and _NUMBER.fullmatch(cell) else None


def _exact(value: float | None) -> str | None:
    return None if value is None else repr(value)

"""A comparison as a table for the terminal, Markdown, CSV, LaTeX and JSON."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import write_json
from evaluation.compare import Comparison
from evaluation.significance import Difference
from evaluation.tables import align, format_p, pipe

MARK = "†"
TESTS = {"student": "paired t-test", "fisher": "Fisher's randomisation test"}
CORRECTIONS = {"holm": "Holm", "bonferroni": "Bonferroni", "none": "no"}

_DIFFERENCE_HEADER = (
    "measure", "system", "difference", "95% CI", "p", "p corrected", "d_z", "wins/ties/losses",
)  # fmt: skip
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def write_report(directory: Path, comparison: Comparison) -> None:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and ``comparison.json`` into a directory."""
    tables = {
        "table.md": format_markdown(comparison),
        "table.csv": format_csv(comparison),
        "table.tex": format_latex(comparison),
    }
    for name, text in tables.items():
        (directory / name).write_text(text, encoding="utf-8")
    write_json(directory / "comparison.json", to_json(comparison))


def format_terminal(comparison: Comparison) -> str:
    """Align the tables with spaces."""
    parts = [_title(comparison), align(_mean_rows(comparison))]
    if comparison.differences:
        parts += [legend(comparison), align(_difference_rows(comparison))]
    parts += [f"note: {note}" for note in comparison.notes]
    return "\n\n".join(parts) + "\n"


def format_markdown(comparison: Comparison) -> str:
    """Write pipe tables; the best mean of each measure is bold."""
    parts = [
        f"# {_title(comparison)}",
        pipe(_mean_rows(comparison, emphasise="**{}**".format)),
    ]
    if comparison.differences:
        parts += [legend(comparison), pipe(_difference_rows(comparison))]
    if comparison.notes:
        parts.append("\n".join(f"- Note: {note}." for note in comparison.notes))
    return "\n\n".join(parts) + "\n"


def format_csv(comparison: Comparison) -> str:
    """Write one line for each system and measure, numbers in full; no test, no value."""
    tested = list(Difference.__dataclass_fields__)
    header = ["system", "measure", "value", *(f"difference_{name}" for name in tested)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "is_significant"])
    for system in comparison.values:
        for measure in comparison.settings.measures:
            difference = comparison.differences.get(system, {}).get(measure)
            numbers = [getattr(difference, name, None) for name in tested]
            decided = comparison.is_significant(system, measure) if difference else None
            mean = comparison.mean(system, measure)
            writer.writerow([system, measure, mean, *numbers, decided])
    return text.getvalue()


def format_latex(comparison: Comparison) -> str:
    """Write a booktabs table; the best mean of each measure is bold, the legend is its caption."""
    rows = _mean_rows(
        comparison, escape=_escape_latex, emphasise=r"\textbf{{{}}}".format, mark=r"$^{\dagger}$"
    )
    lines = [" & ".join(row) + r" \\" for row in rows]
    caption = f"{_title(comparison)}. {legend(comparison)}".strip()
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{_escape_latex(caption).replace(MARK, r'$^{\dagger}$')}}}",
            f"\\begin{{tabular}}{{l{'r' * len(comparison.settings.measures)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Hold everything: settings, files and their hashes, means, values per topic, tests, notes."""
    content = asdict(comparison)
    values = content.pop("values")
    content["means"] = {
        system: {measure: comparison.mean(system, measure) for measure in measured}
        for system, measured in values.items()
    }
    for system, tested in content["differences"].items():
        for measure, difference in tested.items():
            difference["is_significant"] = comparison.is_significant(system, measure)
    return {**content, "values": values}


def legend(comparison: Comparison) -> str:
    """Say what the mark means: test, correction and its family; empty without a baseline."""
    if comparison.baseline is None:
        return ""
    settings, count = comparison.settings, len(comparison.differences)
    family = (
        "p-values not corrected"
        if settings.correction == "none"
        else f"{CORRECTIONS[settings.correction]} correction over the systems within each measure "
        f"({count} against the baseline)"
    )
    return (
        f"{MARK} differs from {comparison.baseline} with p < {settings.alpha:g}: "
        f"{TESTS[settings.test]}, two-sided, {family}."
    )


def _title(comparison: Comparison) -> str:
    return f"{comparison.qrels}, means over {comparison.num_topics} topics"


def _mean_rows(
    comparison: Comparison,
    *,
    escape: Callable[[str], str] = str,
    emphasise: Callable[[str], str] = str,
    mark: str = MARK,
) -> list[list[str]]:
    """Lay out a header and a row for each system; a mean that is best to four digits stands out."""
    columns = comparison.settings.measures
    shown = {
        system: [f"{comparison.mean(system, measure):.4f}" for measure in columns]
        for system in comparison.values
    }
    best = [max(column, key=float) for column in zip(*shown.values(), strict=True)]
    rows = [["system", *map(escape, columns)]]
    for system, texts in shown.items():
        cells = [
            (emphasise(text) if text == top else text)
            + (mark if comparison.is_significant(system, measure) else "")
            for text, top, measure in zip(texts, best, columns, strict=True)
        ]
        is_baseline = system == comparison.baseline
        rows.append([escape(system) + (" (baseline)" if is_baseline else ""), *cells])
    return rows


def _difference_rows(comparison: Comparison) -> list[list[str]]:
    rows = [list(_DIFFERENCE_HEADER)]
    for measure in comparison.settings.measures:
        for system, tested in comparison.differences.items():
            found = tested[measure]
            mark = MARK if comparison.is_significant(system, measure) else ""
            effect = "" if found.cohens_dz is None else f"{found.cohens_dz:+.2f}"
            rows.append(
                [
                    measure,
                    system,
                    f"{found.mean:+.4f}{mark}",
                    f"[{found.ci_low:+.4f}, {found.ci_high:+.4f}]",
                    format_p(found.p_value),
                    format_p(found.p_corrected),
                    effect,
                    f"{found.wins}/{found.ties}/{found.losses}",
                ]
            )
    return rows


def _escape_latex(text: str) -> str:
    return text.translate(_LATEX)

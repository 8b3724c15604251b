"""Answer accuracies as a table for the terminal, Markdown, CSV and JSON."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ance_plugin.artifacts import seal, write_json
from evaluation.mcnemar import HitDifference
from evaluation.qa import Accuracy
from evaluation.tables import align, format_p, pipe

KIND = "answer-accuracy"
MARK = "†"
_DIFFERENCE_HEADER = ("k", "system", "difference", "95% CI", "p", "p corrected", "wins/losses")


def write_report(directory: Path, accuracy: Accuracy) -> None:
    """Write ``table.md``, ``table.csv`` and ``answers.json`` into a directory, and seal it."""
    tables = {"table.md": format_markdown(accuracy), "table.csv": format_csv(accuracy)}
    for name, text in tables.items():
        (directory / name).write_text(text, encoding="utf-8")
    write_json(directory / "answers.json", to_json(accuracy))
    seal(directory, KIND, {"versions": accuracy.versions})


def format_terminal(accuracy: Accuracy) -> str:
    """Align the tables with spaces."""
    parts = [_title(accuracy), align(_mean_rows(accuracy))]
    if accuracy.differences:
        parts += [legend(accuracy), align(_difference_rows(accuracy))]
    parts += [f"note: {note}" for note in accuracy.notes]
    return "\n\n".join(parts) + "\n"


def format_markdown(accuracy: Accuracy) -> str:
    """Write pipe tables."""
    parts = [f"# {_title(accuracy)}", pipe(_mean_rows(accuracy))]
    if accuracy.differences:
        parts += [legend(accuracy), pipe(_difference_rows(accuracy))]
    if accuracy.notes:
        parts.append("\n".join(f"- Note: {note}." for note in accuracy.notes))
    return "\n\n".join(parts) + "\n"


def format_csv(accuracy: Accuracy) -> str:
    """Write one line for each system and k, numbers in full; no test, no value."""
    tested = list(HitDifference.__dataclass_fields__)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["system", "k", "accuracy", *(f"difference_{name}" for name in tested)]
    writer.writerow([*header, "is_significant"])
    for system in accuracy.ranks:
        for k in accuracy.settings.topk:
            difference = accuracy.differences.get(system, {}).get(k)
            numbers = [getattr(difference, name, None) for name in tested]
            decided = accuracy.is_significant(system, k) if difference else None
            writer.writerow([system, k, accuracy.mean(system, k), *numbers, decided])
    return text.getvalue()


def to_json(accuracy: Accuracy) -> dict[str, Any]:
    """Hold everything: settings, files and hashes, accuracies, tests, each topic's first hit."""
    content = asdict(accuracy)
    ranks = content.pop("ranks")
    content["accuracy"] = {
        system: {str(k): accuracy.mean(system, k) for k in accuracy.settings.topk}
        for system in ranks
    }
    for system, tested in content["differences"].items():
        for k, difference in tested.items():
            difference["is_significant"] = accuracy.is_significant(system, k)
    return {**content, "first_hit_ranks": ranks}


def legend(accuracy: Accuracy) -> str:
    """Say what the mark means; empty without a baseline."""
    if accuracy.baseline is None:
        return ""
    settings = accuracy.settings
    family = (
        "p-values not corrected"
        if settings.correction == "none"
        else f"{settings.correction.capitalize()} correction over the systems at each k "
        f"({len(accuracy.differences)} against the baseline)"
    )
    return (
        f"{MARK} differs from {accuracy.baseline} with p < {settings.alpha:g}: "
        f"McNemar's exact test, two-sided, {family}."
    )


def _title(accuracy: Accuracy) -> str:
    kind = "regular expressions" if accuracy.settings.is_regex else "texts"
    return (
        f"{accuracy.topics}, share of {accuracy.num_topics} questions with an answer in the first "
        f"k passages (answers are {kind}; titles are not searched)"
    )


def _mean_rows(accuracy: Accuracy) -> list[list[str]]:
    rows = [["system", *(f"top-{k}" for k in accuracy.settings.topk)]]
    for system in accuracy.ranks:
        cells = [
            f"{accuracy.mean(system, k):.4f}" + (MARK if accuracy.is_significant(system, k) else "")
            for k in accuracy.settings.topk
        ]
        is_baseline = system == accuracy.baseline
        rows.append([system + (" (baseline)" if is_baseline else ""), *cells])
    return rows


def _difference_rows(accuracy: Accuracy) -> list[list[str]]:
    rows = [list(_DIFFERENCE_HEADER)]
    for k in accuracy.settings.topk:
        for system, tested in accuracy.differences.items():
            found = tested[k]
            rows.append(
                [
                    str(k),
                    system,
                    f"{found.mean:+.4f}{MARK if accuracy.is_significant(system, k) else ''}",
                    f"[{found.ci_low:+.4f}, {found.ci_high:+.4f}]",
                    format_p(found.p_value),
                    format_p(found.p_corrected),
                    f"{found.wins}/{found.losses}",
                ]
            )
    return rows

"""A comparison for programs: CSV and JSON, numbers in full."""

import csv
import io
from dataclasses import asdict
from typing import Any

from evaluation.comparison import Comparison
from evaluation.report.tables import list_differences
from evaluation.significance import Difference


def format_csv(comparison: Comparison) -> str:
    """Write one line for each system and measure, and for each pair that was tested.

    ``versus`` is the system whose value was subtracted; it and the columns after it are empty in a
    line that tests nothing.
    """
    tested = list(Difference.__dataclass_fields__)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["system", "measure", "value", "ci_low", "ci_high", "flags", "versus"]
    writer.writerow([*header, *(f"difference_{name}" for name in tested), "is_significant"])
    flags = {system.name: "; ".join(system.flags) for system in comparison.systems}
    for system in comparison.values:
        for measure in comparison.settings.measures:
            mean, interval = comparison.mean(system, measure), comparison.interval(system, measure)
            about = [system, measure, mean, *interval, flags.get(system, "")]
            found = [
                (names[1], difference)
                for names, difference in list_differences(comparison, measure)
                if names[0] == system
            ]
            for versus, difference in found:
                numbers = [getattr(difference, name) for name in tested]
                is_significant = difference.p_corrected < comparison.settings.alpha
                writer.writerow([*about, versus, *numbers, is_significant])
            if not found:
                writer.writerow([*about, *[None] * (len(tested) + 2)])
    return text.getvalue()


def format_topics_csv(comparison: Comparison) -> str:
    """Write one line for each topic and system, with every measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = comparison.settings.measures
    writer.writerow(["qid", "system", *columns])
    for qid in next(iter(next(iter(comparison.values.values())).values())):
        for system, measured in comparison.values.items():
            writer.writerow([qid, system, *(measured[measure][qid] for measure in columns)])
    return text.getvalue()


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Hold everything: settings, files and their hashes, means, values per topic, tests, notes."""
    content = asdict(comparison)
    values = content.pop("values")
    content["means"] = {
        system: {measure: comparison.mean(system, measure) for measure in measured}
        for system, measured in values.items()
    }
    content["intervals"] = {
        system: {measure: comparison.interval(system, measure) for measure in measured}
        for system, measured in values.items()
    }
    alpha = comparison.settings.alpha
    tested = [*content["differences"].values(), *(pair["differences"] for pair in content["pairs"])]
    for measured in tested:
        for difference in measured.values():
            difference["is_significant"] = difference["p_corrected"] < alpha
    return {**content, "values": values}

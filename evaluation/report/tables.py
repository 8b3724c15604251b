"""What the tables of a report say, whatever they are written in."""

from collections.abc import Callable
from dataclasses import dataclass

from ance_plugin.measures import is_lower_better
from evaluation.comparison import Comparison
from evaluation.significance import Difference, is_simultaneous
from evaluation.tables import format_p

MARK = "†"
FLAG = "⚠"
TESTS = {
    "student": "paired t-test",
    "fisher": "Fisher's randomisation test",
    "tukey": "Tukey's HSD (studentised range, topics as blocks)",
    "randomised-tukey": "randomised Tukey HSD",
}
CORRECTIONS = {"holm": "Holm", "bonferroni": "Bonferroni", "none": "no"}

_SUPERSCRIPTS = str.maketrans("abcdefghijklmnoprstuvwxyz,", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ,")


@dataclass(frozen=True, slots=True)
class Style:
    """How one format writes what stands in a cell."""

    escape: Callable[[str], str] = str
    emphasise: Callable[[str], str] = str
    raise_letters: Callable[[str], str] = lambda letters: letters.translate(_SUPERSCRIPTS)
    mark: str = MARK
    flag: str = f" {FLAG}"


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; its first row is the header."""

    title: str
    rows: list[list[str]]


PLAIN = Style()


def show(text: str) -> str:
    """Put a text on one line; what would steer a terminal, such as an escape, is replaced."""
    line = " ".join(text.splitlines())
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def describe_title(comparison: Comparison) -> str:
    """Say what was measured, on how much."""
    return f"{comparison.qrels}, means over {comparison.num_topics} topics"


def list_flags(comparison: Comparison) -> list[str]:
    """List what makes systems' values doubtful, which stands before the tables."""
    return [flag for system in comparison.systems for flag in system.flags]


def list_notes(comparison: Comparison) -> list[str]:
    """List what else a reader must be told, which stands after the tables."""
    flags = set(list_flags(comparison))
    return [note for note in comparison.notes if note not in flags]


def legend(comparison: Comparison) -> str:
    """Say what marks and letters mean: test, correction and its family; empty without a test."""
    settings = comparison.settings
    if not (comparison.pairs or comparison.differences):
        return ""
    if comparison.pairs:
        opening = f"Letters name the systems that one is better than, {MARK} marks a difference,"
        family = f"({len(comparison.pairs)} pairs)"
    else:
        opening = f"{MARK} differs from {comparison.baseline}"
        family = f"({len(comparison.differences)} against the baseline)"
    if is_simultaneous(settings.test):
        corrected = "the family-wise error held over all pairs of systems in each measure"
    elif settings.correction == "none":
        corrected = "p-values not corrected"
    else:
        corrected = (
            f"{CORRECTIONS[settings.correction]} correction over the systems within each measure "
            f"{family}"
        )
    return f"{opening} with p < {settings.alpha:g}: {TESTS[settings.test]}, two-sided, {corrected}."


def mean_rows(comparison: Comparison, style: Style = PLAIN) -> list[list[str]]:
    """Lay out a header and a row for each system; a mean that is best to four digits stands out.

    Where all pairs were tested, systems have letters, and a mean the letters of those it beats.
    """
    columns = comparison.settings.measures
    shown = {
        system: [f"{comparison.mean(system, measure):.4f}" for measure in columns]
        for system in comparison.values
    }
    best = [
        (min if is_lower_better(measure) else max)(column, key=float)
        for measure, column in zip(columns, zip(*shown.values(), strict=True), strict=True)
    ]
    rows = [["system", *map(style.escape, columns)]]
    flagged = {system.name for system in comparison.systems if system.flags}
    for system, texts in shown.items():
        cells = [
            (style.emphasise(text) if text == top else text)
            + _mark(comparison, system, name, style)
            for text, top, name in zip(texts, best, columns, strict=True)
        ]
        letter = f"{comparison.letter(system)}: " if comparison.pairs else ""
        role = " (baseline)" if system == comparison.baseline else ""
        flag = style.flag if system in flagged else ""
        rows.append([f"{letter}{style.escape(system)}{role}{flag}", *cells])
    return rows


def difference_rows(comparison: Comparison) -> list[list[str]]:
    """Lay out a row for each measure and pair that was tested."""
    versus = ["versus"] if comparison.pairs else []
    rows = [
        ["measure", "system", *versus, "difference", "95% CI", "p", "p corrected", "d_z",
         "wins/ties/losses"]
    ]  # fmt: skip
    for measure in comparison.settings.measures:
        for names, difference in list_differences(comparison, measure):
            is_significant = difference.p_corrected < comparison.settings.alpha
            shown = names if comparison.pairs else names[:1]
            rows.append([measure, *shown, *format_difference(difference, is_significant)])
    return rows


def list_differences(
    comparison: Comparison, measure: str
) -> list[tuple[tuple[str, str], Difference]]:
    """List what was tested on a measure: the two systems, and the first minus the second."""
    if comparison.pairs:
        return [((pair.first, pair.second), pair.differences[measure]) for pair in comparison.pairs]
    return [
        ((system, comparison.baseline or ""), tested[measure])
        for system, tested in comparison.differences.items()
    ]


def format_difference(difference: Difference, is_significant: bool) -> list[str]:  # noqa: FBT001
    """Write a difference, its interval, p-values, effect size and counts of topics."""
    effect = "" if difference.cohens_dz is None else f"{difference.cohens_dz:+.2f}"
    return [
        f"{difference.mean:+.4f}{MARK if is_significant else ''}",
        f"[{difference.ci_low:+.4f}, {difference.ci_high:+.4f}]",
        format_p(difference.p_value),
        format_p(difference.p_corrected),
        effect,
        f"{difference.wins}/{difference.ties}/{difference.losses}",
    ]


def further_tables(comparison: Comparison) -> list[Table]:
    """Lay out published figures, costs and overlaps, as far as there are any."""
    tables = [
        Table("Published figures beside ours", _expected_rows(comparison)),
        Table("Time of a query", _cost_rows(comparison)),
        Table("Overlap of results", _overlap_rows(comparison)),
    ]
    return [table for table in tables if len(table.rows) > 1]


def _mark(comparison: Comparison, system: str, measure: str, style: Style) -> str:
    if comparison.pairs:
        letters = [comparison.letter(name) for name in comparison.beaten(system, measure)]
        joined = ("" if all(len(letter) == 1 for letter in letters) else ",").join(letters)
        return style.raise_letters(joined) if joined else ""
    return style.mark if comparison.is_significant(system, measure) else ""


def _expected_rows(comparison: Comparison) -> list[list[str]]:
    words = {True: "yes", False: "no", None: ""}
    header = ["system", "measure", "ours", "published", "difference", "tolerance", "within"]
    rows = [[*header, "source", "setting"]]
    for figure in comparison.expected:
        ours = "not measured" if figure.ours is None else f"{figure.ours:.4f}"
        difference = "" if figure.ours is None else f"{figure.ours - figure.value:+.4f}"
        numbers = [ours, f"{figure.value:.4f}", difference, f"{figure.tolerance:g}"]
        within = words[figure.is_met]
        rows.append(
            [figure.system, figure.measure, *numbers, within, figure.source, figure.setting]
        )
    return rows


def _cost_rows(comparison: Comparison) -> list[list[str]]:
    rows = [["system", "ms", "how measured"]]
    return rows + [
        [cost.system, f"{cost.latency_ms:.2f}", cost.source] for cost in comparison.costs
    ]


def _overlap_rows(comparison: Comparison) -> list[list[str]]:
    depths = list(comparison.overlaps[0].shares) if comparison.overlaps else []
    rows = [["system", "and", *(f"top {depth}" for depth in depths), "RBO (0.9)"]]
    for pair in comparison.overlaps:
        shares = [f"{pair.shares[depth]:.3f}" for depth in depths]
        rows.append([pair.first, pair.second, *shares, f"{pair.rbo:.3f}"])
    return rows

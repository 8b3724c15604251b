"""A comparison as one page that loads nothing: plots, tables that sort, and topics side by side.

Its content security policy allows the style sheet and the script that are in it, by their hashes,
and nothing else; text is escaped where it becomes markup (``markup``), so it needs neither.
"""

import base64
import hashlib
from importlib.resources import files

from evaluation.comparison import Comparison
from evaluation.overlap import DEPTHS
from evaluation.report import charts
from evaluation.report.markup import Html, join, tag, void
from evaluation.report.page_tables import (
    make_differences,
    make_further,
    make_means,
    make_table,
    make_topics,
)
from evaluation.report.page_topics import make_examples
from evaluation.report.tables import CORRECTIONS, TESTS, legend, list_flags, list_notes


def format_page(comparison: Comparison) -> str:
    """Write the page."""
    style, script = _read("page.css"), _read("page.js")
    sections = [(name, title, part) for name, title, part in _sections(comparison) if part]
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        tag("title", f"{comparison.qrels}: {len(comparison.systems)} systems compared"),
        tag("style", style),
    )
    links = [tag("a", title, href=f"#{name}") for name, title, _ in sections]
    body = tag(
        "body",
        tag("a", "Skip to the results", href="#means", class_="skip"),
        tag("header", _make_heading(comparison), tag("nav", *links, aria_label="Sections")),
        tag(
            "main",
            _make_flags(comparison),
            *(
                tag("section", tag("h2", title), part, id=name, class_=name)
                for name, title, part in sections
            ),
        ),
        tag("script", script),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(comparison: Comparison) -> list[tuple[str, str, Html | None]]:
    measures = comparison.settings.measures
    return [
        ("means", "Means", _make_means(comparison)),
        ("published", "Published figures", _make_published(comparison)),
        ("differences", "Differences", make_differences(comparison)),
        ("by-topic", "Differences by topic", _make_topic_plots(comparison)),
        ("recall", "Recall by depth", charts.draw_recall(comparison)),
        ("latency", "Effectiveness and latency", _make_latency(comparison)),
        ("overlap", "Overlap of results", _make_overlap(comparison)),
        ("examples", "Where systems differ most", make_examples(comparison)),
        (
            "topics",
            "Every topic",
            join(*(_fold(measure, make_topics(comparison, measure)) for measure in measures)),
        ),
        ("made", "How this was made", _make_origin(comparison)),
    ]


def _make_heading(comparison: Comparison) -> Html:
    settings = comparison.settings
    facts = [f"{len(comparison.systems)} systems", f"{comparison.num_topics} topics"]
    if legend(comparison):
        facts.append(TESTS[settings.test])
        if settings.correction != "none":
            facts.append(f"{CORRECTIONS[settings.correction]} correction")
        facts.append("all pairs" if comparison.pairs else f"against {comparison.baseline}")
    return join(
        tag("h1", tag("bdi", comparison.qrels)), tag("p", " · ".join(facts), class_="facts")
    )


def _make_flags(comparison: Comparison) -> Html | None:
    flags = list_flags(comparison)
    if not flags:
        return None
    title = "Read these values with care"
    return tag(
        "div",
        tag("h2", title),
        tag("ul", *(tag("li", f"{flag}.") for flag in flags)),
        class_="warning",
        role="note",
    )


def _make_means(comparison: Comparison) -> Html:
    notes = list_notes(comparison)
    plots = (charts.draw_intervals(comparison, name) for name in comparison.settings.measures)
    return join(
        make_means(comparison),
        tag("p", legend(comparison), class_="lead") if legend(comparison) else None,
        tag("ul", *(tag("li", f"{note}.") for note in notes), class_="notes") if notes else None,
        tag("div", *plots, class_="panels"),
    )


def _make_published(comparison: Comparison) -> Html | None:
    return make_further(comparison, "Published figures beside ours")


def _make_topic_plots(comparison: Comparison) -> Html | None:
    """Draw the first measure's differences to the baseline, else to the best system."""
    measure, names = comparison.settings.measures[0], list(comparison.values)
    if len(names) < 2:
        return None
    best = max(names, key=lambda name: comparison.mean(name, measure))
    reference = comparison.baseline or best
    values = {name: list(comparison.values[name][measure].values()) for name in names}
    differences = {
        name: [one - other for one, other in zip(values[name], values[reference], strict=True)]
        for name in names
        if name != reference
    }
    limit = max(abs(each) for found in differences.values() for each in found) or 1.0
    plots = (
        charts.draw_topics(
            found, title=f"{name} minus {reference}", colour=names.index(name), limit=limit
        )
        for name, found in differences.items()
    )
    text = f"{measure} of each topic minus that of {reference}, largest first."
    return join(tag("p", text, class_="lead"), tag("div", *plots, class_="panels"))


def _make_latency(comparison: Comparison) -> Html | None:
    drawn = charts.draw_latency(comparison, comparison.settings.measures[0])
    if drawn is None:
        return None
    text = "The line joins the systems that no other is both faster and better than."
    return join(tag("p", text, class_="lead"), drawn, make_further(comparison, "Time of a query"))


def _make_overlap(comparison: Comparison) -> Html | None:
    if not comparison.overlaps:
        return None
    kinds = [*((f"in common, top {depth}", depth) for depth in DEPTHS), ("RBO, p = 0.9", None)]
    plots = (charts.draw_overlap(comparison, title=title, depth=depth) for title, depth in kinds)
    table = make_further(comparison, "Overlap of results")
    return join(tag("div", *plots, class_="panels"), _fold("As a table", table))


def _make_origin(comparison: Comparison) -> Html:
    header = ["system", "tag", "file", "hits at most", "topics missing", "SHA-256"]
    rows = [
        [
            system.name, system.tag, system.path, str(system.num_hits), str(system.num_missing),
            tag("code", system.sha256[:12], title=system.sha256),
        ]
        for system in comparison.systems
    ]  # fmt: skip
    settings = comparison.settings
    draws = f", {settings.permutations:,} draws at most, seed {settings.seed}"
    has_draws = settings.test in {"fisher", "randomised-tukey"}
    facts = {
        "qrels": f"{comparison.qrels}, {comparison.num_topics} topics, "
        f"{comparison.num_without_relevant} without a relevant document",
        "qrels SHA-256": comparison.qrels_sha256 or "not a file",
        "test": f"{TESTS[settings.test]}, alpha {settings.alpha:g}{draws if has_draws else ''}",
        "versions": ", ".join(f"{name} {at}" for name, at in comparison.versions.items()),
    }
    listed = [join(tag("dt", name), tag("dd", text)) for name, text in facts.items()]
    return join(make_table([header, *rows], class_="wide"), tag("dl", *listed))


def _fold(title: str, content: Html | None) -> Html:
    return tag("details", tag("summary", title), content)


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _read(name: str) -> Html:
    """Read a file of this package; it is markup of our own."""
    return Html(files("evaluation.report").joinpath(name).read_text(encoding="utf-8"))

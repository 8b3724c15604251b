"""The topics on which systems differ most, with their first hits side by side."""

from evaluation.comparison import Comparison, Example, ShownHit
from evaluation.report.markup import Html, join, tag
from evaluation.report.page_tables import name_system


def make_examples(comparison: Comparison) -> Html | None:
    """Write an article a topic; None where systems agree on all of them."""
    if not comparison.examples:
        return None
    measure = comparison.settings.measures[0]
    opening = tag(
        "p",
        f"The {len(comparison.examples)} topics with the largest range of {measure}, and the first "
        "hits of each system.",
        class_="lead",
    )
    return join(opening, *(_make_example(comparison, each) for each in comparison.examples))


def _make_example(comparison: Comparison, example: Example) -> Html:
    text = comparison.topics.get(example.qid)
    count = f"{example.num_relevant} relevant"
    heading = tag(
        "h3",
        tag("span", tag("bdi", example.qid), class_="qid"),
        tag("bdi", text) if text else None,
        tag("span", count, class_="count"),
    )
    best = max(example.values.values())
    columns = [
        tag(
            "div",
            tag(
                "h4",
                name_system(comparison, name),
                tag("span", f"{value:.4f}", class_="value best" if value == best else "value"),
            ),
            _list_hits(example.hits[name]),
            class_="column",
        )
        for name, value in example.values.items()
    ]
    return tag(
        "article", heading, tag("div", *columns, class_="columns", tabindex="0"), class_="example"
    )


def _list_hits(hits: tuple[ShownHit, ...]) -> Html:
    if not hits:
        return tag("p", "no hits", class_="muted")
    return tag("ol", *(tag("li", *_describe_hit(hit)) for hit in hits))


def _describe_hit(hit: ShownHit) -> list[Html | None]:
    if hit.relevance is None:
        judged, class_ = "not judged", "grade unjudged"
    elif hit.relevance > 0:
        judged, class_ = f"relevant {hit.relevance}", "grade relevant"
    else:
        judged, class_ = "not relevant", "grade irrelevant"
    return [
        tag(
            "p",
            tag("span", judged, class_=class_),
            tag("code", tag("bdi", hit.docid), title=f"score {hit.score:g}"),
            class_="about",
        ),
        tag("p", tag("bdi", hit.title), class_="title") if hit.title else None,
        tag("p", tag("bdi", hit.text), class_="text") if hit.text else None,
    ]

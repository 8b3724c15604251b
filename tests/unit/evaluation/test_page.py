"""The page is one inert file: text is text, the script is ours, and nothing is loaded."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from evaluation.comparison import (
    Comparison,
    Cost,
    Example,
    Expected,
    Overlap,
    Pair,
    Settings,
    ShownHit,
    System,
)
from evaluation.report import format_page
from evaluation.significance import Difference

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style> & \x1b"
VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """Collects elements with their attributes and text, and what is left open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts.setdefault(tag, []).append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    def text(self, name):
        return "".join(self.texts.get(name, []))


def make_comparison(name="ance", text="a topic"):
    """Two systems on three topics, with everything that a page shows."""
    difference = Difference(0.3, 0.1, 0.5, 1.5, 2, 1, 0, 0.001, 0.002)
    values = {
        "bm25": {"mrr": {"1": 0.5, "2": 0.5, text: 0.2}},
        name: {"mrr": {"1": 1.0, "2": 0.5, text: 0.6}},
    }
    hit = ShownHit(text, 1.5, 1, text, text)
    return Comparison(
        qrels=text,
        qrels_sha256=None,
        num_topics=3,
        num_without_relevant=0,
        settings=Settings(measures=("mrr",), all_pairs=True),
        baseline=None,
        systems=(
            System("bm25", text, text, "00", 0, 0),
            System(name, text, text, "11", 1, 2, flags=(f"{name} has gaps",), num_hits=10),
        ),
        values=values,
        differences={},
        notes=(f"{name} has gaps", text),
        versions={text: text},
        pairs=(Pair(name, "bm25", {"mrr": difference}),),
        recalls={"bm25": {1: 0.2, 10: 0.5, 100: 0.9}, name: {1: 0.3, 10: 0.7}},
        overlaps=(Overlap("bm25", name, {10: 0.5, 100: 0.6}, 0.55),),
        costs=(Cost("bm25", 3.0, text), Cost(name, 30.0, text)),
        topics={"1": text, text: text},
        examples=(
            Example(text, {"bm25": 0.0, name: 1.0}, {"bm25": (), name: (hit,)}, num_relevant=2),
        ),
        expected=(Expected(name, "mrr", 0.5, 0.01, text, text, 0.7),),
    )


@pytest.fixture(scope="module")
def hostile():
    """The page of a comparison in which every text is an attack."""
    return format_page(make_comparison(name=HOSTILE, text=HOSTILE))


def test_text_is_inert(hostile):
    """An attack in every name and text adds no element and no attribute that runs."""
    page, plain = Reader(hostile), Reader(format_page(make_comparison()))

    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.open == []
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not page.all("img")
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "\x1b" not in hostile
    assert "<script>alert(1)</script>" in page.text("h1")


def test_the_policy_allows_this_script_and_style_alone(hostile):
    """The hashes are those of what is in the page; everything else is forbidden."""
    page = Reader(hostile)
    (policy,) = [each for each in page.all("meta") if "http-equiv" in each]

    def digest(name):
        found = re.search(rf"<{name}>(.*?)</{name}>", hostile, re.DOTALL)
        return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest('style')}'; "
        f"script-src 'sha256-{digest('script')}'; base-uri 'none'; form-action 'none'"
    )


def test_nothing_is_loaded(hostile):
    """No element names another file or host; links lead to places in the page, all of which are."""
    page = Reader(hostile)

    places = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"].removeprefix("#") for link in page.all("a")} == places
    assert not [each for _, each in page.elements if {"src", "srcset", "style"} & each.keys()]
    assert not re.search(r"url\(|@import|fetch\(|https?://", page.text("style"))
    assert not re.search(r"fetch\(|import|https?://", page.text("script"))


def test_every_part_is_there():
    """Flags, a heading for each part, a picture for each plot, tables that can be sorted."""
    page = Reader(format_page(make_comparison()))

    assert "ance has gaps." in page.text("ul")
    for title in ("Means", "Published figures", "Differences", "Differences by topic",
                  "Recall by depth", "Effectiveness and latency", "Overlap of results",
                  "Where systems differ most", "Every topic", "How this was made"):  # fmt: skip
        assert title in page.text("h2")
    # one measure, one system less the other, recall, latency, three overlaps
    assert len(page.all("svg")) == 1 + 1 + 1 + 1 + 3
    assert all(picture["role"] == "img" for picture in page.all("svg"))
    assert all("sortable" in table["class"] for table in page.all("table"))


def test_means_sort_by_their_whole_value():
    """A cell has the value in full, of which it shows four digits, and its superscript."""
    text = format_page(make_comparison())

    assert f'data-value="{(0.5 + 0.5 + 0.2) / 3!r}">0.4000</td>' in text
    assert ">0.7000</strong><sup>a</sup></td>" in text.replace("<strong>", "")


def test_a_page_of_one_system_has_what_there_is():
    """Without pairs, costs, topics or texts their parts are left out, in the links too."""
    full = make_comparison()
    page = Reader(
        format_page(
            Comparison(
                qrels="q",
                qrels_sha256="00",
                num_topics=3,
                num_without_relevant=0,
                settings=Settings(measures=("mrr",)),
                baseline=None,
                systems=full.systems[:1],
                values={"bm25": full.values["bm25"]},
                differences={},
                notes=(),
                versions={},
            )
        )
    )

    places = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert places == {"means", "topics", "made"}
    assert not [each for _, each in page.elements if each.get("class") == "warning"]

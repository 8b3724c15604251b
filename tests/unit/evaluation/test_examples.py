"""Examples are the topics with the largest range, and what each system puts first."""

from ance_plugin.records import Document, Hit
from evaluation.comparison import ShownHit
from evaluation.examples import choose_topics, clean, make_examples

VALUES = {
    "a": {"1": 0.5, "2": 1.0, "3": 0.2, "4": 0.0},
    "b": {"1": 0.5, "2": 0.0, "3": 0.9, "4": 0.7},
}


def test_topics_are_chosen_by_range():
    """The largest difference first, equal ones in order, topics of agreement never."""
    assert choose_topics(VALUES, 10) == ["2", "3", "4"]
    assert choose_topics(VALUES, 1) == ["2"]
    assert choose_topics({"a": VALUES["a"]}, 10) == []


def test_hits_have_grades_and_texts():
    """Judged hits have a grade; negative ones and missing ones none; texts come from documents."""
    tops = {"a": {"2": [Hit("x", 2.0), Hit("y", 1.0)]}, "b": {"2": [Hit("z", 3.0)] * 9}}
    documents = [Document("x", "some  text\nhere", "A title"), Document("w", "not shown")]

    (found,) = make_examples(
        ["2"], VALUES, tops, {"2": {"x": 2, "z": -1, "v": 1}}, source=documents
    )

    assert found.values == {"a": 1.0, "b": 0.0}
    assert found.num_relevant == 2
    assert found.hits["a"] == (
        ShownHit("x", 2.0, 2, "A title", "some text here"),
        ShownHit("y", 1.0, None),
    )
    assert found.hits["b"] == (ShownHit("z", 3.0, None),) * 5


def test_a_system_without_hits_shows_none():
    """A topic that a system lacks is shown as empty, and docids alone need no collection."""
    (found,) = make_examples(["2"], VALUES, {"a": {}, "b": {}}, {"2": {"x": 1}}, source=None)

    assert found.hits == {"a": (), "b": ()}


def test_long_texts_are_cut_between_words():
    """A text ends with an ellipsis after 280 characters at most."""
    words = "word " * 100
    (found,) = make_examples(
        ["2"],
        {"a": {"2": 1.0}},
        {"a": {"2": [Hit("x", 1.0)]}},
        {"2": {}},
        source=[Document("x", words)],
    )
    text = found.hits["a"][0].text

    assert text.endswith("word …")
    assert len(text) <= 282


def test_what_utf_8_cannot_hold_is_replaced():
    """Half a surrogate pair, as JSON may have it, becomes a question mark."""
    assert clean(" a\ud800 b\n\nc ") == "a? b c"

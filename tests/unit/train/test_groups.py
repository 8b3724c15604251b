"""Groups are made of judged positives and their negatives, and drawn by seed and step."""

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.records import Document, Topic
from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings
from ance_plugin.train.groups import GroupSampler, make_groups, read_group_documents
from ance_plugin.train.negatives.rows import TopicNegatives


def make_row(qid, positives, negatives):
    unknown = (None,) * len(negatives)
    sources = ("bm25",) * len(negatives)
    return TopicNegatives(
        qid, positives, (None,) * len(positives), negatives, unknown, unknown, sources
    )


def test_qrels_decide_who_is_a_positive_and_no_positive_is_a_negative():
    """A row's positives that they do not call relevant are dropped, and its negatives that are."""
    rows = [make_row("q", ("a", "b"), ("c", "d")), make_row("r", ("a",), ("c",))]
    topics = [Topic("q", "red"), Topic("r", "green")]

    (group,) = make_groups(rows, topics, qrels={"q": {"a": 0, "b": 2, "c": 1}})

    assert (group.qid, group.positives, group.negatives) == ("q", ("b",), ("d",))


def test_nothing_to_learn_from_is_an_error():
    """Topics of another collection, say."""
    with pytest.raises(FormatError, match="none of 1 topics of the negatives"):
        make_groups([make_row("q", ("a",), ("c",))], [Topic("r", "green")])


def test_documents_that_are_missing_are_named():
    """Before any training."""
    groups = make_groups([make_row("q", ("a",), ("c", "b"))], [Topic("q", "red")])

    with pytest.raises(FormatError, match=r"C: has no document b, .*3 needed, 2 found"):
        read_group_documents(groups, [Document("a", ""), Document("c", "")], source="C")


def test_every_topic_comes_once_before_any_comes_again():
    """Three steps of four are two rounds of six topics, in two orders."""
    rows = [make_row(f"q{n}", (f"p{n}",), ("x", "y", "z")) for n in range(6)]
    groups = make_groups(rows, [Topic(f"q{n}", f"text {n}") for n in range(6)])
    sampler = GroupSampler(groups, batch_size=4, negatives_per_topic=2, seed=3)

    drawn = [group for step in range(3) for group in sampler.draw(step)]

    first, second = ([group.query for group in part] for part in (drawn[:6], drawn[6:]))
    assert sorted(first) == sorted(second) == [f"text {n}" for n in range(6)]
    assert first != second
    assert all(group.docids[0] == f"p{group.query[-1]}" for group in drawn)
    assert all(len(set(group.docids[1:])) == 2 for group in drawn)
    assert sampler.draw(1) == drawn[4:8]


@pytest.mark.parametrize(
    "values",
    [
        {"num_steps": 0},
        {"negatives_per_topic": 0},
        {"loss": "hinge"},
        {"learning_rate": 0.0},
        {"precision": "fp16"},
        {"save_steps": 0},
        {"max_grad_norm": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(values):
    """Each error names the setting and what was found."""
    (name,) = values

    with pytest.raises(ValueError, match=f"{name} must be"):
        CrossEncoderSettings(**values)

"""The negatives in use: rows of a table's docids, and the teacher's scores of them."""

import logging

import numpy as np
import pytest

from ance_plugin.errors import FormatError
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.negatives.table import read_negatives, write_negatives
from ance_plugin.train.pool import EmptyPool, TablePool, check_pool


@pytest.fixture
def make_pool(make_corpus, tmp_path):
    def make(**teacher):
        row = TopicNegatives(
            "q",
            ("d1",),
            (None,),
            ("d3", "gone", "d0"),
            (1.0, 0.5, None),
            (1, 2, None),
            ("ann", "ann", "random"),
            **teacher,
        )
        write_negatives(tmp_path / "negatives", [row], {})
        corpus = make_corpus({f"d{number}": f"text {number}" for number in range(4)})
        return TablePool(read_negatives(tmp_path / "negatives"), corpus)

    return make


def test_rows_are_in_drawn_order(make_pool):
    """What the collection lacks is left out; a topic that is not in the table has none."""
    pool = make_pool()

    assert pool.rows("q", 1).tolist() == [3, 0]
    assert pool.rows("other", 1).tolist() == []
    assert (pool.has_rows("q"), pool.has_rows("other")) == (True, False)


@pytest.mark.parametrize(
    ("margin", "positive", "expected"),
    [
        (None, 1, [3, 4, 5, 6]),
        (0.0, 0, [3, 4, 5, 6]),  # the best positive, by which mining left out the rest
        (0.0, 1, [4, 5, 6]),
        (0.2, 1, [5, 6]),
        (0.0, 2, [6]),
        (0.0, 9, [3, 4, 5, 6]),  # its score is not known
    ],
)
def test_margin_is_to_the_positive_that_is_shown(make_corpus, tmp_path, margin, positive, expected):
    """Scores 0.9, 0.5 and 0.1 of the positives; of 0.6, 0.45 and 0.2 only what is below stays.

    A random negative has no score and stays, too; BM25's are of another scale.
    """
    row = TopicNegatives(
        "q",
        ("d0", "d1", "d2", "d9"),
        (0.9, 0.5, 0.1, None),
        ("d3", "d4", "d5", "d6"),
        (0.6, 0.45, 0.2, None),
        (1, 2, 3, None),
        ("ann", "ann", "ann", "random"),
    )
    write_negatives(tmp_path / "negatives", [row], {})
    corpus = make_corpus({f"d{number}": f"text {number}" for number in range(10)})
    table = read_negatives(tmp_path / "negatives")

    assert TablePool(table, corpus, MiningSettings(margin=margin)).rows("q", positive).tolist() == (
        expected
    )
    bm25 = MiningSettings(margin=margin, mix={"bm25": 1.0})
    assert TablePool(table, corpus, bm25).rows("q", positive).tolist() == [3, 4, 5, 6]


def test_where_all_are_above_the_positive_the_lowest_stays(make_corpus, tmp_path):
    """A visit needs a negative."""
    row = TopicNegatives(
        "q",
        ("d0",),
        (-0.5,),
        ("d1", "d2", "d3"),
        (0.3, -0.4, 0.1),
        (1, 3, 2),
        ("ann", "ann", "ann"),
    )
    write_negatives(tmp_path / "negatives", [row], {})
    corpus = make_corpus({f"d{number}": f"text {number}" for number in range(4)})
    pool = TablePool(read_negatives(tmp_path / "negatives"), corpus, MiningSettings(margin=0.0))

    assert pool.rows("q", 0).tolist() == [2]


def test_teacher_scores_of_positives_and_negatives(make_pool):
    """Scores are looked up by document, in the order of the rows."""
    pool = make_pool(teacher_scores=(0.5, 9.0, -2.0), positive_teacher_scores=(4.0,))

    assert pool.teacher_scores("q", np.array([1, 0, 3])).tolist() == [4.0, -2.0, 0.5]


def test_table_without_a_teacher_says_so(make_pool):
    """A loss that learns from a teacher is told that the table has none."""
    with pytest.raises(ValueError, match="the negatives of topic q have no teacher's scores"):
        make_pool().teacher_scores("q", np.array([1]))


def test_topics_without_negatives_are_counted(make_pool, caplog):
    """Two of three, of which the first is named."""
    with caplog.at_level(logging.WARNING):
        check_pool(make_pool(), ["a", "q", "b"], step=7)

    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 topics have no negatives, as a; others are visited in their place"
    ]


def test_nothing_is_said_where_all_have_negatives(make_pool, caplog):
    """A filter that left each topic something is no reason to warn."""
    check_pool(make_pool(), ["q"], step=7)

    assert caplog.records == []


def test_negatives_of_no_topic_are_an_error(make_pool):
    """The message names the refresh, and what may have left nothing."""
    with pytest.raises(FormatError, match="the refresh of step 7 left no topic any negatives; is"):
        check_pool(make_pool(), ["a", "b"], step=7)


def test_empty_pool_has_nothing():
    """Before the first refresh there are in-batch negatives alone."""
    pool = EmptyPool()

    assert pool.rows("q", 1).tolist() == []
    assert not pool.has_rows("q")
    assert pool.teacher_scores("q", np.array([1, 2])).tolist() == [0.0, 0.0]

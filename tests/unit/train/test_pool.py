"""The negatives in use: rows of a table's docids, and the teacher's scores of them."""

import logging

import numpy as np
import pytest

from ance_plugin.errors import FormatError
from ance_plugin.train.negatives.rows import TopicNegatives
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

    assert pool.rows("q").tolist() == [3, 0]
    assert pool.rows("other").tolist() == []
    assert (pool.has_rows("q"), pool.has_rows("other")) == (True, False)


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

    assert pool.rows("q").tolist() == []
    assert not pool.has_rows("q")
    assert pool.teacher_scores("q", np.array([1, 2])).tolist() == [0.0, 0.0]

"""Each strategy's negatives, and how many are in the top."""

import numpy as np
import pytest

from ance_plugin.records import Hit, Topic
from ance_plugin.train.topics import TrainingTopics
from evaluation.negatives.strategies import (
    RowPool,
    draw_in_batch,
    draw_random,
    keep_negatives,
    list_run,
    measure_share,
)


class Documents:
    """What is asked of a tokenized collection here."""

    docids = tuple(f"d{row}" for row in range(8))
    rows = {docid: row for row, docid in enumerate(docids)}  # noqa: RUF012
    num_documents = len(docids)


@pytest.fixture
def topics():
    """Four topics, the positives of which are rows 0 and 1, 2, 3, and 4."""
    positives = [np.array(rows) for rows in ([0, 1], [2], [3], [4])]
    tokens = [np.array([5])] * 4
    return TrainingTopics([Topic(f"q{n}", "text") for n in range(4)], tokens, positives)


def as_lists(rows):
    return [own.tolist() for own in rows]


def test_positives_and_gaps_are_no_negatives():
    """What is left keeps its order and is cut after that."""
    rows = [np.array([5, 0, -1, 7, 6]), np.array([2, -1])]
    excluded = [np.array([0, 7]), np.array([2])]

    assert as_lists(keep_negatives(rows, excluded, 2)) == [[5, 6], []]
    assert as_lists(keep_negatives(rows, excluded, 1)) == [[5], []]


def test_the_share_is_of_all_negatives_together():
    """Two of three; topics without negatives count nothing; none at all have no share."""
    negatives = [np.array([1, 2]), np.array([3]), np.array([], int)]
    top = [np.array([2, 5]), np.array([3]), np.array([9])]

    assert measure_share(negatives, top) == pytest.approx(2 / 3)
    assert measure_share([np.array([], int)], [np.array([1])]) is None


def test_in_batch_negatives_are_other_topics_first_positives(topics):
    """Never the topic's own; as many as a batch has others, or as there are."""
    small = draw_in_batch(topics, batch_size=3, seed=0)
    large = draw_in_batch(topics, batch_size=32, seed=0)

    assert [len(own) for own in small] == [2] * 4
    firsts = {0, 2, 3, 4}
    for own, whole, first in zip(small, large, (0, 2, 3, 4), strict=True):
        assert set(whole.tolist()) == firsts - {first}
        assert set(own.tolist()) < firsts - {first}
    assert as_lists(draw_in_batch(topics, batch_size=3, seed=0)) == as_lists(small)


def test_random_documents_are_drawn_once_each(topics):
    """The same for a seed, others for another; all where fewer are there."""
    drawn = draw_random(topics, Documents, count=4, seed=0)

    assert all(len(set(own.tolist())) == 4 for own in drawn)
    assert as_lists(drawn) == as_lists(draw_random(topics, Documents, count=4, seed=0))
    assert as_lists(drawn) != as_lists(draw_random(topics, Documents, count=4, seed=1))
    assert sorted(draw_random(topics, Documents, count=99, seed=0)[0].tolist()) == list(range(8))


def test_runs_become_rows(topics):
    """Unknown documents and topics leave gaps."""
    run = {"q0": [Hit("d3", 2.0), Hit("gone", 1.0)]}

    assert as_lists(list_run(run, topics, Documents)) == [[3, -1], [], [], []]


def test_pools_have_rows_and_no_teacher():
    """A loss that asks for a teacher is refused."""
    pool = RowPool({"q": np.array([1]), "none": np.array([], int)})

    assert pool.has_rows("q")
    assert not pool.has_rows("none")
    assert not pool.has_rows("other")
    with pytest.raises(ValueError, match="have no teacher's scores"):
        pool.teacher_scores("q", np.array([1]))

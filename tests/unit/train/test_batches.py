"""Batches: which topics, positives and negatives a step shows, and what may not count."""

import math

import numpy as np
import pytest

from ance_plugin.train.batches import BatchSampler

NUM_DOCUMENTS = 12


class Pool:
    """Negatives (qid -> rows) as they were given; a row's teacher score is ten times the row."""

    def __init__(self, negatives):
        self._negatives = negatives

    def rows(self, qid, positive):
        return np.array(self._negatives.get(qid, []), dtype=np.int64)

    def has_rows(self, qid):
        return bool(self._negatives.get(qid))

    def teacher_scores(self, qid, rows):
        return np.array([10.0 * row for row in rows], dtype=np.float32)


@pytest.fixture
def make_sampler(make_corpus, make_topics):
    """Return a function that makes a sampler over documents d0 to d11, each with a text."""

    def make(positives, *, texts=None, tokens=None, **changes):
        texts = texts or {f"d{row}": f"text {row}" for row in range(NUM_DOCUMENTS)}
        settings = {"batch_size": 2, "negatives_per_topic": 1, "in_batch_weight": 1.0}
        corpus = make_corpus(texts, tokens=tokens)
        return BatchSampler(corpus, make_topics(positives), **settings | changes)

    return make


def row_of(batch, column):
    """Give the row of a document that is in one piece: its token is 100 more."""
    return int(batch.documents[column][0][0]) - 100


def topics_of(batch):
    """Give the numbers of a batch's topics: their token is 10 more."""
    return [int(tokens[0]) - 10 for tokens in batch.queries]


def same(one, other):
    """Say whether two batches are equal in all they hold."""
    arrays = ("positives", "negatives", "bias")
    return (
        topics_of(one) == topics_of(other)
        and [row_of(one, c) for c in range(len(one.documents))]
        == [row_of(other, c) for c in range(len(other.documents))]
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


FIVE = {f"q{topic}": [topic] for topic in range(5)}
OWN = Pool({qid: [row + 5, row + 6] for qid, (row,) in FIVE.items()})


def test_every_topic_is_shown_once_an_epoch(make_sampler):
    """Of five topics in batches of two, each five places in a row have all, in another order."""
    sampler = make_sampler(FIVE)

    shown = [topic for number in range(10) for topic in topics_of(sampler.draw(number, OWN))]
    epochs = [shown[start : start + 5] for start in range(0, 20, 5)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_batch_larger_than_the_topics_shows_them_again(make_sampler):
    """A batch goes on in the next epoch where there are too few topics."""
    sampler = make_sampler({"q0": [0], "q1": [1]}, batch_size=5)

    shown = topics_of(sampler.draw(0, Pool({"q0": [5], "q1": [6]})))

    assert sorted(shown[:2]) == sorted(shown[2:4]) == [0, 1]


def test_batch_depends_on_seed_and_number_alone(make_sampler):
    """A batch is the same whichever were drawn before it; of another seed it is another one."""
    first, second = make_sampler(FIVE, seed=3), make_sampler(FIVE, seed=3)
    others = make_sampler(FIVE, seed=4)
    in_order = [first.draw(number, OWN) for number in range(8)]

    assert all(same(second.draw(number, OWN), in_order[number]) for number in (7, 0, 4, 4))
    assert not all(same(others.draw(number, OWN), in_order[number]) for number in range(8))


def test_positives_and_negatives_come_in_turn(make_sampler):
    """Visit v of a topic shows positive v, and negatives from v times x; lists go in circles."""
    sampler = make_sampler({"q0": [4, 2, 7]}, batch_size=1, negatives_per_topic=2)
    batches = [sampler.draw(number, Pool({"q0": [9, 8, 1]})) for number in range(4)]

    assert [row_of(batch, batch.positives[0]) for batch in batches] == [4, 2, 7, 4]
    shown = [[row_of(batch, column) for column in batch.negatives[0]] for batch in batches]
    assert shown == [[9, 8], [1, 9], [8, 1], [9, 8]]


def test_one_document_has_one_column(make_sampler):
    """The negative of one topic that is another's positive is encoded once."""
    sampler = make_sampler({"q0": [0], "q1": [1]})

    batch = sampler.draw(0, Pool({"q0": [1], "q1": [5]}))

    rows = [row_of(batch, column) for column in range(len(batch.documents))]
    assert sorted(rows) == [0, 1, 5]


def test_bias_lets_count_what_is_known_to_be_wrong(make_sampler):
    """0 for own documents, log(weight) for others', minus infinity for positives and copies.

    q0 has positives 0 and 1; document 6, a negative of q1, reads as document 1 does.
    """
    texts = {f"d{row}": f"text {1 if row == 6 else row}" for row in range(NUM_DOCUMENTS)}
    sampler = make_sampler({"q0": [0, 1], "q1": [3]}, texts=texts, in_batch_weight=0.25)

    batch = sampler.draw(0, Pool({"q0": [5], "q1": [6]}))

    place = topics_of(batch).index(0)
    bias = {row_of(batch, c): float(v) for c, v in enumerate(batch.bias[place])}
    assert bias[0] == bias[5] == 0.0
    assert bias[3] == pytest.approx(math.log(0.25))
    assert bias[6] == -math.inf
    other = {row_of(batch, c): float(v) for c, v in enumerate(batch.bias[1 - place])}
    assert other[3] == other[6] == 0.0
    assert other[0] == other[5] == pytest.approx(math.log(0.25))


def test_weight_0_leaves_out_the_documents_of_others(make_sampler):
    """With in_batch_weight 0 a topic sees its own positive and negatives alone."""
    batch = make_sampler(FIVE, in_batch_weight=0.0).draw(0, OWN)

    assert np.isfinite(batch.bias).sum(axis=1).tolist() == [2, 2]
    assert (batch.bias[np.isfinite(batch.bias)] == 0).all()


def test_topic_without_negatives_gives_its_visit_to_the_next_one(make_sampler):
    """In the order of its epoch, from whose end one goes on at its start.

    With negatives of all the order is seen; without those of q1 and q3 each stands for the next.
    """
    order = topics_of(make_sampler(FIVE, batch_size=5).draw(0, OWN))
    trained = {0, 2, 4}
    pool = Pool({f"q{topic}": [topic + 5, topic + 6] for topic in trained})

    batch = make_sampler(FIVE, batch_size=5).draw(0, pool)

    twice = order + order
    expected = [next(t for t in twice[place:] if t in trained) for place in range(5)]
    assert topics_of(batch) == expected
    for topic, columns in zip(expected, batch.negatives, strict=True):
        assert {row_of(batch, column) for column in columns} <= {topic + 5, topic + 6}


def test_nothing_can_be_drawn_without_negatives(make_sampler):
    """Where no topic has any there is nobody to give a visit to."""
    with pytest.raises(ValueError, match="no topic has negatives"):
        make_sampler(FIVE).draw(0, Pool({}))


def test_topics_without_negatives_are_shown_where_none_are_asked_for(make_sampler):
    """With negatives_per_topic 0 each topic keeps its own visit."""
    batch = make_sampler(FIVE, negatives_per_topic=0, batch_size=5).draw(0, Pool({}))

    assert sorted(topics_of(batch)) == [0, 1, 2, 3, 4]


def test_no_negatives_of_their_own(make_sampler):
    """With negatives_per_topic 0 there are the positives of the batch alone."""
    batch = make_sampler(FIVE, negatives_per_topic=0).draw(0, OWN)

    assert batch.negatives.shape == (2, 0)
    assert len(batch.documents) == 2
    assert batch.bias.shape == (2, 2)


def test_long_documents_come_in_pieces(make_sampler):
    """MaxP cuts a document into chunks; the last one is shorter, and no token is lost."""
    tokens = [[1, 2, 3, 4, 5], [6, 7], [8]]
    sampler = make_sampler(
        {"q0": [0]},
        texts={"a": "one", "b": "two", "c": "three"},
        tokens=tokens,
        batch_size=1,
        chunk_tokens=2,
    )

    batch = sampler.draw(0, Pool({"q0": [1]}))

    pieces = [[piece.tolist() for piece in document] for document in batch.documents]
    assert pieces == [[[1, 2], [3, 4], [5]], [[6, 7]]]


def test_teacher_scores_are_the_positives_first(make_sampler):
    """With a teacher a batch has the score of the positive, then those of its negatives."""
    sampler = make_sampler(
        {"q0": [3]}, batch_size=1, negatives_per_topic=2, has_teacher=True, in_batch_weight=0.0
    )

    batch = sampler.draw(1, Pool({"q0": [7, 9, 1]}))

    assert batch.teacher.tolist() == [[30.0, 10.0, 70.0]]

"""Training topics: which can be trained, and what their positives are."""

import logging

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.records import Topic
from ance_plugin.train.topics import TrainingTopics, find_positives


@pytest.fixture
def corpus(make_corpus):
    return make_corpus({"d1": "one", "d2": "two", "d3": "three"})


def test_positives_come_by_relevance_then_docid(corpus):
    """Relevance 0 and below is no positive, and what the collection lacks is left out."""
    judged = {"d3": 1, "d1": 1, "d2": 2, "absent": 3, "d0": 0}

    assert find_positives(judged, corpus).tolist() == [1, 0, 2]
    assert find_positives({"d1": 0, "d2": -1}, corpus).tolist() == []


def test_topics_without_a_positive_are_left_out(corpus, encoder, caplog):
    """Their number is logged; the rest keep the order of the source, and the encoder's tokens."""
    topics = [Topic("b", "qc1 qm2"), Topic("none", "f1"), Topic("a", "f2")]
    qrels = {"a": {"d2": 1}, "b": {"d1": 1}, "none": {"absent": 1}}

    with caplog.at_level(logging.WARNING):
        found = TrainingTopics.load(topics, qrels, corpus, encoder)

    assert [topic.qid for topic in found.topics] == ["b", "a"]
    assert len(found) == 2
    expected = encoder.tokenize_queries(["qc1 qm2", "f2"])
    assert [tokens.tolist() for tokens in found.tokens] == expected
    assert [rows.tolist() for rows in found.positives] == [[0], [1]]
    assert "1 of 3 training topics have no relevant document" in caplog.text


def test_no_topic_with_a_positive_is_an_error(corpus, encoder):
    """The message asks whether topics, judgments and collection belong together."""
    with pytest.raises(FormatError, match=r"none of the 1 training topics .* of one dataset"):
        TrainingTopics.load([Topic("q", "f1")], {"q": {"elsewhere": 1}}, corpus, encoder)


def test_few_topics_with_a_positive_are_an_error(corpus, encoder):
    """Other collections have docids such as 1 and 2 too, and would be trained on by chance."""
    topics = [Topic(f"q{number}", "f1") for number in range(21)]
    qrels = {topic.qid: {"elsewhere": 1} for topic in topics} | {"q3": {"d1": 1}, "q4": {"d2": 1}}

    with pytest.raises(FormatError, match="only 2 of 21 training topics have a relevant document"):
        TrainingTopics.load(topics, qrels, corpus, encoder)
    assert len(TrainingTopics.load(topics[:20], qrels, corpus, encoder)) == 2

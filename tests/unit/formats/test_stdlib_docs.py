"""What holds for ``pydoc``, the collection that every Python carries."""

import itertools
import subprocess
import sys

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats import stdlib_docs
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics

SPLITS = ("train", "dev", "test")
ANOTHER_PROCESS = """
from ance_plugin.formats.collection import Collection
print(Collection("pydoc").scan().sha256)
"""


@pytest.fixture(scope="module")
def documents():
    """Return the documents by docid."""
    return {document.docid: document for document in Collection("pydoc")}


@pytest.fixture(scope="module")
def topics():
    """Return the topics of each split."""
    return {split: read_topics(f"pydoc/{split}") for split in SPLITS}


def test_documents_are_a_few_thousand_in_the_order_of_their_names(documents):
    """Enough to rank, little enough to encode in a minute."""
    docids = list(documents)

    assert 3_000 < len(docids) < 20_000
    assert docids == sorted(docids)
    assert docids[0].startswith("__future__")
    assert docids[-1].startswith("zoneinfo")


def test_document_is_name_signature_and_body(documents):
    """The first paragraph is kept for topics."""
    found = documents["textwrap.dedent"]

    assert found.title == "textwrap.dedent(text)"
    assert "make triple-quoted strings line up" in found.text
    assert "Remove any common leading whitespace" not in found.contents


@pytest.mark.slow
def test_another_process_reads_the_same_collection():
    """Neither hash seeds nor the order of a folder show."""
    command = [sys.executable, "-c", ANOTHER_PROCESS]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert theirs.stdout.strip() == Collection("pydoc").scan().sha256


def test_docids_are_unique():
    """Redefinitions in an ``else`` branch count once."""
    Collection("pydoc").scan()


def test_splits_have_no_topic_in_common(topics):
    """Neither qid nor text, so tuning on dev says nothing of test."""
    for one, other in itertools.combinations(topics.values(), 2):
        assert {topic.qid for topic in one}.isdisjoint(topic.qid for topic in other)
        assert {topic.text for topic in one}.isdisjoint(topic.text for topic in other)


def test_splits_have_their_shares(topics):
    """60, 20 and 20 percent, give or take chance."""
    total = sum(map(len, topics.values()))
    shares = [len(topics[split]) / total for split in SPLITS]

    assert total > 1_000
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.04)


def test_topics_are_sentences(topics):
    """Four words at least, on one line."""
    for topic in itertools.chain.from_iterable(topics.values()):
        assert len(topic.text.split()) >= 4
        assert "\n" not in topic.text


def test_document_does_not_contain_its_topic(documents, topics):
    """Otherwise BM25 would be asked to find a copy."""
    leaked = [
        topic.qid
        for topic in itertools.chain.from_iterable(topics.values())
        if topic.text in documents[topic.qid].contents
    ]

    assert leaked == []


@pytest.mark.parametrize("split", SPLITS)
def test_each_topic_has_its_document_and_no_other(documents, topics, split):
    """Qrels name documents that exist."""
    qrels = read_qrels(f"pydoc/{split}")

    assert qrels == {topic.qid: {topic.qid: 1} for topic in topics[split]}
    assert all(docid in documents for judged in qrels.values() for docid in judged)


@pytest.mark.parametrize("name", ["pydoc/validation", "pydoc/", "pydoc", "pydoc/test/x"])
@pytest.mark.parametrize("read", [read_topics, read_qrels])
def test_unknown_split_is_an_error(read, name):
    """The message lists those there are."""
    with pytest.raises(FormatError, match="no such split; there are train, dev, test"):
        read(name)


def test_sources_are_parsed_and_not_imported():
    """Reading about ``antigravity`` opens no browser."""
    list(stdlib_docs.iter_documents())

    assert "antigravity" not in sys.modules

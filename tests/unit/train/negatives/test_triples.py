"""MS MARCO's triples, as ids and as texts, become rows of negatives."""

import gzip
import re

import pytest

from ance_plugin.errors import FormatError, MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.records import Topic
from ance_plugin.train.corpus import tokenize_corpus
from ance_plugin.train.negatives.mining import Miner, MiningSettings
from ance_plugin.train.negatives.triples import read_triples

TEXTS = {
    "1": "the ant sees the bear",
    "2": "a cat chases the dog",
    "3": "the  elk eats the fox",
    "4": "a cat chases the dog",  # a copy of 2
    "5": "the goat likes the hare",
    "6": "the ibis sees the jay",
}
QRELS = {"10": {"1": 1, "5": 0}, "20": {"2": 1, "3": 2}}
IDS = "20\t2\t6\n10\t1\t3\n20\t3\t4\n20\t3\t2\n20\t2\t6\n10\t1\t2\n20\t2\t1\n20\t2\t5\n"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines, gzipped if the name says so."""

    def write_file(content, name="triples.tsv"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.mark.parametrize("name", ["qidpidtriples.train.tsv", "qidpidtriples.train.tsv.gz"])
def test_ids_are_grouped_by_topic(make_miner, write, name):
    """First come, first served; positives and their copies are dropped and counted by line."""
    miner = make_miner(QRELS, texts=TEXTS, num_negatives=2)

    first, second = read_triples(write(IDS, name), miner)

    assert (first.qid, first.positives) == ("20", ("3", "2"))
    assert first.negatives == ("6", "1")
    assert first.sources == ("triples", "triples")
    assert first.num_dropped == {"duplicate": 1, "positive": 1}
    assert (second.qid, second.negatives) == ("10", ("3", "2"))
    assert first.scores == first.ranks == (None, None)
    assert first.positive_scores == (None, None)


def test_what_a_topic_lacks_is_random(make_miner, write):
    """Other documents, no positive or copy among them, up to the number asked for."""
    miner = make_miner(QRELS, texts=TEXTS, num_negatives=3)

    (row,) = read_triples(write("20 2 6\n\n"), miner)

    assert row.sources == ("triples", "random", "random")
    assert row.negatives[0] == "6"
    assert sorted(row.negatives[1:]) == ["1", "5"]


@pytest.mark.parametrize("content", ["1\t2\t3\n4\t5\n", "1\t2\t3\n4\t5\t6\t0.5\n"])
def test_other_columns_are_an_error(make_miner, write, content):
    """With file and line."""
    path, miner = write(content), make_miner(QRELS, texts=TEXTS)

    columns = content.splitlines()[1].count("\t") + 1
    message = f"{path}:2: expected .*found {columns} columns"
    with pytest.raises(FormatError, match=message):
        list(read_triples(path, miner))


def test_a_file_is_looked_at_before_it_is_read(make_miner, write, tmp_path):
    """A missing or empty one, texts without topics, and damaged gzip."""
    miner = make_miner(QRELS, texts=TEXTS)
    damaged = write("")
    damaged = damaged.rename(tmp_path / "damaged.gz")
    damaged.write_bytes(gzip.compress(IDS.encode())[:-12])

    with pytest.raises(FileNotFoundError, match="expected triples"):
        read_triples(tmp_path / "missing.tsv", miner)
    with pytest.raises(FormatError, match="has no lines"):
        read_triples(write("\n \n"), miner)
    with pytest.raises(ValueError, match="holds texts, give the topics"):
        read_triples(write("who sees it\tthe ant\tthe bear\n"), miner)
    with pytest.raises(FormatError, match=r"damaged\.gz:\d+: gzip data is damaged"):
        list(read_triples(damaged, miner))


@pytest.mark.parametrize("line", ["30\t2\t6", "20\t9\t6", "20\t2\t9", "10\t5\t6", "10\t3\t6"])
def test_a_hundredth_may_match_nothing(make_miner, write, line):
    """An unknown topic or document, or a positive that is none; one line more is an error."""
    miner = make_miner(QRELS, texts=TEXTS, num_negatives=1)
    good = "10\t1\t3\n" * 99

    (row,) = read_triples(write(f"{good}{line}\n"), miner)
    with pytest.raises(MismatchError, match=r":100: names a topic.* as do 2 of 101 lines"):
        list(read_triples(write(f"{good}{line}\n{line}\n"), miner))

    assert (row.qid, row.negatives) == ("10", ("3",))


def test_a_foreign_file_is_refused_early(make_miner, write):
    """After its first ten thousand lines, none of which matches."""
    path = write("9\t8\t7\n" * 10_000 + "malformed\n")

    with pytest.raises(MismatchError, match=r":1: .* as do 10000 of 10000 lines"):
        list(read_triples(path, make_miner(QRELS, texts=TEXTS)))


class TestTexts:
    TOPICS = (Topic("10", "who sees the bear"), Topic("30", "what  chases"))
    TOPICS += (Topic("20", "what chases"),)  # the same query again, and this one is judged

    @pytest.fixture
    def miner(self, write, tiny_checkpoint, tmp_path):
        """A miner over a collection that was tokenized for real."""
        from ance_plugin.encode.encoder import Encoder

        encoder = Encoder.load(str(tiny_checkpoint), overrides={"is_lowercased": True})
        lines = "".join(f"{docid}\t{text}\n" for docid, text in TEXTS.items())
        collection = Collection(str(write(lines, "collection.tsv")))
        corpus = tokenize_corpus(collection, encoder, tmp_path / "tokens", max_tokens=16)
        return Miner(corpus, QRELS, MiningSettings(num_negatives=2), seed=1)

    @pytest.mark.parametrize("name", ["triples.train.small.tsv", "triples.train.small.tsv.gz"])
    def test_texts_find_their_topics_and_documents(self, miner, write, name):
        """But for white space and what the encoder lower-cases, exactly."""
        lines = [
            ("who sees the bear", TEXTS["1"], "The elk eats the fox"),
            ("what chases", TEXTS["2"], TEXTS["6"]),
            ("what chases ", "the elk  eats the fox", TEXTS["4"]),
            ("who sees the bear", TEXTS["1"], TEXTS["4"]),
        ]
        content = "".join("\t".join(line) + "\n" for line in lines)

        first, second = read_triples(write(content, name), miner, topics=self.TOPICS)

        assert (first.qid, first.negatives) == ("10", ("3", "2"))
        assert (second.qid, second.negatives[0]) == ("20", "6")
        assert second.sources == ("triples", "random")
        assert second.num_dropped == {"positive": 1}

    def test_a_text_that_is_not_there_matches_nothing(self, miner, write):
        """Nor does part of one."""
        path = write(f"who sees the bear\t{TEXTS['1']}\tthe elk eats\n")

        with pytest.raises(MismatchError, match=re.escape(f"{path}:1: names a topic")):
            list(read_triples(path, miner, topics=self.TOPICS))

"""Files with every kind of dirt: each is refused with its place, or read as is documented."""

import json

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats import lines
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run, write_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.ranking import rank
from ance_plugin.records import Hit

ODD_TEXTS = {
    "empty": "",
    "white space": " \t ",
    "a million letters": "fox " * 250_000,
    "NUL": "a\0b",
    "control characters": "\x01\x1b[31mred\x07",
    "right to left": "שלום \u202eעולם",  # noqa: RUF001
    "emoji": "👍🏽😀",
}
ODD_IDS = [
    "007",
    "a/b",
    "../../x",
    "ünïcode",
    "日本",
    "a\"b'c",
    "<b>&",
    "#",
    "-1",
    "1e3",
    "x" * 8000,
]
BAD_IDS = {
    "": "is empty",
    "a b": "has white space",
    "a\u00a0b": "has white space",
    "a\x1b[2J": "holds a control character",
    "a\0": "holds a control character",
    "x" * 8001: "is too long",
}


def write_docs(path, documents):
    lines = (json.dumps({"id": docid, "contents": text}) for docid, text in documents)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Collection(str(path))


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=list(ODD_TEXTS))
def test_odd_texts_are_read_as_they_are(tmp_path, text):
    """A collection may hold any Unicode text."""
    collection = write_docs(tmp_path / "docs.jsonl", [("d", text)])

    assert [document.text for document in collection] == [text]
    assert collection.scan().num_documents == 1


def test_odd_ids_stay_strings_everywhere(tmp_path):
    """Leading zeros, slashes and other scripts come back from collection and run alike."""
    collection = write_docs(tmp_path / "docs.jsonl", [(docid, "x") for docid in ODD_IDS])
    hits = [Hit(docid, float(-place)) for place, docid in enumerate(ODD_IDS)]
    write_run(tmp_path / "run.trec", {"001": hits}, tag="t")

    assert [document.docid for document in collection] == ODD_IDS
    assert read_run(tmp_path / "run.trec") == {"001": hits}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["docs.jsonl", "run.trec"]


@pytest.mark.parametrize(("docid", "problem"), BAD_IDS.items(), ids=lambda value: value[:12])
def test_id_that_no_run_can_carry_is_refused_with_its_line(tmp_path, docid, problem):
    """Before any long work starts."""
    collection = write_docs(tmp_path / "docs.jsonl", [("ok", "x"), (docid, "x")])

    with pytest.raises(FormatError, match=rf"docs\.jsonl:2: docid .*{problem}"):
        collection.scan()


def test_run_with_an_id_of_two_words_is_not_written(tmp_path):
    """Its lines would have seven columns; whoever made the index, the file is not written."""
    with pytest.raises(ValueError, match="topic 'q': 'a b' must be one word"):
        write_run(tmp_path / "run", {"q": [Hit("a", 2.0), Hit("a b", 1.0)]}, tag="t")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("header", ["qid\tquery", "id\ttext", "query-id\ttext"])
def test_header_of_topics_is_no_topic(tmp_path, caplog, header):
    """It is left out with a warning; further down the same line is data."""
    (tmp_path / "topics.tsv").write_text(f"{header}\nq1\tfox\n{header}\n")

    topics = read_topics(str(tmp_path / "topics.tsv"))

    assert [topic.qid for topic in topics] == ["q1", header.split("\t")[0]]
    assert "is taken as a header, not as data" in caplog.text


def test_header_of_a_collection_is_no_document(tmp_path, caplog):
    """As for topics."""
    (tmp_path / "docs.tsv").write_text("docid\tcontents\nd1\tfox\n")

    assert [document.docid for document in Collection(str(tmp_path / "docs.tsv"))] == ["d1"]
    assert "is taken as a header" in caplog.text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_byte_order_mark_and_line_ends_of_windows_are_dropped(tmp_path, start, end):
    """From topics, judgments, runs and collections."""

    def write(name, line):
        (tmp_path / name).write_bytes(f"{start}{line}{end}".encode())
        return str(tmp_path / name)

    assert read_topics(write("t.tsv", "1\tfox"))[0].text == "fox"
    assert read_qrels(write("q.txt", "1 0 d 1")) == {"1": {"d": 1}}
    write("r.trec", "1 Q0 d 1 2.5 t")
    assert read_run(tmp_path / "r.trec") == {"1": [Hit("d", 2.5)]}
    assert next(iter(Collection(write("c.tsv", "d\tfox")))).text == "fox"


@pytest.mark.parametrize("grade", ["1_0", "٣", "1.5", "9999999999", "high", "0x1"])
def test_grade_that_is_no_plain_integer_is_refused(tmp_path, grade):
    """Python would take the first two for numbers."""
    (tmp_path / "q.txt").write_text(f"1 0 d {grade}\n", encoding="utf-8")

    with pytest.raises(FormatError, match=r"q\.txt:1: relevance must be an integer"):
        read_qrels(str(tmp_path / "q.txt"))


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "1e999", "1_0", "x"])
def test_score_that_is_no_finite_number_is_refused(tmp_path, score):
    """Line and value are named."""
    (tmp_path / "r").write_text(f"1 Q0 d 1 {score} t\n")

    with pytest.raises(FormatError, match=r"r:1: score must be a finite number"):
        read_run(tmp_path / "r")


def test_hundred_thousand_topics_are_read(tmp_path):
    """In order, the last one too."""
    text = "".join(f"q{number}\tfox {number}\n" for number in range(100_000))
    (tmp_path / "topics.tsv").write_text(text)

    topics = read_topics(str(tmp_path / "topics.tsv"))

    assert (len(topics), topics[0].text, topics[-1].qid) == (100_000, "fox 0", "q99999")


@pytest.mark.parametrize("reader", [read_topics, read_qrels])
def test_file_without_content_or_a_folder_is_refused(tmp_path, reader):
    """Neither is a file of no topics."""
    (tmp_path / "empty.tsv").write_text("\n \n")

    with pytest.raises(FormatError, match=r"empty\.tsv: has no"):
        reader(str(tmp_path / "empty.tsv"))
    with pytest.raises(FormatError, match="is a folder"):
        reader(str(tmp_path))


def test_line_that_fills_the_memory_is_refused(tmp_path, monkeypatch):
    """A few kilobytes of gzip can hold one line of gigabytes."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 20)
    (tmp_path / "t.tsv").write_text("q\t" + "0" * (1 << 20))

    with pytest.raises(FormatError, match=r"t\.tsv:1: is longer than 1 MiB"):
        read_topics(str(tmp_path / "t.tsv"))


def test_negative_number_of_hits_is_refused():
    """As a slice it would drop the last hits without a word."""
    with pytest.raises(ValueError, match="k must be at least 0, found -1"):
        rank(["a", "b"], [1.0, 2.0], k=-1)

"""What holds for topics, whatever their format."""

import gzip
import re

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Topic

TREC = """<top>

<num> Number: 301
<title> International
Organized Crime

<desc> Description:
Identify organizations.
</top>

<top>
<num> 302
<title> Topic: Poliomyelitis
<narr> Narrative: more
</top>
"""
DPR = "who sings it\t['A', \"B's\"]\nwhen was it\t['1969']\n"


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file and reads it as topics."""

    def write_and_read(content, name="topics.tsv"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_topics(str(path))

    return write_and_read


@pytest.mark.parametrize("ending", ["", ".gz"])
class TestFormats:
    def test_tsv_is_qid_and_text(self, read, ending):
        """Qids are strings; white space around both is dropped."""
        assert read("007\t what is it \n q2 \tä\n\n", f"topics.tsv{ending}") == [
            Topic("007", "what is it"),
            Topic("q2", "ä"),
        ]

    @pytest.mark.parametrize(
        "record",
        [
            '{"qid": "1", "text": "t"}',
            '{"id": 1, "query": "t"}',
            '{"_id": "1", "text": " t ", "metadata": {}}',
            '{"query_id": 1, "question": "t"}',
            '{"qid": "1", "title": "t"}',
            '{"qid": "1", "contents": "t"}',
        ],
    )
    def test_jsonl_has_any_usual_names(self, read, ending, record):
        """BEIR's, Pyserini's and others'."""
        assert read(record + "\n", f"topics.jsonl{ending}") == [Topic("1", "t")]

    def test_trec_titles_are_the_texts(self, read, ending):
        """They may go over several lines and carry the words Number and Topic."""
        assert read(TREC, f"topics.robust04.txt{ending}") == [
            Topic("301", "International Organized Crime"),
            Topic("302", "Poliomyelitis"),
        ]

    def test_dpr_questions_are_numbered_from_zero(self, read, ending):
        """As in Pyserini."""
        assert read(DPR, f"nq-test.qa.csv{ending}") == [
            Topic("0", "who sings it"),
            Topic("1", "when was it"),
        ]


def test_formats_are_told_apart_by_content(read):
    """Endings of topics files say little."""
    assert read(TREC, "topics.txt")[0].qid == "301"
    assert read(DPR, "topics.tsv")[0].qid == "0"
    assert read("q1\tt\n", "topics.txt")[0].qid == "q1"


def test_trec_elements_may_be_closed(read):
    """``<num>301</num>``, as XML wants it."""
    content = "<top>\n<num>301</num>\n<title>organized crime</title>\n</top>\n"

    assert read(content, "topics.txt") == [Topic("301", "organized crime")]


@pytest.mark.parametrize("text", ["[unclear] what is it", "[", "[1] and [2]", "[what?]", "[1, 2]"])
def test_text_may_begin_with_a_bracket(read, text):
    """DPR's lines end in a list of strings; any other text is a text."""
    assert read(f"q1\t{text}\n") == [Topic("q1", text)]


def test_answers_with_a_backslash_are_answers(read):
    r"""Python warns of ``\d`` in a string; a reader of topics does not."""
    assert read("which pattern\t['\\d+']\n") == [Topic("0", "which pattern")]


@pytest.mark.parametrize("name", ["topics.tsv", "topics.jsonl"])
def test_byte_order_mark_is_no_part_of_a_qid(read, name):
    """Windows' editors write one, and CRLF."""
    body = "1\tt\r\n" if name.endswith("tsv") else '{"qid": "1", "text": "t"}\r\n'

    assert read("\ufeff" + body, name) == [Topic("1", "t")]


def test_unicode_line_separators_stay_inside_texts(read):
    """Only a newline ends a topic."""
    assert read("1\ta\u2028b\n") == [Topic("1", "a\u2028b")]


def test_topics_keep_the_order_of_the_file(read):
    """They are not sorted."""
    assert [topic.qid for topic in read("9\ta\n10\tb\n1\tc\n")] == ["9", "10", "1"]


FAILURES = [
    ("t.tsv", "1\ta\n2\n", 2, 'expected "qid<TAB>text", found 1 columns'),
    ("t.tsv", "1\ta\tb\n", 1, 'expected "qid<TAB>text", found 3 columns'),
    ("t.tsv", "1\ta\nq 2\tb\n", 2, "qid has white space: 'q 2'"),
    ("t.tsv", "\ta\n", 1, "qid is empty"),
    ("t.jsonl", '{"qid": "1"}\n', 1, 'expected "qid" and "text" (or "query", "title"), found qid'),
    ("t.jsonl", "{}\n", 1, "found none"),
    ("t.jsonl", '{"qid": "1", "text": ["t"]}\n', 1, 'expected "qid" and "text"'),
    ("t.jsonl", '{"text": "t"}\n', 1, "expected a qid that is a string, found None"),
    ("t.jsonl", '{"qid": "1", "text": "t"}\n{"qid"\n', 2, "is not valid JSON"),
    ("t.json", '[{"qid": "1", "text": "t"}]\n', 1, "expected a JSON object"),
    ("t.txt", "<top>\n<num> 1\n</top>\n", 1, "<top> without <num> and <title>"),
    ("t.txt", "<top>\n<num> 1\n<title> a\n", 1, "<top> has no </top>"),
    ("t.txt", f"{TREC}\n<top>\n<title> a\n</top>\n", 17, "<top> without <num> and <title>"),
    ("t.csv", f"{DPR}why\tbecause\n", 3, "expected \"question<TAB>['answer', ...]\""),
]


@pytest.mark.parametrize(("name", "content", "line", "problem"), FAILURES)
def test_malformed_line_is_named(read, tmp_path, name, content, line, problem):
    """File, line, what was found, what was expected."""
    expected = f"{re.escape(str(tmp_path / name))}:{line}: .*{re.escape(problem)}"

    with pytest.raises(FormatError, match=expected):
        read(content, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "1\ta\n2\tb\n1\ta\n"),
        ("t.jsonl", '{"qid": 1, "text": "a"}\n{"qid": "1", "text": "b"}\n'),
    ],
)
def test_qid_that_is_there_twice_is_an_error(read, name, content):
    """A run would hold only one of them."""
    with pytest.raises(FormatError, match=rf"{name}: topic 1 is there twice"):
        read(content, name)


@pytest.mark.parametrize(("name", "content"), [("t.tsv", ""), ("t.tsv", "\n\n"), ("t.jsonl", "")])
def test_file_without_topics_is_an_error(read, name, content):
    """An empty run would follow."""
    with pytest.raises(FormatError, match=f"{name}: has no topics"):
        read(content, name)


def test_folder_is_no_file_of_topics(tmp_path):
    """BEIR's folder is a collection; its queries are a file in it."""
    with pytest.raises(FormatError, match="is a folder, expected a file of topics"):
        read_topics(str(tmp_path))


def test_name_that_leads_nowhere_is_a_missing_file(tmp_path):
    """Neither a file nor a dataset."""
    with pytest.raises(FileNotFoundError, match="there is no such file, and ir-datasets has no"):
        read_topics(str(tmp_path / "none.tsv"))

"""Answers: one reader for DPR's, Pyserini's and others' files, which evaluates nothing."""

import gzip
import json

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.answers import parse_list, parse_qa_line, read_answers, unquote


@pytest.fixture
def read(tmp_path):
    """A function that writes a file of answers and reads (qid, question, answers)."""

    def call(content, name="answers.tsv"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return [(found.qid, found.question, found.answers) for found in read_answers(str(path))]

    return call


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_dpr_lines_are_lists_of_python(read, ending):
    """Either kind of quote, an apostrophe inside, escapes, a list in CSV's quotes."""
    lines = [
        "who\t['a', \"b's\"]",
        'when\t["ö"]',
        "what\t['\\u00e9', 'x\\'y']",
        'which\t"[\'a\', ""Destiny \'s Child""]"',
    ]

    assert read("\n".join([*lines, "", ""]), f"nq.qa.csv{ending}") == [
        (None, "who", ("a", "b's")),
        (None, "when", ("ö",)),
        (None, "what", ("é", "x'y")),
        (None, "which", ("a", "Destiny 's Child")),
    ]


def test_json_lines_have_ids_or_questions(read):
    """Any usual name of the id; numbers become strings; one answer may stand alone."""
    lines = [
        {"qid": 7, "answers": ["a", "b"]},
        {"id": "test_0", "question": "who", "answers": []},
        {"question": "when", "answer": "1999"},
        {"qid": "8", "answers": "['x', 'y']"},
    ]

    assert read("\n".join(map(json.dumps, lines)), "answers.jsonl") == [
        ("7", None, ("a", "b")),
        ("test_0", "who", ()),
        (None, "when", ("1999",)),
        ("8", None, ("x", "y")),
    ]


@pytest.mark.parametrize("indent", [None, 1])
def test_dpr_records_are_found_by_their_question(read, indent):
    """The training files' list of records, and what DPR's retriever writes."""
    records = [
        {"question": "who", "answers": ["a"], "positive_ctxs": [{"title": "t", "text": "x"}]},
        {"question": "when", "answers": ["b"], "ctxs": []},
    ]

    found = read(json.dumps(records, indent=indent), "nq-dev.json")

    assert found == [(None, "who", ("a",)), (None, "when", ("b",))]


@pytest.mark.parametrize("indent", [None, 4])
def test_pyserinis_retrieval_is_keyed_by_qid(read, indent):
    """What convert_trec_run_to_dpr_retrieval_run writes."""
    content = {"0": {"question": "who", "answers": ["a"], "contexts": [{"docid": "1"}]}}

    found = read(json.dumps(content, indent=indent), "retrieval.json")

    assert found == [("0", "who", ("a",))]


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        ("who\t['a']\nwhen\t__import__('os').getcwd()\n", "a.tsv", "a.tsv:2: expected"),
        ("who\t['a' for x in y]\n", "a.tsv", "a.tsv:1: expected"),
        ("who\t\"['a', Destiny 's Child]\"\n", "a.tsv", "a.tsv:1: expected"),
        ("who\t['a', 1]\n", "a.tsv", "a list of strings"),
        ('{"qid": "1", "answers": [1]}', "a.jsonl", r'"answers", a list of strings, found \[1\]'),
        ('{"qid": "1", "gold": ["x"]}', "a.jsonl", "topic qid: expected an object with answers"),
        ('{"qid": "1", "answers": ["x"]}\n{"qid": "2"}', "a.jsonl", "a.jsonl:2: .* found qid"),
        ('{"answers": ["x"]}', "a.jsonl", 'expected "qid" or "question"'),
        ('[{"answers": ["x"]}]', "a.json", 'record 1: expected "qid" or "question"'),
        ("[[1]]", "a.json", "record 1: expected an object"),
        ("[1", "a.json", "is not valid JSON"),
        ("", "a.tsv", "has no answers"),
    ],
)
def test_anything_else_is_refused_with_its_place(read, content, name, problem):
    """Code is no list; a list that lost its quotes is none either."""
    with pytest.raises(FormatError, match=problem):
        read(content, name)


def test_a_folder_and_an_unknown_name_are_refused(tmp_path):
    """With what was expected."""
    with pytest.raises(FormatError, match="is a folder"):
        read_answers(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_answers("no-such-answers")
    with pytest.raises(FileNotFoundError, match="pydoc/test: its topics have no answers"):
        read_answers("pydoc/test")


def test_datasets_without_answers_are_told_from_those_that_have_some():
    """ir-datasets' DPR sets hold answers; SciFact's topics do not, which is seen before reading."""
    import ir_datasets

    dataset = ir_datasets.load("dpr-w100/natural-questions/dev")

    assert "answers" in dataset.queries_cls()._fields
    with pytest.raises(FileNotFoundError, match="its topics have no answers"):
        read_answers("beir/scifact/test")


def test_only_lists_of_strings_are_lists():
    """A tuple, a dictionary, a number and a call are not."""
    assert parse_list(" ['a'] ") == ["a"]
    assert [parse_list(text) for text in ("('a',)", "{}", "1", "[f()]", "", '"[a]"')] == [None] * 6
    assert parse_qa_line("who\t['a']\tmore") is None


def test_questions_lose_the_quotes_of_a_csv_file():
    """Only where they are that."""
    assert unquote('"who said ""no""?"') == 'who said "no"?'
    assert unquote('who said "no"?') == 'who said "no"?'

"""What holds for collections of documents, whatever their format."""

import csv
import gzip
import io
import json
import re

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.collection import Collection
from ance_plugin.records import Document

DOCUMENTS = [Document("d1", "first text", "One"), Document("d2", "second", "")]


def to_jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def to_dpr(rows):
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerows([["id", "text", "title"], *rows])
    return file.getvalue()


@pytest.fixture
def collection(tmp_path):
    """Return a function that writes a file and opens it as a collection."""

    def make(content, name="corpus.jsonl"):
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return Collection(str(path))

    return make


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.jsonl", to_jsonl({"id": d.docid, "title": d.title, "text": d.text} for d in DOCUMENTS)),
        ("c.json", to_jsonl({"_id": d.docid, "title": d.title, "text": d.text} for d in DOCUMENTS)),
        ("c.tsv", to_dpr([d.docid, d.text, d.title] for d in DOCUMENTS)),
    ],
)
def test_title_and_text_are_read(collection, name, content, ending):
    """JSON lines and DPR's TSV, plain or gzipped, hold the same documents."""
    assert list(collection(content, name + ending)) == DOCUMENTS


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_contents_are_the_text(collection, ending):
    """Pyserini's files join the title to the text themselves."""
    content = to_jsonl([{"id": "d1", "contents": "One\nfirst text", "title": "ignored"}])

    assert list(collection(content, "c.jsonl" + ending)) == [Document("d1", "One\nfirst text")]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_tsv_without_header_is_id_and_text(collection, ending):
    """MS MARCO's; a tab within the text belongs to it, quotes are characters."""
    content = '0\tfirst "text"\n1\tsecond\twith a tab\n2\t\n'

    assert list(collection(content, "c.tsv" + ending)) == [
        Document("0", 'first "text"'),
        Document("1", "second\twith a tab"),
        Document("2", ""),
    ]


def test_dpr_fields_are_unquoted(collection):
    """Wikipedia's passages are full of quotes, doubled by the csv module."""
    text, title = 'He said "no" to\tthat', 'The "Big" One'
    written = to_dpr([["7", text, title]])

    assert '""no""' in written
    assert list(collection(written, "psgs.tsv")) == [Document("7", text, title)]


def test_dpr_text_may_be_long(collection):
    """The csv module's own limit of 131,072 characters is no limit here."""
    text = "long " * 30_000

    assert list(collection(to_dpr([["7", text, "T"]]), "psgs.tsv")) == [Document("7", text, "T")]


@pytest.mark.parametrize("field", ["id", "_id", "docid", "doc_id"])
def test_docid_may_be_a_number_under_any_usual_name(collection, field):
    """It is a string from here on."""
    content = json.dumps({field: 42, "text": "t"})

    assert list(collection(content)) == [Document("42", "t")]


def test_null_title_is_no_title(collection):
    """As some BEIR corpora have it."""
    content = json.dumps({"_id": "d", "title": None, "text": "t"})

    assert list(collection(content)) == [Document("d", "t")]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_beir_folder_is_its_corpus(collection, tmp_path, ending):
    """Its queries and qrels are no documents."""
    collection(to_jsonl([{"_id": "d1", "title": "T", "text": "t"}]), f"beir/corpus.jsonl{ending}")
    collection(to_jsonl([{"_id": "q1", "text": "query"}]), "beir/queries.jsonl")

    assert list(Collection(str(tmp_path / "beir"))) == [Document("d1", "t", "T")]


def test_folder_is_read_in_the_order_of_its_file_names(collection, tmp_path):
    """Plain and gzipped files mix; others are left alone."""
    for name, docid in (("b.jsonl.gz", "2"), ("c.json", "3"), ("a.jsonl", "1")):
        collection(to_jsonl([{"id": docid, "contents": name}]), f"folder/{name}")
    (tmp_path / "folder" / "README.md").write_text("not a document", encoding="utf-8")

    found = Collection(str(tmp_path / "folder"))

    assert [document.docid for document in found] == ["1", "2", "3"]


def test_collection_is_read_again_and_again(collection):
    """Scan, encode and index each read it whole."""
    found = collection(to_jsonl([{"id": "1", "contents": "a"}, {"id": "2", "contents": "b"}]))

    assert list(found) == list(found)


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv"])
def test_byte_order_mark_is_no_part_of_a_docid(collection, name):
    """Windows' editors write one."""
    body = to_jsonl([{"id": "d1", "text": "t"}]) if name == "c.jsonl" else "d1\tt\n"

    assert list(collection("\ufeff" + body, name)) == [Document("d1", "t")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.jsonl", '{"id": "d1", "text": "t", "title": "T"}\r\n'),
        ("c.tsv", "id\ttext\ttitle\r\nd1\tt\tT\r\n"),
    ],
)
def test_carriage_return_is_no_part_of_a_text(collection, name, content):
    """CRLF ends a line as LF does."""
    assert list(collection(content, name)) == [Document("d1", "t", "T")]


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "psgs.tsv"])
def test_unicode_line_separators_stay_inside_texts(collection, name):
    """Only a newline ends a document."""
    text = "before\u2028after\x85and\x0cmore"
    content = {
        "c.jsonl": json.dumps({"id": "d1", "text": text}, ensure_ascii=False),
        "c.tsv": f"d1\t{text}\n",
        "psgs.tsv": f"id\ttext\ttitle\nd1\t{text}\t\n",
    }

    assert list(collection(content[name], name)) == [Document("d1", text)]


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "psgs.tsv"])
def test_blank_last_line_is_no_document(collection, name):
    """Editors and ``cat`` leave one."""
    content = {
        "c.jsonl": '{"id": "d1", "text": "t"}\n\n',
        "c.tsv": "d1\tt\n\n",
        "psgs.tsv": "id\ttext\ttitle\nd1\tt\t\n\n",
    }

    assert list(collection(content[name], name)) == [Document("d1", "t")]


FAILURES = [
    ("c.jsonl", '{"id": "d1"', 1, "is not valid JSON"),
    ("c.jsonl", '\n["d1"]', 2, "expected a JSON object"),
    ("c.jsonl", '{"id": "d1", "body": "t"}', 1, 'expected "id" and "contents"'),
    ("c.jsonl", "{}", 1, "found none"),
    ("c.jsonl", '{"text": "t"}', 1, "expected a docid that is a string, found None"),
    ("c.jsonl", '{"id": "", "text": "t"}', 1, "docid is empty"),
    ("c.jsonl", '{"id": "a b", "text": "t"}', 1, "docid has white space: 'a b'"),
    ("c.jsonl", '{"id": "d1", "text": null}', 1, "text and title must be strings"),
    ("c.jsonl", '{"id": "d1", "contents": ["t"]}', 1, "contents and title must be strings"),
    ("c.jsonl", '{"id": "d1", "text": "t", "title": 5}', 1, "text and title must be strings"),
    ("c.tsv", "d1\tt\nd2 no tab", 2, 'expected "id<TAB>text", found 3 words and no tab'),
    ("c.tsv", "\tt", 1, "docid is empty"),
    ("psgs.tsv", "id\ttext\ttitle\nd1\tt", 2, 'expected "id<TAB>text<TAB>title", found 2 columns'),
    ("psgs.tsv", "id\ttext\ttitle\nd 1\tt\tT", 2, "docid has white space"),
]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(("name", "content", "line", "problem"), FAILURES)
def test_malformed_line_is_named(collection, name, content, line, problem, ending):
    """File, line, what was found, what was expected."""
    found = collection(content, name + ending)

    expected = f"{re.escape(found.name)}:{line}: .*{re.escape(problem)}"
    with pytest.raises(FormatError, match=expected):
        list(found)


@pytest.mark.parametrize("name", ["c.txt", "c.parquet", "c.txt.gz"])
def test_file_of_unknown_ending_is_refused_at_once(collection, name):
    """Before anything is read."""
    with pytest.raises(FormatError, match=r"expected a \.jsonl, \.json or \.tsv file"):
        collection("text", name)


def test_folder_without_documents_is_refused(tmp_path):
    """The message says what belongs into it."""
    with pytest.raises(FormatError, match=r"expected corpus\.jsonl or \.jsonl files"):
        Collection(str(tmp_path))


def test_name_that_leads_nowhere_is_a_missing_file(tmp_path):
    """Neither a file nor a dataset."""
    with pytest.raises(FileNotFoundError, match="there is no such file, and ir-datasets has no"):
        Collection(str(tmp_path / "none.jsonl"))

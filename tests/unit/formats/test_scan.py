"""What holds for the pass over a collection that precedes any long work."""

import json

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.collection import Collection

BASE = [{"id": "1", "title": "A", "text": "a"}, {"id": "2", "title": "B", "text": "b"}]


@pytest.fixture
def scan(tmp_path):
    """Return a function that writes records and scans them."""

    def write_and_scan(records, name="corpus.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return Collection(str(path)).scan()

    return write_and_scan


def test_documents_are_counted(scan):
    """None is left out."""
    assert scan(BASE).num_documents == 2


def test_fingerprint_is_of_the_documents_alone(scan, tmp_path):
    """Neither the file's name nor its format is part of it."""
    tsv = tmp_path / "other.tsv"
    tsv.write_text("id\ttext\ttitle\n1\ta\tA\n2\tb\tB\n", encoding="utf-8")

    assert scan(BASE) == scan(BASE, "again.jsonl") == Collection(str(tsv)).scan()


@pytest.mark.parametrize(
    "records",
    [
        BASE[::-1],
        BASE[:1],
        [*BASE, {"id": "3", "text": ""}],
        [{"id": "1", "title": "A", "text": "a."}, BASE[1]],
        [{"id": "1", "title": "a", "text": "A"}, BASE[1]],
        [{"id": "9", "title": "A", "text": "a"}, BASE[1]],
        [{"id": "1", "title": "", "text": "Aa"}, BASE[1]],
    ],
    ids=["order", "fewer", "more", "text", "swapped", "docid", "joined"],
)
def test_fingerprint_changes_with_the_content(scan, records):
    """A collection that changed is another one."""
    assert scan(records).sha256 != scan(BASE).sha256


def test_docid_that_is_there_twice_is_found(scan):
    """Wherever the second is."""
    records = [{"id": str(number), "text": "t"} for number in (1, 2, 3, 2)]

    expected = r"corpus\.jsonl: docid 2 is there twice, again in document 4"
    with pytest.raises(FormatError, match=expected):
        scan(records)


def test_number_and_string_are_the_same_docid(scan):
    """Both name document 1 in a run."""
    with pytest.raises(FormatError, match="docid 1 is there twice"):
        scan([{"id": 1, "text": "t"}, {"id": "1", "text": "u"}])


def test_docid_twice_across_files_of_a_folder_is_found(tmp_path):
    """The folder is one collection."""
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"id": "x", "text": "t"}\n', encoding="utf-8")

    with pytest.raises(FormatError, match="docid x is there twice, again in document 2"):
        Collection(str(tmp_path)).scan()


def test_docids_with_one_hash_are_no_duplicates(scan, monkeypatch):
    """Hashes raise a suspicion; the docids themselves decide."""
    monkeypatch.setattr("ance_plugin.formats.collection._key", lambda docid: 7)

    assert scan(BASE).num_documents == 2
    with pytest.raises(FormatError, match="docid 1 is there twice, again in document 3"):
        scan([*BASE, BASE[0]])


def test_malformed_last_line_is_found(scan):
    """Before the first document is encoded."""
    with pytest.raises(FormatError, match=r"corpus\.jsonl:3: expected"):
        scan([*BASE, {"id": "3"}])


def test_collection_without_documents_is_an_error(scan):
    """An empty file is a failed export."""
    with pytest.raises(FormatError, match="the collection has no documents"):
        scan([])


def test_text_that_no_tokenizer_takes_is_refused_or_repaired(tmp_path):
    r"""Half an emoji (JSON's ``\ud83d``), as cut-off texts have, stops no run after an hour."""
    path = tmp_path / "cut.jsonl"
    path.write_text('{"id": "1", "text": "cut \\ud83d"}\n', encoding="utf-8")

    try:
        texts = [document.text for document in Collection(str(path))]
    except FormatError:
        return
    for text in texts:
        text.encode("utf-8")  # what a tokenizer does first


def test_description_is_name_size_and_hash(scan, tmp_path):
    """What an artifact records, ready for JSON."""
    fingerprint = scan(BASE)
    collection = Collection(str(tmp_path / "corpus.jsonl"))

    assert collection.describe(fingerprint) == {
        "name": str(tmp_path / "corpus.jsonl"),
        "num_documents": 2,
        "sha256": fingerprint.sha256,
    }

"""What holds for ir-datasets ids; those with content need real collections."""

import builtins

import pytest

from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics


@pytest.mark.parametrize("read", [Collection, read_topics, read_qrels])
@pytest.mark.parametrize("name", ["beir/no-such-dataset", "no such file.tsv", "../x"])
def test_unknown_id_is_a_missing_file(read, name):
    """A mistyped path and a mistyped id get the same answer."""
    expected = f"^{name}: there is no such file, and ir-datasets has no dataset of that name$"

    with pytest.raises(FileNotFoundError, match=expected):
        read(name)


@pytest.mark.parametrize(
    ("read", "what"), [(Collection, "documents"), (read_topics, "topics"), (read_qrels, "qrels")]
)
def test_id_that_lacks_a_part_suggests_ids_below_it(read, what):
    """``beir`` is a family; its members have what is asked for."""
    expected = rf"^beir: this ir-datasets id has no {what}; try beir/\S+, beir/\S+"

    with pytest.raises(FileNotFoundError, match=expected):
        read("beir")


def test_suggestions_have_the_part_that_is_missing():
    """SciFact's qrels are in its splits."""
    expected = "beir/scifact: this ir-datasets id has no qrels; "
    with pytest.raises(FileNotFoundError, match=expected) as caught:
        read_qrels("beir/scifact")

    suggested = set(str(caught.value).partition("; try ")[2].split(", "))
    assert suggested == {"beir/scifact/train", "beir/scifact/test"}


def test_unwritable_home_is_explained(monkeypatch):
    """ir-datasets makes folders when it is imported."""
    real_import = builtins.__import__

    def import_fails(name, *args):
        if name == "ir_datasets":
            raise OSError(30, "Read-only file system")
        return real_import(name, *args)

    monkeypatch.setenv("IR_DATASETS_HOME", "/read-only")
    monkeypatch.setattr(builtins, "__import__", import_fails)

    expected = r"cannot write to its home, /read-only .* point IR_DATASETS_HOME at a writable"
    with pytest.raises(PermissionError, match=expected):
        read_topics("vaswani")


@pytest.mark.usefixtures("test_data")
class TestRealCollections:
    def test_vaswani_is_read_whole(self):
        """Its documents have no titles."""
        documents = list(Collection("vaswani"))

        assert len(documents) == 11_429
        assert (documents[0].docid, documents[-1].docid) == ("1", "11429")
        assert documents[0].text.startswith("compact memories have flexible capacities")
        assert {document.title for document in documents} == {""}

    def test_vaswani_topics_and_qrels_are_read_whole(self):
        """First and last."""
        topics, qrels = read_topics("vaswani"), read_qrels("vaswani")

        assert len(topics) == 93
        assert topics[0].qid == "1"
        assert topics[0].text.startswith("MEASUREMENT OF DIELECTRIC CONSTANT OF LIQUIDS")
        assert topics[-1].qid == "93"
        assert sum(map(len, qrels.values())) == 2_083

    def test_scifact_is_read_whole(self):
        """Titles and texts, in the order of the corpus file."""
        documents = list(Collection("beir/scifact"))

        assert len(documents) == 5_183
        assert (documents[0].docid, documents[-1].docid) == ("4983", "198309074")
        assert documents[0].title.startswith("Microstructural development of human newborn")
        assert documents[0].text.startswith("Alterations of the architecture of cerebral white")

    def test_scifact_topics_and_qrels_are_read_whole(self):
        """The test split has 300 claims."""
        topics, qrels = read_topics("beir/scifact/test"), read_qrels("beir/scifact/test")

        assert len(topics) == len(qrels) == 300
        assert topics[0].qid == "1"
        assert topics[0].text == "0-dimensional biomaterials show inductive properties."
        assert topics[-1].qid == "1395"
        assert sum(map(len, qrels.values())) == 339

    def test_split_has_the_documents_of_its_collection(self):
        """``beir/scifact/test`` is searched in all of SciFact."""
        split, whole = Collection("beir/scifact/test"), Collection("beir/scifact")

        assert split.scan() == whole.scan()

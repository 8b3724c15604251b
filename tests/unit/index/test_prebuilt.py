"""Pyserini's prebuilt indexes and topics by name: looked up as data, offline, and opened mapped."""

import json
import os
import subprocess
import sys

import faiss
import numpy as np
import pytest

from ance_plugin.formats import prebuilt_topics
from ance_plugin.formats.topics import read_topics
from ance_plugin.index import prebuilt
from ance_plugin.index.stored import open_index
from ance_plugin.search.__main__ import main as search

NAMES = {
    "msmarco-v1-passage.ance": (25_102_344_926, "castorini/ance-msmarco-passage"),
    "msmarco-v1-doc.ance-maxp": (58_312_804_630, "castorini/ance-msmarco-doc-maxp"),
    "wikipedia-dpr-100w.ance-multi": (59_890_491_335, "castorini/ance-dpr-question-multi"),
}


@pytest.fixture
def no_download(monkeypatch):
    """Fail as Pyserini does without a network."""

    def fail(entry):
        raise AssertionError(f"{entry.name} should not be downloaded")

    monkeypatch.setattr(prebuilt, "_download", fail)


@pytest.mark.parametrize("name", NAMES)
def test_ance_indexes_are_in_the_catalogue(name):
    """Each name has the size that Pyserini gives and the encoder that goes with it."""
    entry = prebuilt.find_prebuilt(name)

    assert (entry.size_bytes, entry.encoder) == NAMES[name]
    assert entry.filename.endswith(".tar.gz")
    assert entry.recipe is not None
    assert entry.urls[0].endswith(entry.filename)


def test_an_unknown_name_is_no_prebuilt_index(tmp_path):
    """The error says that there is neither a folder nor an index of that name."""
    assert prebuilt.find_prebuilt("msmarco.nothing") is None
    with pytest.raises(FileNotFoundError, match=r"msmarco\.nothing: no such directory; nor has"):
        prebuilt.resolve_index("msmarco.nothing")
    assert prebuilt.resolve_index(tmp_path) == tmp_path


@pytest.mark.usefixtures("no_download")
def test_an_index_in_pyserinis_cache_is_found(tmp_path, monkeypatch):
    """The folder is the archive's name with its MD5, as Pyserini unpacks it."""
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    name = "faiss-flat.msmarco-v1-passage.ance.20210224.060cef.e6cf0c1011200af81fd53aa7c5ce9414"
    (tmp_path / "indexes" / name).mkdir(parents=True)

    assert prebuilt.resolve_index("msmarco-v1-passage.ance") == tmp_path / "indexes" / name


@pytest.mark.parametrize(
    ("name", "size_bytes", "filename"),
    [
        ("msmarco-v1-passage", 2_170_758_745, "lucene-inverted.msmarco-v1-passage"),
        ("msmarco-passage", 2_170_758_745, "lucene-inverted.msmarco-v1-passage"),
        ("beir-v1.0.0-scifact.flat", 8_849_995, "lucene-inverted.beir-v1.0.0-scifact.flat"),
        ("robust04", 1_782_067_062, "lucene-inverted.disk45"),
    ],
)
def test_sparse_indexes_are_in_the_catalogue(name, size_bytes, filename):
    """From Anserini's jar, Pyserini's module, and its other names for either."""
    entry = prebuilt.find_prebuilt(name, "bm25")

    assert entry.size_bytes == size_bytes
    assert entry.filename.startswith(filename)
    assert entry.urls[0].endswith(entry.filename)


@pytest.mark.usefixtures("no_download")
def test_a_sparse_index_in_pyserinis_cache_is_found(tmp_path, monkeypatch):
    """The folder is the archive's name with its MD5, as Pyserini unpacks it."""
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    name = "lucene-inverted.msmarco-v1-passage.20221004.252b5e.678876e8c99a89933d553609a0fd8793"
    (tmp_path / "indexes" / name).mkdir(parents=True)

    assert prebuilt.resolve_index("msmarco-v1-passage", "bm25") == tmp_path / "indexes" / name


def test_a_name_of_the_other_kind_is_told_apart():
    """A sparse name given to --index, or a dense one to --sparse-index, says which flag it is."""
    with pytest.raises(FileNotFoundError, match=r"BM25 index of Pyserini's; give it to --sparse-i"):
        prebuilt.resolve_index("msmarco-v1-passage")
    with pytest.raises(FileNotFoundError, match=r"FAISS index of Pyserini's; give it to --index"):
        prebuilt.resolve_index("msmarco-v1-passage.ance", "bm25")
    with pytest.raises(FileNotFoundError, match="nor has Pyserini a prebuilt BM25 index"):
        prebuilt.resolve_index("msmarco.nothing", "bm25")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and a Pyserini that cannot download."""
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    monkeypatch.setattr(prebuilt.jvm, "start", lambda: None)
    stub = type(sys)("pyserini.util")
    stub.download_prebuilt_index = lambda name, *, verbose: (_ for _ in ()).throw(
        ValueError("Unable to download")
    )
    monkeypatch.setitem(sys.modules, "pyserini.util", stub)
    return tmp_path / "indexes"


def test_a_failed_download_says_what_belongs_where(offline):
    """File, size, MD5 and folder are in the message."""
    with pytest.raises(FileNotFoundError) as caught:
        prebuilt.resolve_index("msmarco-v1-passage.ance")

    message = str(caught.value)
    assert "faiss-flat.msmarco-v1-passage.ance.20210224.060cef.tar.gz (25,102,344,926" in message
    assert "MD5 e6cf0c1011200af81fd53aa7c5ce9414" in message
    assert f"{offline}/faiss-flat.msmarco-v1-passage.ance.20210224.060cef.e6cf" in message
    assert message.endswith("holds index and docid")


def test_a_failed_download_of_a_sparse_index_says_so_too(offline, tmp_path, capsys):
    """The command ends with one line that has file, size, MD5 and folder."""
    (tmp_path / "topics.tsv").write_text("1\tant\n")
    words = ["--topics", f"{tmp_path}/topics.tsv", "--output", f"{tmp_path}/run"]

    assert search([*words, "--sparse-index", "msmarco-v1-passage"]) == 1

    message = capsys.readouterr().err.splitlines()[-1]
    assert "lucene-inverted.msmarco-v1-passage.20221004.252b5e.tar.gz (2,170,758,745" in message
    assert "MD5 678876e8c99a89933d553609a0fd8793" in message
    assert f"{offline}/lucene-inverted.msmarco-v1-passage.20221004.252b5e.6788" in message
    assert message.endswith("holds segments_N and the rest of Lucene's")


def test_the_catalogue_is_read_from_json_where_pyserini_has_it(tmp_path, monkeypatch):
    """Later Pyserinis keep the FAISS part as JSON files, which win over the module."""
    folder = tmp_path / "resources" / "prebuilt-indexes" / "faiss"
    folder.mkdir(parents=True)
    entry = {"urls": ["https://example.org/a.tar.gz"], "md5": "0" * 32, "size": 7}
    (folder / "other-faiss.json").write_text(json.dumps({"small.flat": entry}))
    (folder.parent / "lucene").mkdir()
    listed = json.dumps([{"name": "small", **entry}])
    (folder.parent / "lucene" / "other-inverted.json").write_text(listed)
    (folder.parent / "lucene" / "other-impact.json").write_text(listed.replace("small", "impact"))
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(prebuilt.importlib.util, "find_spec", lambda name: spec)
    prebuilt._read_catalogue.cache_clear()

    found = prebuilt.find_prebuilt("small.flat")
    sparse = [prebuilt.find_prebuilt(name, "bm25") for name in ("small", "impact")]

    prebuilt._read_catalogue.cache_clear()
    assert (sparse[0].size_bytes, sparse[1]) == (7, None)
    assert (found.filename, found.size_bytes, found.encoder) == ("a.tar.gz", 7, None)


def test_looking_a_name_up_imports_nothing_heavy():
    """Neither Pyserini nor Java nor PyTorch is loaded to read the catalogue."""
    code = (
        "import sys; from ance_plugin.index.prebuilt import find_prebuilt; "
        "assert find_prebuilt('msmarco-v1-passage.ance'); "
        "print([m for m in ('pyserini', 'jnius', 'torch', 'faiss') if m in sys.modules])"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "[]"


def test_pyserinis_topics_are_known_by_name():
    """The names users type are known; a dataset id is not one of them."""
    assert prebuilt_topics.is_topics_name("msmarco-passage-dev-subset")
    assert prebuilt_topics.is_topics_name("dl19-passage")
    assert not prebuilt_topics.is_topics_name("beir/scifact/test")


@pytest.mark.java
def test_topics_in_pyserinis_cache_are_read(tmp_path):
    """A file in the cache is read; without it, the error says which file belongs there."""
    file = tmp_path / "topics-and-qrels" / "topics.msmarco-passage.dev-subset.txt"
    code = (
        "import sys; from ance_plugin.formats.topics import read_topics\n"
        "try:\n    print([(t.qid, t.text) for t in read_topics('msmarco-passage-dev-subset')])\n"
        "except FileNotFoundError as err:\n    print(err)"
    )
    environment = {**os.environ, "PYSERINI_CACHE": str(tmp_path), "https_proxy": "http://[::1]:1"}

    def read():
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        ).stdout

    missing = read()
    file.parent.mkdir(exist_ok=True)
    file.write_text("1048585\twhat is paula deens brother\n2\t Androgen receptor define\n")

    assert "could not download these topics" in missing
    assert f"put the file {file.name} at {file}" in missing
    assert "('2', 'Androgen receptor define')" in read()


def test_a_file_named_like_topics_is_a_file(tmp_path, monkeypatch):
    """What stands in the working directory wins over Pyserini's name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dl20").write_text("1\tant\n")

    assert [topic.text for topic in read_topics("dl20")] == ["ant"]


def test_a_flat_index_is_mapped_and_not_read(tmp_path):
    """Opening an index of 2 GB, a sparse file, adds less than 200 MB to what is resident."""
    dimension, num_documents = 1024, 500_000
    index = faiss.IndexFlatIP(dimension)
    index.add(np.zeros((1, dimension), dtype=np.float32))
    faiss.write_index(index, str(tmp_path / "index"))
    num_values = dimension * num_documents
    with (tmp_path / "index").open("r+b") as file:
        header = bytearray(file.read()[: -4 * dimension])
        header[8:16] = num_documents.to_bytes(8, "little")
        header[-8:] = num_values.to_bytes(8, "little")
        file.seek(0)
        file.write(header)
        file.truncate(len(header) + 4 * num_values)
    (tmp_path / "docid").write_text("\n".join(map(str, range(num_documents))))
    before = resident_bytes()

    stored = open_index(tmp_path)

    assert stored.faiss_index.ntotal == num_documents
    assert (tmp_path / "index").stat().st_size > 2e9
    assert resident_bytes() - before < 200e6


def resident_bytes():
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no Path for the kernel's
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

"""Tokenized collections: the encoder's own tokens, opened again only where they are of the same."""

import json

import numpy as np
import pytest

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.records import Document
from ance_plugin.train.corpus import Corpus, hash_text, tokenize_corpus

TEXTS = {"a": "dc1 dm2 f3", "b": "f1 " * 30, "c": "", "d": "f1\t  f2", "e": "f1 f2"}


@pytest.fixture
def write_docs(tmp_path):
    """Return a function that writes documents as JSONL and gives the collection."""

    def write(texts=None, *, name="docs.jsonl"):
        lines = (json.dumps({"id": k, "contents": v}) + "\n" for k, v in (texts or TEXTS).items())
        (tmp_path / name).write_text("".join(lines))
        return Collection(str(tmp_path / name))

    return write


@pytest.fixture
def load(world):
    """Return a function that loads the world's encoder with other settings."""

    def load(**overrides):
        return Encoder(load_checkpoint(world.init, **overrides), device="cpu", precision="fp32")

    return load


def test_tokens_are_those_of_the_encoder(write_docs, encoder, tmp_path):
    """Each row has the ids that encoding starts from, cut to the length that was asked for."""
    corpus = tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)

    expected = encoder.tokenize_documents([Document(*item) for item in TEXTS.items()], 12)
    assert [corpus.tokens(row).tolist() for row in range(5)] == expected
    assert len(expected[1]) == 12
    assert (corpus.docids, corpus.num_documents) == (list(TEXTS), 5)
    assert corpus.rows == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}


def test_equal_texts_have_equal_hashes(write_docs, encoder, tmp_path):
    """White space counts as one blank; other texts have other hashes."""
    corpus = tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)

    assert corpus.hashes[3] == corpus.hashes[4] == hash_text(" f1 f2\n")
    assert len(set(corpus.hashes.tolist())) == 4


def test_collection_is_tokenized_once(write_docs, encoder, tmp_path):
    """A second call opens what is there, also where the collection is called otherwise now."""
    tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)
    before = (tmp_path / "tokens" / "tokens").stat().st_mtime_ns
    copy = write_docs(name="copy.jsonl")

    corpus = tokenize_corpus(copy, encoder, tmp_path / "tokens", max_tokens=12)

    assert corpus.num_documents == 5
    assert (tmp_path / "tokens" / "tokens").stat().st_mtime_ns == before


def test_other_collection_is_refused(write_docs, encoder, tmp_path):
    """Tokens of another collection are not taken for this one's."""
    tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)
    other = write_docs({**TEXTS, "c": "f7"}, name="other.jsonl")

    with pytest.raises(MismatchError, match="tokens: collection is"):
        tokenize_corpus(other, encoder, tmp_path / "tokens", max_tokens=12)


@pytest.mark.parametrize(
    ("overrides", "max_tokens", "named"),
    [
        ({}, 13, "max_tokens is 12 there but 13 here"),
        ({"template": "{text}"}, 12, "template is"),
        ({"is_lowercased": True}, 12, "is_lowercased is False there but True here"),
    ],
    ids=["length", "template", "lower case"],
)
def test_other_settings_are_refused(
    write_docs, encoder, load, tmp_path, overrides, max_tokens, named
):
    """The message names the setting and both its values."""
    collection = write_docs()
    tokenize_corpus(collection, encoder, tmp_path / "tokens", max_tokens=12)

    with pytest.raises(MismatchError, match=named):
        tokenize_corpus(collection, load(**overrides), tmp_path / "tokens", max_tokens=max_tokens)


def test_other_tokenizer_is_refused(write_docs, encoder, tiny_checkpoint, tmp_path):
    """An encoder of another vocabulary does not read these tokens."""
    collection = write_docs()
    tokenize_corpus(collection, encoder, tmp_path / "tokens", max_tokens=12)
    other = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")

    with pytest.raises(MismatchError, match="tokenizer_sha256"):
        tokenize_corpus(collection, other, tmp_path / "tokens", max_tokens=12)


@pytest.mark.parametrize(
    ("size", "name"), [(1 << 16, "uint16"), ((1 << 16) + 1, "uint32")], ids=["two", "four"]
)
def test_bytes_a_token(write_docs, encoder, tmp_path, monkeypatch, size, name):
    """Two bytes hold a token's id while the vocabulary has 65,536 of them at most, else four."""
    monkeypatch.setattr(Encoder, "vocabulary_size", size)

    corpus = tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)

    assert corpus.tokens(0).dtype == np.dtype(name)
    assert (
        corpus.tokens(0).tolist() == encoder.tokenize_documents([Document("a", TEXTS["a"])], 12)[0]
    )


@pytest.mark.parametrize("file", ["tokens", "docids", "hashes.npy", "offsets.npy"])
def test_damaged_tokens_are_refused(write_docs, encoder, tmp_path, file):
    """A file that was cut is named."""
    corpus = tokenize_corpus(write_docs(), encoder, tmp_path / "tokens", max_tokens=12)
    path = corpus.path / file
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ArtifactError, match=rf"{file}: has \d+ bytes, expected"):
        Corpus(tmp_path / "tokens")


def test_files_of_two_collections_are_refused(make_corpus):
    """Files that are whole but do not fit together are told apart from a collection."""
    corpus = make_corpus({"a": "one", "b": "two"})
    metadata = json.loads((corpus.path / "metadata.json").read_text())
    (corpus.path / "docids").write_text("a\n")
    metadata["files"]["docids"]["size_bytes"] = 2
    (corpus.path / "metadata.json").write_text(json.dumps(metadata))

    with pytest.raises(ArtifactError, match="its files do not fit together; tokenize again"):
        Corpus(corpus.path)


def test_there_is_no_such_directory(tmp_path):
    """What was never made is a missing file."""
    with pytest.raises(FileNotFoundError, match="no such directory"):
        Corpus(tmp_path / "tokens")

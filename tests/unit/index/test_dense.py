"""What holds for building a FAISS index from vectors."""

import importlib.metadata

import faiss
import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.index import dense as dense_module
from ance_plugin.index.dense import build_dense_index, make_index
from ance_plugin.index.stored import open_index

FACTORIES = ["Flat", "HNSW32", "IVF16,Flat", "SQfp16", "SQ8", "PQ8np"]
EXACT = ["Flat", "SQfp16"]


def build(vectors, output, **options):
    build_dense_index(vectors, output, threads=1, **options)
    return output


def content(folder):
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name != "metadata.json"
    }


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_factory_finds_a_document_by_its_own_vector(tmp_path, vectors, rows, factory):
    """Among the first ten at least, for 95 of 100 documents."""
    stored = open_index(build(vectors, tmp_path / "index", factory=factory))
    _, found = stored.faiss_index.search(rows[::4], 10)

    is_found = [row in hits for row, hits in zip(range(0, 400, 4), found.tolist(), strict=True)]
    assert sum(is_found) >= 95


@pytest.mark.parametrize("factory", EXACT)
def test_scores_are_inner_products(tmp_path, vectors, rows, factory):
    """Higher is nearer."""
    stored = open_index(build(vectors, tmp_path / "index", factory=factory))
    scores, found = stored.faiss_index.search(rows[:3], 400)

    assert stored.faiss_index.metric_type == faiss.METRIC_INNER_PRODUCT
    expected = np.take_along_axis(rows[:3] @ rows.T, found, axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-2 if factory == "SQfp16" else 1e-6)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("factory", FACTORIES)
def test_docid_file_has_the_docid_of_each_row(tmp_path, vectors, factory):
    """One a line, as Pyserini reads it."""
    output = build(vectors, tmp_path / "index", factory=factory)

    lines = (output / "docid").read_bytes().decode().splitlines()
    assert lines == [f"d{number}" for number in range(400)]
    assert (output / "docid").read_bytes().endswith(b"d399\n")


def test_folder_holds_what_pyserini_opens_and_metadata(tmp_path, vectors):
    """Nothing else."""
    output = build(vectors, tmp_path / "index")

    assert sorted(file.name for file in output.iterdir()) == ["docid", "index", "metadata.json"]
    assert faiss.read_index(str(output / "index")).ntotal == 400
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


def test_metadata_says_what_the_vectors_say_and_the_factory(tmp_path, vectors):
    """Above all the encoder, which the queries must be encoded with."""
    output = build(vectors, tmp_path / "index", factory="SQ8")
    metadata = artifacts.verify(output, "dense-index")

    copied = ("collection", "encoder", "precision", "vector_type", "dimension", "num_documents")
    assert {name: metadata[name] for name in copied} == {
        name: vectors.metadata[name] for name in copied
    }
    assert metadata["factory"] == "SQ8"
    assert metadata["versions"]["faiss-cpu"] == importlib.metadata.version("faiss-cpu")
    assert metadata["seconds"] >= 0


def test_float16_vectors_are_indexed(tmp_path, make_vectors):
    """FAISS itself takes float32 only."""
    vectors = make_vectors(vector_type="float16")
    stored = open_index(build(vectors, tmp_path / "index"))

    written = np.concatenate([block for _, block in vectors.iter_blocks()]).astype(np.float32)
    np.testing.assert_array_equal(stored.faiss_index.reconstruct_n(0, 400), written)


@pytest.mark.parametrize("factory", FACTORIES)
def test_one_thread_builds_the_same_bytes_again(tmp_path, vectors, factory):
    """Training starts from the same seed."""
    one = build(vectors, tmp_path / "one", factory=factory)
    other = build(vectors, tmp_path / "other", factory=factory)

    assert content(one) == content(other)


@pytest.mark.parametrize("factory", ["Flatt", "", "PQ7", "Flat,Flat"])
def test_factory_that_faiss_does_not_know_is_refused(tmp_path, vectors, factory):
    """Before any vector is read; PQ's number must divide the dimension."""
    expected = f"factory '{factory}' makes no index of 16 dimensions .* try Flat, HNSW32"
    with pytest.raises(ValueError, match=expected):
        build(vectors, tmp_path / "index", factory=factory)
    assert list(tmp_path.iterdir()) == []


def test_factory_that_takes_no_vectors_is_refused(tmp_path, vectors):
    """``IDMap`` wants ids of its own."""
    with pytest.raises(ValueError, match="factory 'IDMap,Flat'"):
        build(vectors, tmp_path / "index", factory="IDMap,Flat")


@pytest.mark.parametrize("factory", ["IVF101,Flat", "PQ8np"])
def test_too_few_vectors_to_train_on_are_an_error(tmp_path, make_vectors, factory):
    """100 vectors are fewer than lists or centroids; nothing is left behind."""
    vectors = make_vectors(num_documents=100)

    expected = f"factory '{factory}' cannot be trained on 100 vectors .* or Flat"
    with pytest.raises(ValueError, match=expected):
        build(vectors, tmp_path / "index", factory=factory)
    assert list(tmp_path.iterdir()) == []


def test_index_is_trained_on_a_sample_of_the_whole_collection(vectors, rows, monkeypatch):
    """The same rows each time, from every block."""
    sample = dense_module._sample(vectors, 60)
    places = [int(np.flatnonzero((rows == vector).all(axis=1))[0]) for vector in sample]

    assert sample.dtype == np.float32
    assert len(set(places)) == 60
    assert {place // 150 for place in places} == {0, 1, 2}
    np.testing.assert_array_equal(dense_module._sample(vectors, 60), sample)


def test_sample_larger_than_the_collection_is_the_collection(vectors, rows):
    """In its order."""
    np.testing.assert_array_equal(dense_module._sample(vectors, 100_000), rows)


def test_index_that_exists_is_refused_before_any_work(tmp_path, vectors, monkeypatch):
    """Unless it is to be overwritten."""
    output = build(vectors, tmp_path / "index")

    with monkeypatch.context() as patch:
        patch.setattr(dense_module, "make_index", lambda *_: pytest.fail("it began"))
        with pytest.raises(ArtifactError, match="exists already"):
            build(vectors, output)
    build(vectors, output, factory="SQ8", overwrite=True)
    assert open_index(output).metadata["factory"] == "SQ8"


def test_empty_index_is_by_inner_product():
    """Of the dimension asked for."""
    index = make_index("HNSW32", 24)

    assert (index.d, index.ntotal, index.metric_type) == (24, 0, faiss.METRIC_INNER_PRODUCT)

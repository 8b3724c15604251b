"""What holds for the codes that a flat index has beside its vectors."""

import faiss
import numpy as np
import pytest

from ance_plugin.errors import ArtifactError
from ance_plugin.index import dense, flat
from ance_plugin.index.codes import can_multiply, encode_vectors
from ance_plugin.index.dense import build_dense_index
from ance_plugin.index.flat import FlatIndex, read_codes
from ance_plugin.index.stored import open_index

needs_codes = pytest.mark.skipif(
    not can_multiply(), reason="this processor does not multiply 8-bit integers quickly"
)


@pytest.fixture
def folder(tmp_path, monkeypatch, vectors):
    """An index of 400 vectors that counts as a large one."""
    monkeypatch.setattr(dense, "LEAST_VECTORS", 400)
    build_dense_index(vectors, tmp_path / "index", threads=1)
    return tmp_path / "index"


def test_codes_are_those_of_the_vectors(folder, rows):
    """Blocks of any size give the codes that one block gives."""
    codes = read_codes(folder)

    expected = encode_vectors(rows, codes.center)
    assert np.array_equal(codes.values, expected.values)
    assert np.array_equal(codes.steps, expected.steps)
    assert np.array_equal(codes.losses, expected.losses)
    assert np.array_equal(codes.lengths, expected.lengths)
    assert np.allclose(codes.center, rows.mean(axis=0), atol=1e-6)


def test_stored_index_has_vectors_and_codes(folder, rows):
    """Which FAISS holds, memory-mapped."""
    stored = open_index(folder)

    assert np.array_equal(stored.flat_vectors, rows)
    assert stored.codes.values.shape == (400, 16)


@pytest.mark.parametrize("factory", ["HNSW32", "SQ8", "IVF16,Flat"])
def test_other_indexes_have_neither(tmp_path, monkeypatch, vectors, factory):
    """Only a flat index is searched by codes."""
    monkeypatch.setattr(dense, "LEAST_VECTORS", 400)
    build_dense_index(vectors, tmp_path / "index", threads=1, factory=factory)
    stored = open_index(tmp_path / "index")

    assert stored.codes is None
    assert stored.flat_vectors is None


def test_index_by_distance_has_no_vectors_to_search_by_codes(tmp_path, rows):
    """Somebody may bring one."""
    index = faiss.IndexFlatL2(16)
    index.add(rows)
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("".join(f"d{n}\n" for n in range(400)), encoding="utf-8")

    assert open_index(tmp_path).flat_vectors is None


@needs_codes
def test_parts_searched_by_a_thread_each_give_the_same(monkeypatch, folder, rows):
    """As all queries at once do on one thread, to the last bit and in their order."""
    monkeypatch.setattr(flat, "_QUERIES_A_PART", 4)
    index = FlatIndex(rows, read_codes(folder))
    queries = np.random.default_rng(4).standard_normal((19, 16)).astype(np.float32)

    expected = index.search(queries, 7, threads=1)
    found = index.search(queries, 7, threads=2)

    assert len(found) == 19
    for ours, theirs in zip(found, expected, strict=True):
        assert [part.tolist() for part in ours] == [part.tolist() for part in theirs]


@needs_codes
@pytest.mark.parametrize("has_codes", [True, False])
@pytest.mark.parametrize("num_queries", [1, 5])
def test_search_finds_what_faiss_finds(folder, rows, has_codes, num_queries):
    """The same rows, and scores to the last digits of a float32."""
    stored = open_index(folder)
    queries = np.random.default_rng(3).standard_normal((num_queries, 16)).astype(np.float32)
    index = FlatIndex(stored.flat_vectors, stored.codes if has_codes else None)

    found = index.search(queries, 20, threads=1)

    scores, expected = stored.faiss_index.search(queries, 20)
    assert [hits.tolist() for _, hits in found] == expected.tolist()
    assert np.allclose([values for values, _ in found], scores, rtol=1e-6, atol=1e-6)


@needs_codes
def test_threads_of_the_process_are_left_as_they_were(rows):
    """The encoder's share PyTorch with the search."""
    import torch

    before = torch.get_num_threads()
    FlatIndex(rows).search(rows[:1], 1, threads=before + 1)

    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "damage", ["shape", "garbage", "missing", "other index"], ids=lambda damage: damage
)
def test_damaged_codes_are_refused(folder, damage):
    """What to do is said."""
    (folder / "metadata.json").unlink()  # which would notice the size first
    if damage == "shape":
        np.save(folder / "codes-rows.npy", np.zeros((3, 7), np.float32))
    elif damage == "garbage":
        (folder / "codes.npy").write_bytes(b"no array")
    elif damage == "missing":
        (folder / "codes-center.npy").unlink()
    else:
        np.save(folder / "codes.npy", np.zeros((9, 16), np.int8))
        np.save(folder / "codes-rows.npy", np.zeros((3, 9), np.float32))

    with pytest.raises(ArtifactError, match=r"the codes .*; index it again"):
        open_index(folder)

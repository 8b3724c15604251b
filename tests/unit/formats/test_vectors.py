"""What holds for vectors on disk: what is read is what was written, or damage is named."""

import json
import re

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.vectors import GrowingVectors, Vectors

SETTINGS = {"dimension": 2, "vector_type": "float32", "encoder": {"name": "tiny"}}
BLOCKS = [
    (["a", "b"], np.array([[1, 2], [3, 4]], dtype=np.float32)),
    (["c", "日本"], np.array([[5, 6], [7, 8]], dtype=np.float32)),
    (["e"], np.array([[9, 10]], dtype=np.float32)),
]


@pytest.fixture
def path(tmp_path):
    """Return where the finished vectors will stand."""
    return tmp_path / "vectors"


def grow(path, order=(0, 1, 2), settings=SETTINGS):
    growing = GrowingVectors(path, settings)
    for block in order:
        growing.write_block(block, *BLOCKS[block])
    return growing


def finish(growing):
    return growing.finish(num_blocks=3, num_documents=5)


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_finished_vectors_are_read_block_by_block(path):
    """Docids and rows as they were written, the counts in the metadata."""
    assert finish(grow(path))
    vectors = Vectors(path)

    assert (vectors.num_documents, vectors.num_blocks, vectors.dimension) == (5, 3, 2)
    for (docids, block), (written_docids, written) in zip(
        vectors.iter_blocks(), BLOCKS, strict=True
    ):
        assert docids == written_docids
        assert block.dtype == np.float32
        assert block.tolist() == written.tolist()


def test_vectors_are_memory_mapped(path):
    """A block is not read before it is used."""
    finish(grow(path))

    assert all(isinstance(block, np.memmap) for _, block in Vectors(path).iter_blocks())


def test_order_of_writing_leaves_no_trace(path, tmp_path):
    """Shards finish when they finish."""
    finish(grow(path))
    finish(grow(tmp_path / "other", order=(2, 0, 1)))

    assert content(path) == content(tmp_path / "other")


def test_nothing_hidden_is_left(path, tmp_path):
    """Neither locks nor records of finished blocks."""
    finish(grow(path))

    assert [file.name for file in tmp_path.iterdir()] == ["vectors"]
    assert sorted(content(path)) == [
        *(f"block-00000{number}.{ending}" for number in range(3) for ending in ("docids", "npy")),
        "metadata.json",
    ]


def test_vectors_pass_verification(path):
    """Their hashes are recorded."""
    finish(grow(path))

    metadata = artifacts.verify(path, "vectors")
    assert {name: metadata[name] for name in SETTINGS} == SETTINGS
    assert len(metadata["files"]) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vector_that_is_not_finite_is_refused(path, value):
    """The first of them is named, and the block is not there."""
    growing = GrowingVectors(path, SETTINGS)
    vectors = np.array([[1, 2], [3, value], [value, 4]], dtype=np.float32)

    with pytest.raises(ValueError, match="the vector of document b is not finite"):
        growing.write_block(0, ["a", "b", "c"], vectors)
    assert not growing.has_block(0)


def test_float16_stays_float16(path):
    """Half the bytes on disk, the very values."""
    settings = {**SETTINGS, "vector_type": "float16"}
    growing = GrowingVectors(path, settings)
    written = np.array([[0.1, -65504]], dtype=np.float16)
    growing.write_block(0, ["a"], written)
    growing.finish(num_blocks=1, num_documents=1)

    [(_, found)] = Vectors(path).iter_blocks()
    assert found.dtype == np.float16
    assert found.tolist() == written.tolist()


def test_unfinished_vectors_are_not_opened(path, tmp_path):
    """The message says where they grow and what to do."""
    grow(path, order=(0,))

    partial = re.escape(str(tmp_path / ".vectors.partial"))
    expected = f"no such directory; {partial} is unfinished, run the command that writes it again"
    with pytest.raises(FileNotFoundError, match=expected):
        Vectors(path)


def test_block_of_another_shape_is_damage(path, tmp_path):
    """Docids and rows belong together."""
    growing = grow(path)
    (tmp_path / ".vectors.partial" / "block-000001.docids").write_text("c\n", encoding="utf-8")
    finish(growing)

    expected = r"block-000001\.npy: has shape \(2, 2\), expected \(1, 2\); encode the collection"
    with pytest.raises(ArtifactError, match=expected):
        list(Vectors(path).iter_blocks())


def test_metadata_of_another_kind_is_refused(path):
    """An index is no vectors."""
    finish(grow(path))
    metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    artifacts.write_json(path / "metadata.json", {**metadata, "kind": "dense-index"})

    with pytest.raises(ArtifactError, match="is a dense-index, expected a vectors"):
        Vectors(path)

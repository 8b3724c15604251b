"""What holds for vectors that are being written: resumed, shared out, killed."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.formats.vectors import GrowingVectors, Vectors

SETTINGS = {"dimension": 2, "vector_type": "float32", "encoder": {"name": "tiny"}}
BLOCKS = [
    (["a", "b"], np.array([[1, 2], [3, 4]], dtype=np.float32)),
    (["c", "日本"], np.array([[5, 6], [7, 8]], dtype=np.float32)),
    (["e"], np.array([[9, 10]], dtype=np.float32)),
]

KILLED = """
import itertools, os, signal, sys
from pathlib import Path
import numpy as np
from ance_plugin import artifacts
from ance_plugin.formats.vectors import GrowingVectors

settings = {"dimension": 2, "vector_type": "float32", "encoder": {"name": "tiny"}}
growing = GrowingVectors(Path(sys.argv[1]), settings)
growing.write_block(0, ["a", "b"], np.array([[1, 2], [3, 4]], dtype=np.float32))
flush, calls = artifacts.flush, itertools.count(1)
def die(path):
    if next(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path)
artifacts.flush = die
growing.write_block(1, ["half", "written"], np.zeros((2, 2), dtype=np.float32))
"""


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


def test_growing_goes_on_where_it_stopped(path):
    """A new process sees the blocks that are there."""
    grow(path, order=(0, 2))
    resumed = GrowingVectors(path, SETTINGS)

    assert [resumed.has_block(block) for block in range(3)] == [True, False, True]
    resumed.write_block(1, *BLOCKS[1])
    assert finish(resumed)
    assert Vectors(path).num_documents == 5


def test_block_without_its_record_is_not_there(path, tmp_path):
    """The record is written last, so its block is whole."""
    grow(path)
    (tmp_path / ".vectors.partial" / "block-000001.done").unlink()

    assert not GrowingVectors(path, SETTINGS).has_block(1)


@pytest.mark.parametrize("file", [1, 2])
def test_process_killed_within_a_block_costs_that_block_alone(path, tmp_path, file):
    """After its vectors, or after its docids too; the next process writes it again."""
    command = [sys.executable, "-c", KILLED, str(path), str(file)]
    killed = subprocess.run(command, capture_output=True, timeout=60, check=False)
    resumed = GrowingVectors(path, SETTINGS)

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert [resumed.has_block(block) for block in range(3)] == [True, False, False]
    for block in (1, 2):
        resumed.write_block(block, *BLOCKS[block])
    assert finish(resumed)
    finish(grow(tmp_path / "whole"))
    assert content(path) == content(tmp_path / "whole")


def test_leftover_of_a_killed_process_is_not_published(path, tmp_path):
    """Half a block has another name than a block."""
    growing = grow(path)
    (tmp_path / ".vectors.partial" / ".block-000007.npy.123.partial").touch()
    finish(growing)

    assert len(content(path)) == 7


def test_vectors_with_a_block_missing_are_not_finished(path):
    """``finish`` says so and publishes nothing."""
    growing = grow(path, order=(0, 2))

    assert not finish(growing)
    assert not path.exists()


def test_second_shard_publishes(path):
    """The one that wrote the last block."""
    first, second = grow(path, order=(0, 2)), grow(path, order=())

    assert not finish(first)
    second.write_block(1, *BLOCKS[1])
    assert finish(second)
    assert Vectors(path).num_documents == 5


def test_shard_that_comes_after_publication_is_finished_too(path):
    """Both had all blocks before them."""
    first, second = grow(path), grow(path, order=())

    assert finish(first)
    assert finish(second)


def test_shard_that_finishes_while_another_does_so_is_not_refused(path, monkeypatch):
    """The second waits; otherwise neither would publish what both have completed."""
    first, second = grow(path, order=(0, 2)), grow(path, order=())
    outcome = []

    def finish_second():
        try:
            outcome.append(finish(second))
        except ArtifactError as err:
            outcome.append(err)

    thread = threading.Thread(target=finish_second)
    has_block = first.has_block

    def look_then_be_overtaken(block):
        is_there = has_block(block)
        if block == 1:
            second.write_block(1, *BLOCKS[1])
            thread.start()
            thread.join(timeout=0.2)  # it either waits for the claim or has failed by then
        return is_there

    monkeypatch.setattr(first, "has_block", look_then_be_overtaken)

    assert not finish(first)
    thread.join()
    assert outcome == [True]
    assert Vectors(path).num_documents == 5


def test_interrupted_publication_costs_no_block(path, monkeypatch):
    """Hashing millions of vectors takes minutes; a kill in that time loses no encoding."""
    growing = grow(path)

    def be_killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "seal", be_killed)
        with pytest.raises(KeyboardInterrupt):
            finish(growing)
    resumed = GrowingVectors(path, SETTINGS)

    assert [resumed.has_block(block) for block in range(3)] == [True, True, True]
    assert finish(resumed)


def test_other_settings_are_refused_while_growing(path):
    """The message names the setting and both ways out."""
    grow(path, order=(0,))

    expected = (
        r"\.vectors\.partial: vector_type is 'float32' there but 'float16' here; finish these "
        "vectors with the same settings, or delete that folder"
    )
    with pytest.raises(MismatchError, match=expected):
        GrowingVectors(path, {**SETTINGS, "vector_type": "float16"})


def test_finished_vectors_are_not_overwritten_unasked(path):
    """Before any block is encoded."""
    finish(grow(path))

    with pytest.raises(ArtifactError, match="exists already"):
        GrowingVectors(path, SETTINGS)


def test_finished_vectors_stand_until_their_successors_are_whole(path):
    """With ``overwrite`` too."""
    finish(grow(path))
    growing = GrowingVectors(path, {**SETTINGS, "encoder": {"name": "new"}}, overwrite=True)
    for block, content_ in enumerate(BLOCKS):
        assert Vectors(path).metadata["encoder"] == {"name": "tiny"}
        growing.write_block(block, *content_)

    assert finish(growing)
    assert Vectors(path).metadata["encoder"] == {"name": "new"}


@pytest.mark.parametrize("docids", [["a"], ["a", "b", "c"], []])
def test_docids_and_rows_of_a_block_are_as_many(path, docids):
    """Said when it is written, not once everything is encoded."""
    growing = GrowingVectors(path, SETTINGS)

    with pytest.raises(ValueError, match="2"):
        growing.write_block(0, docids, BLOCKS[0][1])
    assert not growing.has_block(0)


def test_shard_is_written_by_one_process(path):
    """Another shard is free."""
    first, second = grow(path, order=()), grow(path, order=())
    with first.claim(0, 2):
        with pytest.raises(ArtifactError, match="vectors-shard-0-of-2: is being written by"):
            second.claim(0, 2).__enter__()
        with second.claim(1, 2):
            pass

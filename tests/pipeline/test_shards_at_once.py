"""Shards of one collection, encoded by processes that run at the same time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ance_plugin.errors import AnceError
from ance_plugin.formats.vectors import GrowingVectors, Vectors

NUM_SHARDS, NUM_BLOCKS, NUM_ROUNDS = 4, 8, 40


def encode_shard(path, shard):
    """Write the blocks of a shard; no encoder takes part, so that all shards are fast."""
    vectors = GrowingVectors(path, {"dimension": 2})
    with vectors.claim(shard, NUM_SHARDS):
        for block in range(shard, NUM_BLOCKS, NUM_SHARDS):
            vectors.write_block(block, [f"d{block}"], np.full((1, 2), block, dtype=np.float32))
    vectors.finish(NUM_BLOCKS, NUM_BLOCKS)


def fork_shard(folder, shard, start):
    """Encode a shard in a child once the pipe ``start`` is closed; note what went wrong."""
    child = os.fork()
    if child == 0:
        try:
            os.read(start, 1)
            encode_shard(folder / "vectors", shard)
        except (AnceError, OSError) as err:
            (folder / f"problem-{shard}").write_text(f"{type(err).__name__}: {err}")
        finally:
            os._exit(0)
    return child


def run_rounds(folder):
    """Start all shards at once, again and again; called in a process of its own, to fork."""
    os.fsync = lambda _: None
    problems = []
    for number in range(NUM_ROUNDS):
        here = folder / str(number)
        here.mkdir()
        start, gate = os.pipe()
        os.set_inheritable(gate, False)
        children = []
        for shard in range(NUM_SHARDS):
            children.append(fork_shard(here, shard, start))
        os.write(gate, b"x" * NUM_SHARDS)
        for child in children:
            os.waitpid(child, 0)
        os.close(start)
        os.close(gate)
        problems += [file.read_text() for file in here.glob("problem-*")]
    (folder / "problems.json").write_text(json.dumps(problems))


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    command = [sys.executable, __file__, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


def test_no_shard_fails_because_of_another(rounds):
    """Starting or finishing at the same moment is no error: each has its own share."""
    assert json.loads((rounds / "problems.json").read_text()) == []


def test_vectors_are_finished_once_every_shard_is_done(rounds):
    """Whichever was last has published them, with every block."""
    for number in range(NUM_ROUNDS):
        vectors = Vectors(rounds / str(number) / "vectors")

        docids = [docid for part, _ in vectors.iter_blocks() for docid in part]
        assert docids == [f"d{block}" for block in range(NUM_BLOCKS)]


if __name__ == "__main__":
    run_rounds(Path(sys.argv[1]))

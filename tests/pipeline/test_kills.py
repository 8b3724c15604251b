"""Commands killed at random moments, on full disks, and asked by many threads at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ance_plugin import Bm25Searcher, DenseSearcher, Encoder, HybridSearcher
from ance_plugin.formats.topics import read_topics
from tests.load_threads import Load, run_load

TESTS = Path(__file__).parent.parent
QUICK = ["encode", "index dense", "search dense", "rerank", "fusion", "encode export"]


def call(*words, before=()):
    """Run a script of the tests; give the figures that it printed."""
    done = subprocess.run(
        [*before, sys.executable, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("num_kills", "words"),
    [
        pytest.param(12, ["--no-java", "--only", *QUICK], marks=pytest.mark.slow),
        pytest.param(200, [], marks=pytest.mark.long),
    ],
)
def test_killed_commands_lose_nothing(num_kills, words):
    """After SIGKILL, SIGTERM or Ctrl-C what stands is whole, and the command can be repeated."""
    figures = call(TESTS / "kill_harness.py", "--kills", num_kills, *words)

    assert figures["kills"] == num_kills
    assert figures["is_finished"]


@pytest.mark.long
def test_full_disk_loses_nothing():
    """Every command says so in one line, and ends well once there is room."""
    alone = ["unshare", "--map-root-user", "--mount"]
    can_mount = (
        shutil.which("unshare")
        and not subprocess.run(
            [*alone, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        ).returncode
    )
    if not can_mount:
        pytest.skip("mounting a small disk is not permitted here")

    said = call(TESTS / "full_disk.py", "--no-java", before=alone)

    assert len(said) > 30
    assert {line for line in said.values() if "no space left on the disk" not in line} == set()


@pytest.mark.java
@pytest.mark.slow
def test_many_threads_are_answered_as_one(made_both, tiny_checkpoint):
    """32 threads, each asking dense, BM25 and hybrid search in turn, of the same searchers."""
    encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")
    dense, sparse = DenseSearcher(made_both / "Flat", encoder), Bm25Searcher(made_both / "bm25")
    searchers = {"dense": dense, "bm25": sparse, "hybrid": HybridSearcher(dense, sparse)}
    queries = [topic.text for topic in read_topics(str(made_both / "topics.tsv"))]

    figures = run_load(Load(searchers, queries, k=10), threads=32, seconds=3)

    assert figures["queries"] > 100
    assert (figures["wrong"], figures["errors"], figures["stuck_threads"]) == (0, 0, 0)

"""The file that tuning writes is decided by runs, judgments and settings alone."""

import json
import os
import random
import subprocess
import sys
from importlib import metadata

import pytest

from ance_plugin.fusion.__main__ import main


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two runs of 30 topics and judgments in the current directory."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(3)
    for name in ("bm25", "dense"):
        lines = [
            f"q{topic} Q0 d{docid} 1 {rng.random()} {name}\n"
            for topic in range(30)
            for docid in rng.sample(range(40), 20)
        ]
        (tmp_path / f"{name}.trec").write_text("".join(lines))
    judged = [f"q{topic} 0 d{rng.randrange(40)} 1\n" for topic in range(30)]
    (tmp_path / "qrels.txt").write_text("".join(judged))
    return tmp_path


TUNE = """
import sys
import numba
from ance_plugin.fusion.__main__ import main
numba.set_num_threads(int(sys.argv[1]))
words = ["--runs", "bm25.trec", "dense.trec", "--qrels", "qrels.txt", "--method", "interpolation"]
sys.exit(main(["tune", *words, "--output", sys.argv[2]]))
"""


@pytest.mark.slow
def test_tuned_file_is_the_same_bytes_every_time(files):
    """Whatever the order of sets, the number of threads, and the process."""
    found = set()
    for seed, threads in (("1", 1), ("2", 2)):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "NUMBA_NUM_THREADS": "2"}
        words = [sys.executable, "-c", TUNE, str(threads), f"{seed}.json"]
        subprocess.run(words, check=True, env=environment, capture_output=True)
        found.add((files / f"{seed}.json").read_bytes())

    assert len(found) == 1


def test_tuned_file_tells_nothing_of_the_moment_but_versions(files, monkeypatch):
    """A package that is being installed anew meanwhile shows as "not installed", no more."""

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    words = ["--runs", "bm25.trec", "dense.trec", "--qrels", "qrels.txt"]
    words = ["tune", *words, "--method", "interpolation", "--output"]
    assert main([*words, "calm.json"]) == 0
    monkeypatch.setattr(metadata, "version", absent)
    assert main([*words, "meanwhile.json"]) == 0

    calm, meanwhile = (
        json.loads((files / f"{name}.json").read_text()) for name in ("calm", "meanwhile")
    )
    assert calm.pop("created_by")["ranx"] != "not installed"
    assert meanwhile.pop("created_by")["ranx"] == "not installed"
    assert calm == meanwhile

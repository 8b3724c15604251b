"""What the disk refuses, who holds an output, and what is on the disk before a name is taken."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ance_plugin.artifacts import new_directory, new_file, seal
from ance_plugin.disk import claim, claim_command, name_refusals
from ance_plugin.errors import ArtifactError, FormatError
from ance_plugin.formats.vectors import GrowingVectors

HOLD = """
import sys
from pathlib import Path
from ance_plugin.disk import claim_command
with claim_command(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def changes(monkeypatch, tmp_path):
    """What is flushed and what is renamed below a folder, in order."""
    seen = []

    def record(name, real, path_of):
        def call(first, *rest, **options):
            path = Path(path_of(first))
            if path.is_relative_to(tmp_path):
                seen.append((name, str(path.relative_to(tmp_path))))
            return real(first, *rest, **options)

        return call

    monkeypatch.setattr(
        os, "fsync", record("fsync", os.fsync, lambda f: Path(f"/proc/self/fd/{f}").readlink())
    )
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, record("rename", getattr(os, name), str))
    return seen


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")


@needs_proc
def test_directory_is_on_the_disk_before_it_takes_its_name(tmp_path, changes):
    """A power cut after the rename finds every byte: each file, each folder, then the name."""
    with new_directory(tmp_path / "out") as staging:
        (staging / "sub").mkdir()
        (staging / "sub" / "a").write_text("x", encoding="utf-8")
        seal(staging, "thing", {})

    renamed = changes.index(("rename", ".out.partial"))
    before = {path for what, path in changes[:renamed] if what == "fsync"}
    assert before >= {
        *(".out.partial", ".out.partial/sub", ".out.partial/sub/a"),
        ".out.partial/metadata.json",
    }
    assert ("fsync", ".") in changes[renamed:]


@needs_proc
def test_older_directory_goes_only_after_the_newer_one_is_on_the_disk(tmp_path, changes):
    """Both renames come after the flushes, and the older one is deleted after the last."""
    for _ in range(2):
        changes.clear()
        with new_directory(tmp_path / "out", overwrite=True) as staging:
            seal(staging, "thing", {})

    renames = [path for what, path in changes if what == "rename"]
    assert renames[-2:] == ["out", ".out.partial"]
    assert changes[-1] == ("fsync", ".")


@needs_proc
@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_file_is_on_the_disk_before_it_takes_its_name(tmp_path, changes, name):
    """Compressed or not."""
    with new_file(tmp_path / name) as file:
        file.write("x\n")

    assert changes == [
        ("fsync", f".{name}.partial"),
        ("rename", f".{name}.partial"),
        ("fsync", "."),
    ]


@needs_proc
def test_block_is_on_the_disk_before_it_is_said_to_be_done(tmp_path, changes):
    """Vectors, docids, and last the record."""
    growing = GrowingVectors(tmp_path / "v", {"dimension": 2})
    changes.clear()
    growing.write_block(0, ["a"], np.ones((1, 2), np.float32))

    endings = [path.split(".")[4] for what, path in changes if what == "rename"]
    assert endings == ["npy", "docids", "done"]
    assert [what for what, _ in changes] == ["fsync", "rename", "fsync"] * 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_full_disk_names_the_output(tmp_path, number):
    """Python's own error may name nothing at all."""
    with (
        pytest.raises(OSError, match=r"out: .*; make room and give the command again"),
        new_directory(tmp_path / "out"),
    ):
        raise OSError(number, os.strerror(number))

    assert list(tmp_path.iterdir()) == []


def test_error_of_a_library_is_a_full_disk_where_the_disk_is_full(tmp_path, monkeypatch):
    """FAISS and Lucene say it in their own ways; whether it is so is tried out."""

    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)

    with (
        pytest.raises(OSError, match="no space left on the disk"),
        name_refusals(tmp_path / "out"),
    ):
        raise RuntimeError("write error")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("bug"), FormatError("bad"), KeyError("x")])
def test_other_errors_stay_what_they_are(tmp_path, error):
    """A disk with room is not to blame."""
    with pytest.raises(type(error)), name_refusals(tmp_path / "out"):
        raise error


def test_second_command_on_one_output_is_refused_from_the_start(tmp_path):
    """A search of hours does not overwrite another one at its end."""
    path = tmp_path / "run.trec"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        expected = rf"run\.trec: is being written by process {holder.pid} on "
        with pytest.raises(ArtifactError, match=expected), claim_command(path):
            pytest.fail("two commands hold it")
    finally:
        holder.kill()
        holder.communicate()

    with claim_command(path), claim(path):  # the command's own writing is another claim
        pass
    assert list(tmp_path.iterdir()) == []

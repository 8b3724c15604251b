"""What holds for what stands on disk: whole or not at all."""

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ance_plugin import artifacts
from ance_plugin.artifacts import claim, new_directory, new_file, open_sealed, seal, verify
from ance_plugin.errors import ArtifactError

HOLD = """
import sys
from pathlib import Path
from ance_plugin.artifacts import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_replaceable(path):
    """Make a directory with the file ``old`` that --overwrite may replace."""
    path.mkdir()
    (path / "old").touch()
    seal(path, "thing", {})


@contextmanager
def held_by_another_process(path):
    """Hold the claim to ``path`` in a subprocess, which is killed at the end."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        yield holder
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()


@pytest.fixture
def sealed(tmp_path):
    """Return a whole artifact of the kind ``thing`` with the files ``a`` and ``sub/b``."""
    path = tmp_path / "thing"
    with new_directory(path) as staging:
        (staging / "a").write_text("alpha", encoding="utf-8")
        (staging / "sub").mkdir()
        (staging / "sub" / "b").write_text("beta", encoding="utf-8")
        seal(staging, "thing", {"seconds": 1.5})
    return path


class TestNewDirectory:
    def test_it_takes_its_name_when_the_block_ends(self, tmp_path):
        """Nothing hidden is left beside it."""
        path = tmp_path / "deep" / "out"
        with new_directory(path) as staging:
            (staging / "file").write_text("x", encoding="utf-8")
            assert not path.exists()

        assert (path / "file").read_text(encoding="utf-8") == "x"
        assert names(path.parent) == ["out"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_nothing_is_left_after_an_error(self, tmp_path, error):
        """Ctrl-C counts as an error."""

        def fail_halfway():
            with new_directory(tmp_path / "out") as staging:
                (staging / "file").write_text("x", encoding="utf-8")
                raise error

        with pytest.raises(error):
            fail_halfway()
        assert names(tmp_path) == []

    def test_interrupt_right_after_the_hidden_folder_is_made(self, tmp_path, monkeypatch):
        """It is as gone as one that was filled."""
        make = type(tmp_path).mkdir

        def interrupt(path, *args, **kwargs):
            make(path, *args, **kwargs)
            if path != tmp_path:
                raise KeyboardInterrupt

        monkeypatch.setattr(type(tmp_path), "mkdir", interrupt)
        with pytest.raises(KeyboardInterrupt), new_directory(tmp_path / "out"):
            pytest.fail("the block ran")

        assert names(tmp_path) == []

    def test_directory_that_exists_is_refused_before_any_work(self, tmp_path):
        """The message says how to go on."""
        (tmp_path / "out").mkdir()

        expected = "out: exists already; name another --output or give --overwrite"
        with pytest.raises(ArtifactError, match=expected), new_directory(tmp_path / "out"):
            pytest.fail("the block ran")

    def test_overwrite_replaces_what_stood_there(self, tmp_path):
        """Files of the older directory are gone."""
        make_replaceable(tmp_path / "out")
        with new_directory(tmp_path / "out", overwrite=True) as staging:
            (staging / "new").touch()

        assert names(tmp_path / "out") == ["new"]
        assert names(tmp_path) == ["out"]

    @pytest.mark.parametrize("name", ["a file", "a folder"])
    def test_overwrite_leaves_alone_what_no_command_made(self, tmp_path, name):
        """A wrong --output must not cost anybody's notes."""
        (tmp_path / "a file").write_text("notes", encoding="utf-8")
        (tmp_path / "a folder").mkdir()
        (tmp_path / "a folder" / "notes").touch()

        expected = "was not made by ance-plugin, so --overwrite leaves it alone; remove it yourself"
        with (
            pytest.raises(ArtifactError, match=expected),
            new_directory(tmp_path / name, overwrite=True),
        ):
            pytest.fail("the block ran")
        assert (tmp_path / "a file").read_text(encoding="utf-8") == "notes"
        assert names(tmp_path) == ["a file", "a folder"]

    def test_overwrite_takes_an_empty_folder(self, tmp_path):
        """Nothing is lost with it."""
        (tmp_path / "out").mkdir()
        with new_directory(tmp_path / "out", overwrite=True) as staging:
            (staging / "new").touch()

        assert names(tmp_path / "out") == ["new"]

    def test_older_directory_returns_after_a_kill_between_two_renames(self, tmp_path):
        """The next attempt finds it under its name, and without --overwrite leaves it there."""
        make_replaceable(tmp_path / "out")
        (tmp_path / "out").rename(tmp_path / ".out.retired")

        with pytest.raises(FileNotFoundError, match=r"\.out\.retired is the older one"):
            open_sealed(tmp_path / "out", "thing")
        with pytest.raises(ArtifactError, match="exists already"), new_directory(tmp_path / "out"):
            pytest.fail("the block ran")
        assert names(tmp_path / "out") == ["metadata.json", "old"]

    def test_overwrite_of_a_link_leaves_its_target_alone(self, tmp_path):
        """Only the name is replaced."""
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").touch()
        (tmp_path / "out").symlink_to(tmp_path / "target")
        with new_directory(tmp_path / "out", overwrite=True):
            pass

        assert names(tmp_path / "target") == ["old"]
        assert not (tmp_path / "out").is_symlink()

    def test_failed_overwrite_keeps_what_stood_there(self, tmp_path):
        """The older directory goes only once the newer one is whole."""
        make_replaceable(tmp_path / "out")
        with (
            pytest.raises(ValueError, match="failed"),
            new_directory(tmp_path / "out", overwrite=True),
        ):
            raise ValueError("failed")

        assert names(tmp_path / "out") == ["metadata.json", "old"]

    def test_leftover_of_a_killed_process_is_removed(self, tmp_path):
        """A new attempt starts from nothing."""
        leftover = artifacts.partial_path(tmp_path / "out")
        leftover.mkdir()
        (leftover / "half").touch()
        with new_directory(tmp_path / "out"):
            pass

        assert names(tmp_path / "out") == []

    def test_directory_that_another_process_has_just_made_is_not_replaced(
        self, tmp_path, monkeypatch
    ):
        """One that appears between the first look and the claim counts as existing."""
        path = tmp_path / "out"
        real_claim = artifacts.claim

        @contextmanager
        def claim_too_late(wanted):
            path.mkdir()
            (path / "theirs").touch()
            with real_claim(wanted):
                yield

        monkeypatch.setattr(artifacts, "claim", claim_too_late)

        with pytest.raises(ArtifactError, match="exists already"), new_directory(path):
            pass
        assert names(path) == ["theirs"]


class TestNewFile:
    def test_it_replaces_the_older_file_when_done(self, tmp_path):
        """Until then the older one stands; line ends stay as written."""
        path = tmp_path / "run.txt"
        path.write_text("old", encoding="utf-8")
        with new_file(path) as file:
            file.write("ä\n")
            assert path.read_text(encoding="utf-8") == "old"

        assert path.read_bytes() == "ä\n".encode()
        assert names(tmp_path) == ["run.txt"]

    @pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
    def test_error_keeps_the_older_file(self, tmp_path, name):
        """A run that failed halfway is not a short run."""
        (tmp_path / name).write_text("old", encoding="utf-8")

        def fail_halfway():
            with new_file(tmp_path / name) as file:
                file.write("new")
                raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            fail_halfway()
        assert (tmp_path / name).read_text(encoding="utf-8") == "old"
        assert names(tmp_path) == [name]

    def test_name_that_ends_in_gz_is_compressed(self, tmp_path):
        """It holds what was written."""
        with new_file(tmp_path / "run.gz") as file:
            file.write("line\n" * 100)

        assert gzip.decompress((tmp_path / "run.gz").read_bytes()) == b"line\n" * 100

    def test_compressed_bytes_depend_on_the_text_alone(self, tmp_path):
        """Neither name nor time is inside, so equal runs have equal hashes."""
        for name in ("one.gz", "two.gz"):
            with new_file(tmp_path / name) as file:
                file.write("same text\n")

        content = (tmp_path / "one.gz").read_bytes()
        assert content == (tmp_path / "two.gz").read_bytes()
        assert content[4:8] == bytes(4)  # the time in a gzip header

    def test_folders_above_it_are_made(self, tmp_path):
        """``--output runs/new/run.txt`` needs no mkdir."""
        with new_file(tmp_path / "a" / "b" / "run.txt") as file:
            file.write("x")

        assert (tmp_path / "a" / "b" / "run.txt").read_text(encoding="utf-8") == "x"


class TestClaim:
    def test_second_process_is_refused_with_the_pid_of_the_first(self, tmp_path):
        """The message says whom to wait for."""
        path = tmp_path / "out"
        with held_by_another_process(path) as holder:
            expected = f"is being written by process {holder.pid} on {socket.gethostname()}"
            with pytest.raises(ArtifactError, match=expected), claim(path):
                pytest.fail("two processes hold it")

    def test_claim_ends_with_a_killed_process(self, tmp_path):
        """No stale lock is left for a person to delete."""
        path = tmp_path / "out"
        with held_by_another_process(path) as holder:
            holder.kill()
            holder.wait()

            with claim(path):
                held = (tmp_path / ".out.lock").read_text(encoding="utf-8")
        assert held == f"process {os.getpid()} on {socket.gethostname()}"
        assert names(tmp_path) == []

    def test_claim_is_refused_within_one_process_too(self, tmp_path):
        """Two threads are two writers."""
        with claim(tmp_path / "out"):
            with pytest.raises(ArtifactError), claim(tmp_path / "out"):
                pytest.fail("held twice")
            with claim(tmp_path / "other"):
                pass

    def test_claim_ends_with_an_error(self, tmp_path):
        """The next one may write."""
        with pytest.raises(ValueError, match="stop"), claim(tmp_path / "out"):
            raise ValueError("stop")

        with claim(tmp_path / "out"):
            pass


class TestSealed:
    def test_metadata_says_what_it_is_and_what_it_holds(self, sealed):
        """Kind, version, what the caller adds, and every file's size and SHA-256."""
        alpha, beta = hashlib.sha256(b"alpha").hexdigest(), hashlib.sha256(b"beta").hexdigest()

        assert open_sealed(sealed, "thing") == verify(sealed, "thing")
        assert open_sealed(sealed, "thing") == {
            "kind": "thing",
            "format_version": 1,
            "seconds": 1.5,
            "files": {
                "a": {"size_bytes": 5, "sha256": alpha},
                "sub/b": {"size_bytes": 4, "sha256": beta},
            },
        }

    def test_truncated_file_is_refused(self, sealed):
        """The message has both sizes and the remedy."""
        (sealed / "a").write_text("al", encoding="utf-8")

        with pytest.raises(ArtifactError, match="a: has 2 bytes, expected 5 bytes; make the thing"):
            open_sealed(sealed, "thing")

    def test_missing_file_is_refused(self, sealed):
        """A file in a folder below counts too."""
        (sealed / "sub" / "b").unlink()

        with pytest.raises(ArtifactError, match="sub/b: is missing, expected 4 bytes"):
            open_sealed(sealed, "thing")

    def test_changed_content_of_equal_size_is_found_by_verify(self, sealed):
        """Opening looks at sizes, verifying at every bit."""
        (sealed / "a").write_bytes(bytes([b"a"[0] ^ 1]) + b"lpha")

        open_sealed(sealed, "thing")
        with pytest.raises(ArtifactError, match="a: content has changed; make the thing again"):
            verify(sealed, "thing")

    def test_other_kind_is_refused(self, sealed):
        """Vectors are no index."""
        with pytest.raises(ArtifactError, match="thing: is a thing, expected a dense-index"):
            open_sealed(sealed, "dense-index")

"""What an artifact's reader says of metadata that is missing, damaged, or of another artifact."""

import json
import re

import pytest

from ance_plugin import artifacts, disk
from ance_plugin.artifacts import METADATA, open_sealed, read_json, require_equal, write_json
from ance_plugin.errors import ArtifactError, MismatchError


def test_missing_directory_is_a_missing_file(tmp_path):
    """As everywhere in Python."""
    with pytest.raises(FileNotFoundError, match=r"none: no such directory$"):
        open_sealed(tmp_path / "none", "thing")


def test_unfinished_directory_is_named(tmp_path):
    """Who looks for it learns that its writer was killed."""
    (tmp_path / ".out.partial").mkdir()

    expected = r"\.out\.partial is unfinished, run the command that writes it again"
    with pytest.raises(FileNotFoundError, match=expected):
        open_sealed(tmp_path / "out", "thing")


def test_directory_without_metadata_is_none_of_ours(tmp_path):
    """The message says what was wanted."""
    with pytest.raises(ArtifactError, match="it is not a thing made by ance-plugin"):
        open_sealed(tmp_path, "thing")


def test_newer_format_is_refused(tmp_path):
    """An older ance-plugin does not guess."""
    newer = artifacts.FORMAT_VERSION + 1
    write_json(tmp_path / METADATA, {"kind": "thing", "format_version": newer, "files": {}})

    with pytest.raises(ArtifactError, match=f"has format version {newer}, .* upgrade it"):
        open_sealed(tmp_path, "thing")


@pytest.mark.parametrize(
    "content",
    [
        '{"kind": "thing", "format_version": 1}',
        '{"kind": "thing", "format_version": "one", "files": {}}',
        '{"kind": "thing", "format_version": 1, "files": ["a"]}',
        '{"kind": "thing", "format_version": 1, "files": {"a": {}}}',
    ],
)
def test_metadata_that_says_too_little_is_damage(tmp_path, content):
    """Whatever is wrong with the file, it is this package's error."""
    (tmp_path / METADATA).write_text(content, encoding="utf-8")
    (tmp_path / "a").touch()

    with pytest.raises(ArtifactError):
        open_sealed(tmp_path, "thing")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not valid JSON"),
        (b'{"a": 1', "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[1]", "expected a JSON object"),
    ],
)
def test_file_that_is_no_json_object_is_damage(tmp_path, content, problem):
    """The message names the file."""
    path = tmp_path / "file.json"
    path.write_bytes(content)

    with pytest.raises(ArtifactError, match=f"{re.escape(str(path))}: {problem}"):
        read_json(path)


def test_json_is_written_for_people(tmp_path):
    """Indented, as UTF-8, with a last newline; reading gives it back."""
    write_json(tmp_path / "file.json", {"name": "Zoë", "k": 1})

    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert text == '{\n  "name": "Zoë",\n  "k": 1\n}\n'
    assert read_json(tmp_path / "file.json") == json.loads(text)


def test_nan_is_not_written_as_json(tmp_path):
    """Other languages cannot read it, and nothing is left behind."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"score": float("nan")})

    assert list(tmp_path.iterdir()) == []


def test_equal_settings_pass_whatever_their_order():
    """Nothing is said of what agrees."""
    require_equal({"a": 1, "b": [2]}, {"b": [2], "a": 1}, what="index")


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ({"pooling": "cls"}, {"pooling": "mean"}, "index: pooling is 'mean' there but 'cls' here"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "index: a is 2 there but 1 here"),
        ({}, {"a": 2}, "index: a is 2 there but None here"),
        ({"a": 2}, {}, "index: a is None there but 2 here"),
    ],
)
def test_first_setting_that_differs_is_named(found, expected, message):
    """First by name, with both values."""
    with pytest.raises(MismatchError, match=f"^{re.escape(message)}$"):
        require_equal(found, expected, what="index")


def test_place_for_an_output_is_made_before_the_work(tmp_path):
    """Its folder is there then, the file is not."""
    disk.require_writable(tmp_path / "new" / "run.txt")

    assert list((tmp_path / "new").iterdir()) == []


def test_folder_where_a_file_is_to_be_written_is_refused(tmp_path):
    """Before the work, not after it."""
    with pytest.raises(IsADirectoryError, match="is a folder, expected the name of a file"):
        disk.require_writable(tmp_path)


def test_output_below_a_file_is_refused(tmp_path):
    """A file takes no files."""
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match=r"run\.txt: its folder cannot be made"):
        disk.require_writable(tmp_path / "file" / "deep" / "run.txt")
    with pytest.raises(OSError, match=r"run\.txt: its folder"):
        disk.require_writable(tmp_path / "file" / "run.txt")
    with (
        pytest.raises(OSError, match="index: its folder cannot be made"),
        artifacts.new_directory(tmp_path / "file" / "index"),
    ):
        pass

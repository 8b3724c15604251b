"""What holds for reading lines, JSON lines and ids."""

import gzip
import re

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.lines import read_json_lines, read_lines, require_id

NOT_LINE_ENDS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"  # str.splitlines splits at each


@pytest.fixture
def write(tmp_path):
    """Return a function that writes bytes, compressed if the name ends in .gz."""

    def write_bytes(content, name="file.txt"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write_bytes


@pytest.mark.parametrize("name", ["file.txt", "file.txt.gz"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a", [(1, "a")]),
        (b"a\nb\n", [(1, "a"), (2, "b")]),
        (b"a\r\nb\r\n", [(1, "a"), (2, "b")]),
        (b"\n\na\n", [(1, ""), (2, ""), (3, "a")]),
        (b"a\n\n", [(1, "a"), (2, "")]),
        (b"\xef\xbb\xbfa\nb", [(1, "a"), (2, "b")]),
        (b"a\n\xef\xbb\xbfb", [(1, "a"), (2, "\ufeffb")]),
        (b" a \t\n", [(1, " a \t")]),
    ],
)
def test_lines_are_numbered_from_one_without_their_ends(write, name, content, expected):
    """LF, CRLF, a missing last end and a byte order mark at the very start are all taken."""
    assert list(read_lines(write(content, name))) == expected


def test_only_newline_ends_a_line(write):
    """Texts hold other characters that Python would split at."""
    path = write(f"a{NOT_LINE_ENDS}b\nc\n".encode())

    assert list(read_lines(path)) == [(1, f"a{NOT_LINE_ENDS}b"), (2, "c")]


@pytest.mark.parametrize("name", ["file.txt", "file.txt.gz"])
def test_bytes_that_are_not_utf8_are_an_error_of_their_line(write, name):
    """Latin-1 is the usual culprit."""
    path = write("good\nnaïve\n".encode("latin-1"), name)

    with pytest.raises(FormatError, match=re.escape(f"{path}:2: is not UTF-8")):
        list(read_lines(path))


def test_lines_before_the_bad_one_are_given(write):
    """A reader that stops early never meets it."""
    lines = read_lines(write(b"good\n\xff\n"))

    assert next(lines) == (1, "good")


def test_file_that_only_claims_to_be_gzip_is_an_error(write, tmp_path):
    """A download that was unpacked on the way keeps its name."""
    (tmp_path / "plain.gz").write_bytes(b"a\tb\n")

    with pytest.raises(FormatError, match=r"plain\.gz:1: gzip data is damaged"):
        list(read_lines(tmp_path / "plain.gz"))


@pytest.mark.parametrize("cut", [12, -9, -4])
def test_truncated_gzip_is_an_error(tmp_path, cut):
    """A download that broke off is not a shorter file."""
    packed = gzip.compress(b"".join(b"line %d\n" % number for number in range(1000)))
    (tmp_path / "short.gz").write_bytes(packed[:cut])

    with pytest.raises(FormatError, match=r"short\.gz:\d+: gzip data is damaged"):
        list(read_lines(tmp_path / "short.gz"))


def test_flipped_bit_in_gzip_is_an_error(tmp_path):
    """The checksum at its end is looked at."""
    packed = bytearray(gzip.compress(b"text\n" * 10, compresslevel=0))
    packed[-20] ^= 1
    (tmp_path / "flipped.gz").write_bytes(packed)

    with pytest.raises(FormatError, match="gzip data is damaged"):
        list(read_lines(tmp_path / "flipped.gz"))


def test_missing_file_is_pythons_own_error(tmp_path):
    """As everywhere in Python."""
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "none.txt"))


def test_json_lines_are_objects_with_their_line_numbers(write):
    """Blank lines are passed over but counted."""
    path = write(b'{"a": 1}\n\n  \n{"a": 2}')

    assert list(read_json_lines(path)) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"a": 1', "is not valid JSON"),
        ("{'a': 1}", "is not valid JSON"),
        ("text", "is not valid JSON"),
        ('{"a": 1} {"b": 2}', "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('["a"]', "expected a JSON object"),
        ('"a"', "expected a JSON object"),
        ("null", "expected a JSON object"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_line_that_is_no_json_object_is_an_error(write, line, problem):
    """The message names file and line."""
    path = write(f'{{"a": 1}}\n{line}\n'.encode())

    with pytest.raises(FormatError, match=re.escape(f"{path}:2: {problem}")):
        list(read_json_lines(path))


@pytest.mark.parametrize(
    ("value", "expected"), [("d1", "d1"), (7, "7"), (0, "0"), ("007", "007"), ("日本", "日本")]
)
def test_id_is_a_string_even_if_it_looks_like_a_number(tmp_path, value, expected):
    """Leading zeros stay."""
    assert require_id(value, tmp_path, 1, "docid") == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "expected a docid that is a string, found None"),
        (1.0, "expected a docid that is a string, found 1.0"),
        (True, "expected a docid that is a string, found True"),
        (["d"], "expected a docid that is a string, found ['d']"),
        ("", "docid is empty; TREC runs separate columns by spaces"),
        ("  ", "docid is empty; TREC runs separate columns by spaces"),
        ("a b", "docid has white space: 'a b'; TREC runs separate columns by spaces"),
        ("a\tb", "docid has white space: 'a\\tb'"),
        (" a", "docid has white space: ' a'"),
        ("a\u00a0b", "docid has white space"),
        ("a\u2028", "docid has white space"),
    ],
)
def test_id_that_a_run_cannot_carry_is_refused(tmp_path, value, problem):
    """Better now than when the run is written."""
    path = tmp_path / "c.jsonl"

    with pytest.raises(FormatError, match=re.escape(f"{path}:3: {problem}")):
        require_id(value, path, 3, "docid")


def test_id_that_is_no_unicode_is_refused(tmp_path):
    r"""Half of a surrogate pair (JSON's ``\ud83d``) cannot be written to any file."""
    with pytest.raises(FormatError):
        require_id("a\ud83d", tmp_path / "c.jsonl", 3, "docid")

"""What holds for relevance judgments."""

import gzip
import re

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.formats.qrels import read_qrels


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file and reads it as qrels."""

    def write_and_read(content, name="qrels.txt"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_qrels(str(path))

    return write_and_read


@pytest.mark.parametrize("name", ["qrels.txt", "qrels.txt.gz"])
def test_trec_lines_are_read(read, name):
    """Grades may be negative or 0; ids are strings; tabs separate as spaces do."""
    content = "1 0 d1 2\n1\t0\t007\t0\n2 Q0 d1 -2\n"

    assert read(content, name) == {"1": {"d1": 2, "007": 0}, "2": {"d1": -2}}


def test_beir_header_is_no_judgment(read):
    """BEIR's TSV has three columns under a header."""
    content = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t2\n"

    assert read(content, "test.tsv") == {"q1": {"d1": 1, "d2": 2}}


def test_byte_order_mark_and_blank_lines_are_passed_over(read):
    """As are carriage returns."""
    assert read("\ufeff1 0 d1 1\r\n\r\n1 0 d2 0\r\n") == {"1": {"d1": 1, "d2": 0}}


def test_same_judgment_twice_is_one(read):
    """Some published files repeat lines."""
    assert read("1 0 d1 1\n1 0 d1 1\n") == {"1": {"d1": 1}}


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("1 0 d1 1\n1 0 d1 2\n", 2, "topic 1 judges document d1 twice: 1 and 2"),
        ("1 0 d1 1\n1 d1\n", 2, 'expected "qid 0 docid relevance", found 2 columns'),
        ("1 0 d1 1 x\n", 1, "found 5 columns"),
        ("1 0 d1 high\n", 1, "relevance must be an integer, found 'high'"),
        ("1 0 d1 1.5\n", 1, "relevance must be an integer, found '1.5'"),
        ("1 0 d1 1\nquery-id\tcorpus-id\tscore\n", 2, "relevance must be an integer"),
    ],
)
def test_malformed_line_is_named(read, tmp_path, content, line, problem):
    """File, line, what was found."""
    place = re.escape(str(tmp_path / "qrels.txt"))

    with pytest.raises(FormatError, match=f"{place}:{line}: .*{re.escape(problem)}"):
        read(content)


@pytest.mark.parametrize("content", ["", "\n", "query-id\tcorpus-id\tscore\n"])
def test_file_without_judgments_is_an_error(read, content):
    """Every measure would be empty."""
    with pytest.raises(FormatError, match=r"qrels\.txt: has no judgments"):
        read(content)


def test_name_that_leads_nowhere_is_a_missing_file(tmp_path):
    """Neither a file nor a dataset."""
    with pytest.raises(FileNotFoundError, match="there is no such file, and ir-datasets has no"):
        read_qrels(str(tmp_path / "none.txt"))

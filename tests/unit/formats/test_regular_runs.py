"""Reading a run by columns gives what reading it by lines gives, or leaves it to that."""

import gc
import gzip

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ance_plugin.errors import AnceError
from ance_plugin.formats import regular_runs, runs
from ance_plugin.formats.regular_runs import read_regular_run
from ance_plugin.formats.runs import read_run
from ance_plugin.packed_hits import PackedHits
from ance_plugin.records import Hit

SCORES = ["1", "0.5", "-2e-3", "1e400", "nan", "inf", "+3", "1_0", ".5", "5.", "0x1", "-0", "1e5"]
SCORES += ["12.345678901234567890", "infinity", "1,5", "", "NA", "null", "true", "0.1f", "1d"]
WORDS = ["q1", "q2", "007", "d#1", '"d"', "'", "NULL", "nan", "é", "\x01", "a,b", "-", ""]
SEPARATORS = [" "] * 40 + ["\t", "  ", "\u00a0", "\x1c", "\x85", "\v", ","]
ENDS = ["\n"] * 30 + ["\r\n", "\n\n", "\r", " \n", "\n \n", "\u2028", "\0\n", ""]


@st.composite
def contents(draw):
    """Draw lines that are mostly regular, and now and then wrong in any way."""
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        words = [
            draw(st.sampled_from(WORDS[:4] * 8 + WORDS)),
            "Q0",
            draw(st.text("abc", min_size=1, max_size=3) | st.sampled_from(WORDS)),
            "1",
            draw(st.floats(-9, 9).map(repr) | st.sampled_from(SCORES)),
            "tag",
        ]
        words += draw(st.sampled_from([[]] * 30 + [["more"]]))
        lines.append(words[0])
        for word in words[1:]:
            lines += [draw(st.sampled_from(SEPARATORS)), word]
        lines.append(draw(st.sampled_from(ENDS)))
    return "".join(lines)


@pytest.fixture
def everything(monkeypatch):
    """Have the smallest file read by columns."""
    monkeypatch.setattr(regular_runs, "_LEAST_BYTES", 0)


@pytest.fixture(params=["packed", "lists"])
def either(request, monkeypatch):
    """Have the smallest topics packed, or the largest not."""
    monkeypatch.setattr(regular_runs, "_HITS_TO_PACK", 0 if request.param == "packed" else 10**9)


def read_by_lines(path):
    """Give the run or the message of the error, the way the careful reader has them."""
    try:
        return runs._read_lines(path)
    except AnceError as err:
        return str(err)


@pytest.mark.usefixtures("everything", "either")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=contents())
@example(content="q1 Q0 d 1 1.5 t\n q1 Q0 e 1 1.5 t\n")
@example(content="q1  d 1 1.5 t\n")
@example(content="q1 Q0 d 1 1.5 \n")
@example(content='q1 Q0 "d 1 1.5 t\nq1 Q0 e" 1 1.5 t\n')
@example(content="q1 Q0 d 1 1.5 t\nq2 Q0 d 1 1.5 t\nq1 Q0 e 2 3 t\n")
def test_columns_give_what_lines_give(tmp_path, content):
    """The same run in the same order, or the same error with the same line."""
    (tmp_path / "run.txt").write_bytes(content.encode())
    expected = read_by_lines(tmp_path / "run.txt")

    try:
        found = read_run(tmp_path / "run.txt")
    except AnceError as err:
        found = str(err)

    assert found == expected
    if not isinstance(found, str):
        assert list(found) == list(expected)


@pytest.mark.usefixtures("everything", "either")
@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_regular_runs_are_read_by_columns(tmp_path, separator, name):
    """So the property above is not about the careful reader alone."""
    lines = ["q2 Q0 b 1 2.5 t", "q2 Q0 a 2 2.5 t", "q1 Q0 c 1 -1e-3 t", "q2 Q0 c 3 7 t"]
    content = "".join(line.replace(" ", separator) + "\n" for line in lines).encode()
    data = gzip.compress(content) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(data)

    run = read_regular_run(tmp_path / name)

    assert run == {"q2": [Hit("c", 7.0), Hit("b", 2.5), Hit("a", 2.5)], "q1": [Hit("c", -0.001)]}
    assert list(run) == ["q2", "q1"]
    assert {type(hit) for hits in run.values() for hit in hits} == {Hit}


def test_large_run_of_many_blocks_is_the_same(tmp_path):
    """Topics that lie across two blocks of the reader are whole."""
    lines = (f"q{n // 1000} Q0 d{n % 997 + n} 1 {1e6 / (n + 1)!r} t\n" for n in range(60_000))
    (tmp_path / "run.txt").write_text("".join(lines), encoding="utf-8")
    assert (tmp_path / "run.txt").stat().st_size > regular_runs._LEAST_BYTES

    assert read_regular_run(tmp_path / "run.txt") == runs._read_lines(tmp_path / "run.txt")


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("num_hits", "docid", "is_packed"), [(16, "d", True), (15, "d", False), (16, "d" * 40, False)]
)
def test_many_hits_of_short_docids_are_packed(tmp_path, num_hits, docid, is_packed):
    """Others would take longer as arrays; they are lists."""
    lines = [f"q Q0 {docid}{number} 1 {number} t\n" for number in range(num_hits)]
    (tmp_path / "run.txt").write_text("".join(lines), encoding="utf-8")

    run = read_regular_run(tmp_path / "run.txt")

    assert isinstance(run["q"], PackedHits) == is_packed
    assert run == runs._read_lines(tmp_path / "run.txt")


@pytest.mark.usefixtures("everything")
def test_garbage_collection_goes_on_afterwards(tmp_path):
    """It rests only while hits are made."""
    (tmp_path / "run.txt").write_text("q Q0 d 1 1 t\n", encoding="utf-8")
    read_regular_run(tmp_path / "run.txt")

    assert gc.isenabled()


def test_small_files_are_left_to_the_other_reader(tmp_path):
    """Loading Arrow would take longer."""
    (tmp_path / "run.txt").write_text("q Q0 d 1 1 t\n", encoding="utf-8")

    assert read_regular_run(tmp_path / "run.txt") is None


def test_missing_and_damaged_files_are_errors(tmp_path):
    """As without columns."""
    (tmp_path / "run.gz").write_bytes(b"no gzip")

    with pytest.raises(FileNotFoundError):
        read_run(tmp_path / "none.txt")
    with pytest.raises(AnceError, match="gzip data is damaged"):
        read_run(tmp_path / "run.gz")

"""What holds for run files."""

import gzip
import json
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ance_plugin.errors import FormatError
from ance_plugin.formats.runs import (
    manifest_path,
    read_run,
    read_tag,
    write_manifest,
    write_run,
)
from ance_plugin.ranking import rank
from ance_plugin.records import Hit

IDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=4
)
SCORES = st.floats(width=32, allow_nan=False, allow_infinity=False)
RUNS = st.dictionaries(
    IDS,
    st.dictionaries(IDS, SCORES, min_size=1, max_size=5).map(
        lambda hits: rank(list(hits), list(hits.values()))
    ),
    max_size=3,
)
TINY, HUGE = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that all examples of one property share."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(run=RUNS)
@example(run={"q": rank(["tiny", "huge", "low", "zero"], [TINY, HUGE, -HUGE, 0.0])})
@example(run={"q": rank(["a", "b"], [0.1, np.nextafter(np.float32(0.1), np.float32(1))])})
@example(run={})
def test_reading_what_was_written_gives_the_run_back(folder, name, run):
    """Every score, tiny, huge or negative, and the order of topics and of hits."""
    write_run(folder / name, run, tag="tag")
    found = read_run(folder / name)

    assert found == run
    assert list(found) == list(run)


def test_trec_lines_have_six_columns_and_ranks_from_one(tmp_path):
    """As trec_eval reads them."""
    run = {"q1": [Hit("d2", 2.5), Hit("d1", -0.125)], "q2": [Hit("d1", 1e-9)]}
    write_run(tmp_path / "run.txt", run, tag="mine")

    assert (tmp_path / "run.txt").read_text(encoding="utf-8") == (
        "q1 Q0 d2 1 2.5 mine\nq1 Q0 d1 2 -0.125 mine\nq2 Q0 d1 1 1e-09 mine\n"
    )


def test_msmarco_lines_have_qid_docid_and_rank(tmp_path):
    """Tabs between, no score."""
    run = {"q1": [Hit("d2", 2.5), Hit("d1", 1.0)], "q2": [Hit("d1", 1.0)]}
    write_run(tmp_path / "run.tsv", run, tag="mine", output_format="msmarco")

    expected = "q1\td2\t1\nq1\td1\t2\nq2\td1\t1\n"
    assert (tmp_path / "run.tsv").read_text(encoding="utf-8") == expected


def test_topic_without_hits_has_no_line(tmp_path):
    """The format has none for it."""
    write_run(tmp_path / "run.txt", {"q1": [], "q2": [Hit("d", 1.0)]}, tag="t")

    assert read_run(tmp_path / "run.txt") == {"q2": [Hit("d", 1.0)]}


def test_gzipped_run_is_the_same_bytes_every_time(tmp_path):
    """Equal runs have equal hashes."""
    for name in ("one.gz", "two.gz"):
        write_run(tmp_path / name, {"q": [Hit("d", 1.0)]}, tag="t")

    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.gz").read_bytes()) == b"q Q0 d 1 1.0 t\n"


@pytest.mark.parametrize("score", [np.float64(1.5), np.float32(1.5)])
def test_numpys_scores_are_written_as_numbers(tmp_path, score):
    """Since numpy 2 their ``repr`` is ``np.float64(1.5)``."""
    write_run(tmp_path / "run.txt", {"q": [Hit("d", score)]}, tag="t")

    assert (tmp_path / "run.txt").read_text(encoding="utf-8") == "q Q0 d 1 1.5 t\n"


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_score_that_could_not_be_read_is_not_written(tmp_path, score):
    """What ``write_run`` makes, ``read_run`` takes."""
    with pytest.raises(ValueError, match="finite"):
        write_run(tmp_path / "run.txt", {"q": [Hit("d", score)]}, tag="t")


@pytest.mark.parametrize("tag", ["", "two words", " mine", "a\tb"])
def test_tag_is_one_word(tmp_path, tag):
    """It is a column of the run."""
    with pytest.raises(ValueError, match="must be one word: it is a column of the run"):
        write_run(tmp_path / "run.txt", {}, tag=tag)


def test_failed_write_keeps_the_older_run(tmp_path):
    """A run stands whole or not at all."""
    path = tmp_path / "run.txt"
    write_run(path, {"q": [Hit("d", 1.0)]}, tag="t")
    with pytest.raises(ValueError, match="unpack"):
        write_run(path, {"q": [Hit("e", 2.0)], "r": [("no hit",)]}, tag="t")

    assert read_run(path) == {"q": [Hit("d", 1.0)]}


class TestReading:
    @pytest.fixture
    def read(self, tmp_path):
        """Return a function that writes a file and reads it as a run."""

        def write_and_read(content):
            (tmp_path / "run.txt").write_text(content, encoding="utf-8")
            return read_run(tmp_path / "run.txt")

        return write_and_read

    def test_ranks_are_ignored(self, read):
        """Scores decide, as in trec_eval; ties by docid descending."""
        content = "q Q0 a 1 1.0 t\nq Q0 b 2 3.0 t\nq Q0 c 9 1.0 t\n"

        assert read(content) == {"q": [Hit("b", 3.0), Hit("c", 1.0), Hit("a", 1.0)]}

    def test_topics_may_be_interleaved(self, read):
        """They come in the order of their first lines."""
        found = read("9 Q0 a 1 1 t\n10 Q0 a 1 1 t\n9 Q0 b 2 0.5 t\n")

        assert found == {"9": [Hit("a", 1.0), Hit("b", 0.5)], "10": [Hit("a", 1.0)]}
        assert list(found) == ["9", "10"]

    def test_other_tools_columns_are_taken(self, read):
        """Tabs, exponents, a byte order mark, CRLF, blank lines and no last end."""
        assert read("\ufeffq\tQ0\ta\t1\t1e-3\tt\r\n\r\nq 0 b 0 -2 t") == {
            "q": [Hit("a", 0.001), Hit("b", -2.0)]
        }

    def test_scores_are_kept_to_the_last_digit(self, read):
        """Somebody else's run is not rounded."""
        assert read("q Q0 a 1 12.345678901234567 t\n")["q"][0].score == 12.345678901234567

    def test_empty_file_is_an_empty_run(self, read):
        """No topic had a hit."""
        assert read("") == {}

    @pytest.mark.parametrize(
        ("content", "line", "problem"),
        [
            ("q Q0 a 1 1.0 t\nq Q0 a 2 0.5 t\n", 2, "topic q has document a twice"),
            ("q Q0 a 1 1.0\n", 1, 'expected "qid Q0 docid rank score tag", found 5 columns'),
            ("q\ta\t1\n", 1, "found 3 columns"),
            ("q Q0 a 1 1.0 my tag\n", 1, "found 7 columns"),
            ("q Q0 a 1 nan t\n", 1, "score must be a finite number, found 'nan'"),
            ("q Q0 a 1 -inf t\n", 1, "score must be a finite number, found '-inf'"),
            ("q Q0 a 1 1e999 t\n", 1, "score must be a finite number, found '1e999'"),
            ("q Q0 a 1 high t\n", 1, "score must be a finite number, found 'high'"),
        ],
    )
    def test_malformed_line_is_named(self, read, tmp_path, content, line, problem):
        """File, line, what was found."""
        place = re.escape(str(tmp_path / "run.txt"))

        with pytest.raises(FormatError, match=f"{place}:{line}: .*{re.escape(problem)}"):
            read(content)

    def test_missing_run_is_pythons_own_error(self, tmp_path):
        """As everywhere in Python."""
        with pytest.raises(FileNotFoundError):
            read_run(tmp_path / "none.txt")


def test_tag_is_read_from_the_first_line(tmp_path):
    """A run that is empty is named by its file."""
    write_run(tmp_path / "run.trec.gz", {"q": [Hit("d", 1.0)]}, tag="mine")
    write_run(tmp_path / "bm25.trec.gz", {}, tag="mine")

    assert read_tag(tmp_path / "run.trec.gz") == "mine"
    assert read_tag(tmp_path / "bm25.trec.gz") == "bm25"


def test_manifest_stands_beside_the_run(tmp_path):
    """``run.txt`` is explained by ``run.txt.json``."""
    write_manifest(tmp_path / "run.txt", {"command": ["ance", "search"], "k1": 0.9})

    assert manifest_path(tmp_path / "run.txt") == tmp_path / "run.txt.json"
    content = json.loads((tmp_path / "run.txt.json").read_text(encoding="utf-8"))
    assert content == {"command": ["ance", "search"], "k1": 0.9}

"""What a benchmark reads is checked before any work."""

import json
from dataclasses import replace

import pytest

from ance_plugin.errors import FormatError, LeakError, MismatchError
from evaluation.benchmarks.inputs import read_inputs
from evaluation.benchmarks.presence import find_missing
from evaluation.benchmarks.table import Benchmark, Tuning, find_benchmark


@pytest.fixture
def benchmark(tmp_path):
    """Three documents, two topics to judge, one to tune on."""
    lines = [json.dumps({"id": f"d{n}", "contents": f"text {n}"}) for n in range(3)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "topics.tsv").write_text("q1\tone\nq2\ttwo\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\nq2 0 d9 0\n")
    (tmp_path / "dev.tsv").write_text("q3\tthree\n")
    (tmp_path / "dev.qrels").write_text("q3 0 d0 1\n")
    return Benchmark(
        name="mine",
        collection=str(tmp_path / "docs.jsonl"),
        topics=str(tmp_path / "topics.tsv"),
        qrels=str(tmp_path / "qrels.txt"),
        tuning=Tuning(str(tmp_path / "dev.tsv"), str(tmp_path / "dev.qrels")),
    )


def test_inputs_are_known_by_their_content(benchmark, tmp_path):
    """Another name changes no hash, another text does."""
    first = read_inputs(benchmark)
    (tmp_path / "topics.tsv").rename(tmp_path / "renamed.tsv")
    renamed = read_inputs(replace(benchmark, topics=str(tmp_path / "renamed.tsv")))
    (tmp_path / "renamed.tsv").write_text("q1\tone\nq2\ttoo\n")
    changed = read_inputs(replace(benchmark, topics=str(tmp_path / "renamed.tsv")))

    assert first.fingerprint.num_documents == 3
    assert first.test.topics_sha256 == renamed.test.topics_sha256 != changed.test.topics_sha256
    assert first.test.qids == {"q1", "q2"}
    assert first.list_notes() == []


def test_judged_texts_under_other_ids_are_refused(benchmark, tmp_path):
    """Renaming topics does not make them others; case and white space do not either."""
    (tmp_path / "dev.tsv").write_text("z1\tOne\nz2\ttwo\n")
    (tmp_path / "dev.qrels").write_text("z1 0 d0 1\nz2 0 d0 1\n")

    with pytest.raises(LeakError, match=r"2 of its 2 texts, such as 'one', are those of topics"):
        read_inputs(benchmark)


def test_topics_tuned_on_and_judged_are_refused(benchmark, tmp_path):
    """One shared topic is enough, and is named."""
    (tmp_path / "dev.tsv").write_text("q3\tthree\nq2\ttwo\n")
    (tmp_path / "dev.qrels").write_text("q3 0 d0 1\nq2 0 d0 1\n")

    with pytest.raises(LeakError, match=r"1 of its topics, such as 'q2', are among those"):
        read_inputs(benchmark)


def test_judgments_of_other_topics_are_refused(benchmark, tmp_path):
    """They would count zero for every system."""
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq7 0 d2 1\n")

    with pytest.raises(
        MismatchError, match=r"judges 1 topics that .*topics.tsv lacks, such as 'q7'"
    ):
        read_inputs(benchmark)


def test_judgments_of_another_collection_are_refused(benchmark, tmp_path):
    """Not one relevant document is in the collection."""
    (tmp_path / "qrels.txt").write_text("q1 0 x1 1\nq2 0 x2 1\n")

    with pytest.raises(MismatchError, match=r"none of its 2 relevant documents, such as 'x1'"):
        read_inputs(benchmark)


def test_lost_documents_and_unjudged_topics_are_told(benchmark, tmp_path):
    """A part that is missing is a note, no error."""
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq1 0 x2 1\n")

    assert read_inputs(benchmark).list_notes() == [
        "1 of 2 relevant documents are not in the collection; no system can find them",
        "1 of 2 topics have no judgments; ignored",
    ]


def test_collection_of_another_size_is_refused(benchmark):
    """The table knows how many documents there are."""
    with pytest.raises(FormatError, match="has 3 documents, mine has 4; is it whole"):
        read_inputs(replace(benchmark, num_documents=4))


def test_benchmark_without_topics_says_what_to_give(benchmark):
    """Its note is the message."""
    with pytest.raises(FileNotFoundError, match="mine: give the topics"):
        read_inputs(replace(benchmark, topics="", note="give the topics"))


def test_local_files_that_are_there_are_here(benchmark, tmp_path):
    """A part is missing where its file is."""
    assert find_missing(benchmark) == []
    (tmp_path / "qrels.txt").unlink()
    assert find_missing(benchmark) == ["qrels"]
    assert find_missing(replace(benchmark, topics="", answers="no")) == [
        "topics",
        "qrels",
        "answers",
    ]


def test_datasets_are_looked_for_and_nothing_is_made(tmp_path, monkeypatch):
    """A home that is not there stays so; a file in it is found."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    vaswani = find_benchmark("vaswani")

    assert find_missing(vaswani) == ["documents", "topics", "qrels"]
    assert not (tmp_path / "home").exists()
    (tmp_path / "home/vaswani").mkdir(parents=True)
    (tmp_path / "home/vaswani/docs.txt").touch()
    assert find_missing(vaswani) == ["topics", "qrels"]
    (tmp_path / "home/vaswani/npl.tar.gz").touch()
    assert find_missing(vaswani) == []
    assert find_missing(find_benchmark("pydoc")) == []

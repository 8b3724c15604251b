"""The table of benchmarks: what comes along, and what a local file may say."""

import pytest

from ance_plugin.errors import FormatError
from evaluation.benchmarks.table import Tuning, find_benchmark, list_benchmarks

BENCHMARKS = {benchmark.name: benchmark for benchmark in list_benchmarks()}
LOCAL = """collection = "docs.jsonl"
topics = "topics.tsv"
qrels = "qrels.txt"
"""


def write(folder, text):
    for name in ("docs.jsonl", "topics.tsv", "qrels.txt", "dev.tsv"):
        (folder / name).touch()
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


def test_names_are_unique():
    """As many names as benchmarks, BEIR's and MS MARCO's among them."""
    assert len(BENCHMARKS) == len(list_benchmarks()) >= 35
    assert {"beir/scifact", "msmarco-passage/trec-dl-2020", "vaswani", "pydoc"} <= BENCHMARKS.keys()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_is_needed(name):
    """A licence, what judges, and topics to tune on or a word why there are none."""
    benchmark = BENCHMARKS[name]

    assert benchmark.licence
    assert benchmark.qrels or benchmark.answers
    assert benchmark.tuning or benchmark.note
    assert "{name}" not in f"{benchmark.collection}{benchmark.topics}{benchmark.files}"


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if n not in ("pydoc", "vaswani")])
def test_ids_are_ones_that_ir_datasets_knows(name):
    """Collections, topics and judgments, to tune on too; Anserini's names of topics aside."""
    import ir_datasets

    benchmark = BENCHMARKS[name]
    tuning = benchmark.tuning
    names = [benchmark.topics, benchmark.qrels, *([tuning.topics, tuning.qrels] if tuning else [])]
    for one in [
        benchmark.collection,
        *(one for one in names if one and not one.startswith("dpr-")),
    ]:
        assert one in ir_datasets.registry


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if "dpr-w100" not in n and n != "pydoc"])
def test_sizes_are_those_of_ir_datasets(name):
    """The counts agree with the metadata that ir-datasets carries."""
    import ir_datasets

    benchmark = BENCHMARKS[name]

    documents = ir_datasets.load(benchmark.collection).metadata()["docs"]["count"]
    assert documents == benchmark.num_documents
    assert ir_datasets.load(benchmark.topics).metadata()["queries"]["count"] == benchmark.num_topics


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if "trec-dl" in n])
def test_deep_learning_tracks_follow_trec_eval(name):
    """Grade 1 is not relevant to MAP and recall; nDCG has no level."""
    measures = BENCHMARKS[name].measures

    assert {"ndcg@10", "map@1000-l2", "recall@1000-l2"} <= set(measures)


def test_no_benchmark_tunes_on_what_it_judges():
    """The names at least differ; the qids are compared before anything is made."""
    for benchmark in BENCHMARKS.values():
        if benchmark.tuning:
            assert benchmark.tuning.topics != benchmark.topics
            assert benchmark.tuning.qrels != benchmark.qrels


def test_local_file_names_what_is_beside_it(tmp_path):
    """Paths count from the file's folder; a name that is no file there stays a dataset id."""
    text = LOCAL + 'tuning = { topics = "dev.tsv", qrels = "beir/scifact/train" }\n'

    found = find_benchmark(write(tmp_path, text))

    assert found.name == "mine"
    assert found.collection == str(tmp_path / "docs.jsonl")
    assert found.tuning == Tuning(str(tmp_path / "dev.tsv"), "beir/scifact/train", "ndcg@10")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("collection = ", "is not valid TOML"),
        ('topics = "t"\n', "must name its collection"),
        ('collection = "docs.jsonl"\ntopics = "topics.tsv"\n', "must name collection, topics, and"),
        (LOCAL + "dept = 5\n", "unknown dept; a key is one of name, collection"),
        (LOCAL + 'depth = "5"\n', "depth must be a whole number, found '5'"),
        (LOCAL + "depth = true\n", "depth must be a whole number, found True"),
        (LOCAL + "depth = 0\n", "depth must be at least 1"),
        (LOCAL + 'measures = "ndcg@10"\n', "measures must be a list of measures"),
        (LOCAL + "measures = [1]\n", "measures must be a list of measures"),
        (LOCAL + 'measures = ["ndgc@10"]\n', "measure 'ndgc@10' is unknown"),
        (LOCAL + 'tuning = { topics = "dev.tsv" }\n', "must name its qrels"),
        (LOCAL + 'tuning = { topics = "a", qrels = "b", measure = "x" }\n', "measure 'x'"),
        (LOCAL + 'name = "a b"\n', "name must be of letters"),
        (LOCAL + 'maxp = "all"\n', "maxp must be segments or chunks"),
    ],
)
def test_mistakes_in_a_local_file_are_named(tmp_path, text, problem):
    """Each message has the file and what was expected."""
    with pytest.raises(FormatError, match=problem) as caught:
        find_benchmark(write(tmp_path, text))

    assert "mine.toml" in str(caught.value)


def test_unknown_benchmark_suggests_others():
    """The message says how to list them and which are near."""
    with pytest.raises(FileNotFoundError, match=r"evaluation list.*beir/trec-covid"):
        find_benchmark("beir/scifacts")

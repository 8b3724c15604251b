"""What a comparison holds beside means: all pairs, texts, overlaps, costs, flags of mistakes."""

import json
from types import SimpleNamespace

import pytest

from ance_plugin.artifacts import sha256_file
from ance_plugin.errors import FormatError, MismatchError
from ance_plugin.formats.runs import read_run, write_manifest, write_run
from ance_plugin.records import Hit
from evaluation.__main__ import main
from evaluation.compare import Settings, compare_runs

MRR = Settings(measures=("mrr",))


@pytest.fixture
def qrels(tmp_path):
    """Four topics, each with the one relevant document a."""
    path = tmp_path / "qrels.txt"
    path.write_text("".join(f"q{number} 0 a 1\n" for number in range(1, 5)))
    return str(path)


def make_run(folder, name, ranks):
    """Write a run that has document a at the given rank for topics q1, q2, …."""
    run = {
        f"q{number}": [
            Hit("a" if at == rank else f"x{at}", -float(at)) for at in range(1, rank + 3)
        ]
        for number, rank in enumerate(ranks, start=1)
    }
    path = folder / f"{name}.trec"
    write_run(path, run, tag=name)
    return path


@pytest.fixture
def runs(tmp_path):
    """Three runs, of which good puts a first."""
    ranks = {"bad": [5, 4, 5, 4], "good": [1, 1, 1, 1], "fair": [2, 3, 2, 2]}
    return [make_run(tmp_path, name, found) for name, found in ranks.items()]


def test_all_pairs_are_tested_and_the_baseline_is_among_them(qrels, runs):
    """Each two systems once; differences to the baseline are those of its pairs, turned around."""
    settings = Settings(measures=("mrr", "hole_rate@1"), all_pairs=True)

    found = compare_runs(qrels, runs, settings=settings, baseline="bad")

    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("bad", "good"), ("bad", "fair"), ("good", "fair"),
    ]  # fmt: skip
    first = found.pairs[0].differences["mrr"]
    against = found.differences["good"]["mrr"]
    assert (against.mean, against.wins, against.losses) == (-first.mean, 4, 0)
    assert against.p_corrected == first.p_corrected
    assert found.beaten("good", "mrr") == ("bad", "fair")
    assert found.beaten("bad", "mrr") == ()
    holes = found.differences["good"]["hole_rate@1"]
    assert (holes.mean, holes.wins) == (-1.0, 4)
    assert found.beaten("good", "hole_rate@1") == ("bad", "fair")


def test_tukey_tests_every_pair_at_once(qrels, runs):
    """With a baseline alone its p-values are those of all pairs."""
    tukey = {"measures": ("mrr",), "test": "tukey", "correction": "none"}

    pairs = compare_runs(qrels, runs, settings=Settings(**tukey, all_pairs=True)).pairs
    against = compare_runs(qrels, runs, settings=Settings(**tukey), baseline="bad").differences

    assert against["good"]["mrr"].p_value == pairs[0].differences["mrr"].p_value


def test_recall_grows_with_depth_up_to_the_hits(qrels, runs):
    """Depths beyond the hits of any topic are left out; recall at 2 counts what stands in two."""
    found = compare_runs(qrels, runs, settings=MRR)

    assert found.recalls == {
        "bad": {1: 0.0, 2: 0.0, 5: 1.0},
        "good": {1: 1.0, 2: 1.0},
        "fair": {1: 0.0, 2: 0.75, 5: 1.0},
    }
    assert [system.num_hits for system in found.systems] == [7, 3, 5]


def test_texts_are_those_of_topics_and_collection(tmp_path, qrels, runs):
    """The topics that differ most come with their text and the texts of the first hits."""
    topics, collection = tmp_path / "topics.tsv", tmp_path / "docs.jsonl"
    topics.write_text("q1\tthe first\nq2\tthe second\nq9\tanother\n")
    collection.write_text('{"id": "a", "title": "A", "text": "relevant one"}\n')

    found = compare_runs(qrels, runs, settings=MRR, topics=str(topics), collection=str(collection))

    assert found.topics == {"q1": "the first", "q2": "the second"}
    assert [example.qid for example in found.examples] == ["q1", "q3", "q2", "q4"]
    shown = found.examples[0].hits["good"][0]
    assert (shown.docid, shown.title, shown.text, shown.relevance) == ("a", "A", "relevant one", 1)


def test_topics_of_another_set_are_refused(tmp_path, qrels, runs):
    """Texts of none of the topics are a mistake, named before anything is measured."""
    topics = tmp_path / "topics.tsv"
    topics.write_text("7\tsomething\n")

    with pytest.raises(MismatchError, match=r"has none of the topics of the qrels, such as 'q1'"):
        compare_runs(qrels, runs, settings=MRR, topics=str(topics))


def test_tuning_is_found_through_the_runs_a_run_was_made_from(tmp_path, qrels, runs):
    """A reranked run is flagged for the tuning of its first stage, while that is the same file."""
    tuned, reranked = runs[0], runs[1]
    write_manifest(tuned, {"fusion": {"tuned_on": {"qrels": "dev", "qids": ["q1"]}}})
    write_manifest(reranked, {"run": {"path": "gone/bad.trec", "sha256": sha256_file(tuned)}})

    found = compare_runs(qrels, [reranked], settings=MRR)

    assert found.systems[0].flags == (
        "good was tuned through bad.trec on 1 of the 4 topics evaluated (tuned on dev): "
        "its values are no test result",
    )
    tuned.write_text("q1 Q0 a 1 1.0 changed\n")
    assert compare_runs(qrels, [reranked], settings=MRR).systems[0].flags == ()


def test_copies_and_foreign_docids_are_flagged(tmp_path, qrels):
    """The same ranking under another name, and hits of which none is judged, are said there."""
    first = make_run(tmp_path, "first", [1, 2, 1, 2])
    make_run(tmp_path, "other", [1, 2, 2, 1])
    copy = tmp_path / "copy.trec.gz"
    copied = {
        qid: [Hit(hit.docid, hit.score / 2) for hit in hits]
        for qid, hits in reversed(read_run(first).items())
    }
    write_run(copy, copied, tag="another")
    foreign = tmp_path / "foreign.trec"
    write_run(foreign, {f"q{at}": [Hit("D7", 1.0)] for at in range(1, 5)}, tag="t")

    found = compare_runs(qrels, [first, tmp_path / "other.trec", copy, foreign], settings=MRR)

    flags = {system.name: system.flags for system in found.systems}
    assert flags["first"] == flags["other"] == ()
    assert flags["copy"] == ("copy ranks in every topic as first does; is it a copy?",)
    assert flags["foreign"] == (
        "no hit of foreign is judged: it has docids such as 'D7', the qrels 'a', "
        "so they may be of different collections",
    )


def test_measures_deeper_than_the_hits_are_told(qrels, runs):
    """One note a measure lists the systems with fewer hits."""
    settings = Settings(measures=("recall@5", "recall@4"))

    found = compare_runs(qrels, runs, settings=settings)

    assert found.notes == (
        "recall@5 looks deeper than the hits a topic has in good (3)",
        "recall@4 looks deeper than the hits a topic has in good (3)",
    )


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("q1 Q0 a 1 2.0 t\nq1 Q0 a 2 1.0 t\n", "topic q1 has document a twice"),
        ("q1 Q0 a 1 nan t\n", "score must be a finite number, found 'nan'"),
        ("q1 Q0 a 1 2.0\n", "found 5 columns"),
    ],
)
def test_a_damaged_run_is_refused(tmp_path, qrels, lines, problem):
    """Duplicates, scores that are no numbers and missing columns stop the comparison."""
    path = tmp_path / "run.trec"
    path.write_text(lines)

    with pytest.raises(FormatError, match=problem):
        compare_runs(qrels, [path], settings=MRR)


def test_one_run_has_no_pairs(qrels, runs):
    """All pairs of one system are a mistake."""
    with pytest.raises(ValueError, match="tests of all pairs need two runs or more"):
        compare_runs(qrels, runs[:1], settings=Settings(all_pairs=True))


def test_published_figures_stand_beside_ours(qrels, runs):
    """Any object with the six attributes will do; what is not measured here has no value."""
    figures = [
        SimpleNamespace(
            system=system, measure="mrr", value=1.0, tolerance=0.01, source="s", setting=setting
        )
        for system, setting in (("good", {"k1": 0.9, "b": 0.4}), ("absent", "as published"))
    ]

    found = compare_runs(qrels, runs, settings=MRR, expected=figures).expected

    assert [(row.ours, row.is_met) for row in found] == [(1.0, True), (None, None)]
    assert [row.setting for row in found] == ["k1 0.9, b 0.4", "as published"]


def test_the_command_tests_all_pairs(tmp_path, qrels, runs, capsys):
    """Tukey without a baseline means all pairs; the latency file puts costs into the report."""
    latency = tmp_path / "latency.json"
    rows = [{"name": "good", "depth": None, "batch_size": 1, "p50_ms": 7.5}]
    latency.write_text(json.dumps({"systems": rows}))
    output = tmp_path / "out"
    flags = ["compare", "--qrels", qrels, "--runs", *map(str, runs), "--measures", "mrr"]

    code = main([*flags, "--test", "tukey", "--latency", str(latency), "--output", str(output)])

    written = json.loads((output / "comparison.json").read_text())
    assert code == 0
    assert len(written["pairs"]) == 3
    assert written["settings"]["correction"] == "none"
    assert [cost["latency_ms"] for cost in written["costs"]] == [7.5]
    assert "b: good  1.0000ᵃᶜ" in capsys.readouterr().out
    assert main([*flags, "--test", "tukey", "--correction", "holm", "--output", "x"]) == 1
    assert "tukey holds the family-wise error itself" in capsys.readouterr().err

"""Comparing runs: names, the baseline, gaps, tuning on the topics, and the command."""

import json

import pytest

from ance_plugin.formats.runs import write_manifest, write_run
from ance_plugin.records import Hit
from evaluation import notes
from evaluation.__main__ import main
from evaluation.compare import Settings, compare_runs, find_baseline, name_systems

MRR = Settings(measures=("mrr",))


@pytest.fixture
def qrels(tmp_path):
    """Three topics, each with the one relevant document a."""
    path = tmp_path / "qrels.txt"
    path.write_text("".join(f"q{number} 0 a 1\n" for number in (1, 2, 3)))
    return str(path)


def make_run(folder, name, ranks, *, tag="tag"):
    """Write a run that has document a at the given rank for topics q1, q2, …; 0: no such topic."""
    run = {
        f"q{number}": [
            Hit("a" if at == rank else f"x{at}", -float(at)) for at in range(1, rank + 1)
        ]
        for number, rank in enumerate(ranks, start=1)
        if rank
    }
    path = folder / name
    write_run(path, run, tag=tag)
    return path


def test_values_are_those_of_each_topic_and_mean(tmp_path, qrels):
    """Each system has a value for each topic of the qrels; a missing topic is zero in the mean."""
    paths = [make_run(tmp_path, "bm25.trec", [1, 2, 4]), make_run(tmp_path, "ance.trec", [1, 2, 0])]

    found = compare_runs(qrels, paths, settings=MRR)

    assert found.values == {
        "bm25": {"mrr": {"q1": 1.0, "q2": 0.5, "q3": 0.25}},
        "ance": {"mrr": {"q1": 1.0, "q2": 0.5, "q3": 0.0}},
    }
    assert found.mean("bm25", "mrr") == pytest.approx(1.75 / 3)
    assert found.mean("ance", "mrr") == pytest.approx(1.5 / 3)
    assert (found.num_topics, found.baseline, found.differences) == (3, None, {})


def test_each_system_but_the_baseline_is_tested(tmp_path, qrels):
    """With a baseline, named by file or tag, the others are tested on every measure."""
    paths = [
        make_run(tmp_path, "bm25.trec", [4, 4, 2], tag="Anserini"),
        make_run(tmp_path, "ance.trec", [1, 2, 1]),
        make_run(tmp_path, "same.trec.gz", [4, 4, 2]),
    ]
    settings = Settings(measures=("mrr", "recall@1"))

    found = compare_runs(qrels, paths, settings=settings, baseline="Anserini")

    assert found.baseline == "bm25"
    assert list(found.differences) == ["ance", "same"]
    assert found.differences["ance"]["mrr"].mean == pytest.approx((0.75 + 0.25 + 0.5) / 3)
    assert found.differences["ance"]["recall@1"].wins == 2
    assert found.differences["same"]["mrr"].p_value == 1.0
    assert not found.is_significant("same", "mrr")
    assert not found.is_significant("bm25", "mrr")
    assert found == compare_runs(qrels, paths, settings=settings, baseline="bm25")


def test_gaps_are_told(tmp_path):
    """Topics without hits, without judgments and without relevant documents are counted."""
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("q1 0 a 1\nq2 0 a 0\nq4 0 a 1\n")
    path = make_run(tmp_path, "bm25.trec", [1, 1, 1])

    found = compare_runs(str(qrels), [path], settings=MRR)

    assert found.notes == (
        "1 of 3 topics have no relevant document; they count zero",
        "bm25 has no hits for 1 of 3 topics; they count zero",
        "1 of the 3 topics of bm25 have no judgments; ignored",
    )
    assert (found.num_without_relevant, found.systems[0].num_missing) == (1, 1)
    assert found.systems[0].flags == ("bm25 has no hits for 1 of 3 topics; they count zero",)


def test_no_note_without_a_gap(tmp_path, qrels):
    """A run with exactly the topics of the qrels needs no note."""
    path = make_run(tmp_path, "bm25.trec", [1, 2, 3])

    assert compare_runs(qrels, [path], settings=MRR).notes == ()


def test_a_run_of_other_topics_is_an_error(tmp_path, qrels):
    """A run that shares no topic is refused with a topic of either side; so is an empty one."""
    other = tmp_path / "other.trec"
    write_run(other, {"7": [Hit("a", 1.0)]}, tag="tag")
    empty = tmp_path / "empty.trec"
    empty.write_text("")

    with pytest.raises(ValueError, match=r"other\.trec: shares no topic with .*'7', .*'q1'"):
        compare_runs(qrels, [other], settings=MRR)
    with pytest.raises(ValueError, match=r"empty\.trec: shares no topic with .* it has no topics"):
        compare_runs(qrels, [empty], settings=MRR)


def test_tuning_on_evaluated_topics_is_told(tmp_path, qrels):
    """A manifest that names evaluated qids makes a note; other qids make none."""
    tuned = make_run(tmp_path, "rrf.trec", [1, 1, 1])
    other = make_run(tmp_path, "clean.trec", [1, 1, 1])
    write_manifest(tuned, {"fusion": {"tuned_on": {"qrels": "dev", "qids": ["q1", "q3", "q9"]}}})
    write_manifest(other, {"fusion": {"tuned_on": {"qrels": "dev", "qids": ["q9"]}}})

    found = compare_runs(qrels, [tuned, other], settings=MRR)

    (flag,) = found.systems[0].flags
    assert flag == (
        "rrf was tuned on 2 of the 3 topics evaluated (tuned on dev): its values are no test result"
    )
    assert flag in found.notes


@pytest.mark.parametrize(
    "manifest",
    [{}, {"fusion": None}, {"fusion": []}, {"fusion": {"tuned_on": "x"}}],
)
def test_a_manifest_without_tuning_names_no_topics(manifest):
    """Whatever the manifest holds where tuning would be, no topics are read from it."""
    assert notes.tuned_topics(manifest) == ("", frozenset())


def test_a_damaged_manifest_is_told(tmp_path, qrels):
    """A manifest that cannot be read does not stop the comparison."""
    path = make_run(tmp_path, "bm25.trec", [1, 1, 1])
    (tmp_path / "bm25.trec.json").write_text("{")

    (flag,) = compare_runs(qrels, [path], settings=MRR).systems[0].flags

    assert "cannot tell on what bm25 was tuned" in flag


def test_names_come_from_files(tmp_path):
    """A known suffix and .gz are dropped, another dot belongs to the name."""
    files = [tmp_path / name for name in ("bm25.trec", "ance.txt.gz", "alpha-0.5", "run.bm25")]
    for file in files:
        file.touch()

    assert list(name_systems(files)) == ["bm25", "ance", "alpha-0.5", "run.bm25"]


def test_names_must_differ(tmp_path):
    """Two files of one name are named in the error, and so is a file that is missing."""
    (tmp_path / "a").mkdir()
    first, second = tmp_path / "bm25.trec", tmp_path / "a" / "bm25.txt"
    first.touch()
    second.touch()

    with pytest.raises(ValueError, match=f"{first} and {second} would both be named 'bm25'"):
        name_systems([first, second])
    with pytest.raises(FileNotFoundError, match=r"none\.trec: no such run file"):
        name_systems([tmp_path / "none.trec"])


def test_an_unknown_baseline_lists_the_names():
    """A baseline that is neither name nor the tag of one run is an error that lists them."""
    tags = {"bm25": "Anserini", "ance": "plugin", "rrf": "plugin"}

    assert find_baseline("ance", tags) == "ance"
    assert find_baseline("Anserini", tags) == "bm25"
    with pytest.raises(ValueError, match=r"'tas' names no run; there are bm25 \(tag Anserini\)"):
        find_baseline("tas", tags)
    with pytest.raises(ValueError, match="'plugin' is the tag of 2 runs"):
        find_baseline("plugin", tags)


def test_one_topic_cannot_be_tested(tmp_path):
    """A baseline needs two topics."""
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("q1 0 a 1\n")
    paths = [make_run(tmp_path, name, [1]) for name in ("a.trec", "b.trec")]

    with pytest.raises(ValueError, match="has one topic; a test against a needs two or more"):
        compare_runs(str(qrels), paths, settings=MRR, baseline="a")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"measures": ("foo",)}, "'foo' is unknown"),
        ({"alpha": 1.0}, "alpha must be between 0 and 1, found 1.0"),
        ({"permutations": 0}, "permutations must be at least 1, found 0"),
    ],
)
def test_settings_are_checked(wrong, problem):
    """A setting out of its range is named with its value."""
    with pytest.raises(ValueError, match=problem):
        Settings(**wrong)


def test_the_command_writes_all_files_and_prints_the_table(tmp_path, qrels, capsys):
    """One call writes every file whole and the terminal table to stdout."""
    paths = [make_run(tmp_path, f"{name}.trec", [rank] * 3) for name, rank in (("a", 1), ("b", 2))]
    output = tmp_path / "out"
    flags = ["compare", "--qrels", qrels, "--runs", *map(str, paths), "--output", str(output)]

    assert main([*flags, "--measures", "mrr", "mrr", "--baseline", "a"]) == 0
    assert sorted(file.name for file in output.iterdir()) == [
        "comparison.json", "index.html", "table.csv", "table.md", "table.tex", "topics.csv",
    ]  # fmt: skip
    assert "b             0.5000†" in capsys.readouterr().out
    assert json.loads((output / "comparison.json").read_text())["means"] == {
        "a": {"mrr": 1.0},
        "b": {"mrr": 0.5},
    }

    assert main(flags) == 1
    assert (
        "out: exists already; name another --output or give --overwrite" in capsys.readouterr().err
    )
    assert main([*flags, "--overwrite", "--test", "fisher", "--verbose"]) == 0


def test_a_wrong_command_writes_nothing(tmp_path, qrels, capsys):
    """A mistake ends with one line, an exit code, and no directory."""
    path = make_run(tmp_path, "a.trec", [1, 1, 1])
    flags = ["compare", "--qrels", qrels, "--runs", str(path), "--output", str(tmp_path / "out")]

    assert main([*flags, "--measures", "foo@10"]) == 1
    assert "error: measure 'foo@10' is unknown" in capsys.readouterr().err
    assert main([*flags, "--baseline", "b"]) == 1
    assert "baseline 'b' names no run" in capsys.readouterr().err
    assert main([*flags, "--test", "wilcoxon"]) == 2
    assert main([]) == 2
    assert not (tmp_path / "out").exists()

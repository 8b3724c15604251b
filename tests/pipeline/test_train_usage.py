"""Wrong usage of ``ance_plugin.train``: one line and exit code 1 or 2, mostly before any file."""

import json
import shutil
from pathlib import Path

import pytest

from ance_plugin.train.__main__ import main
from tests.synthetic import make_world

QUICK = [
    *("--device", "cpu", "--precision", "fp32", "--refresh-precision", "fp32"),
    *("--num-steps", "2", "--batch-size", "4", "--num-negatives", "2", "--refresh-steps", "2"),
    *("--negatives-per-topic", "1"),
]
RANDOM = ["--mix", "random=1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of tests/synthetic.py."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """The folder of a run that has come to its end."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    words = ["ance", "--output", str(folder), *world.flags(dev=False), *QUICK, *RANDOM]
    assert main(words) == 0
    return folder


def replaced(words, changes):
    """Give flags with the values of some replaced, or added where they were not."""
    words = list(words)
    for name, value in changes.items():
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return words


WRONG_USAGE = {
    "no stage": [],
    "unknown stage": ["nonsense"],
    "no output": ["ance"],
    "missing flags": ["ance", "--output", "O"],
    "abbreviated": ["ance", "--output", "O", "--coll", "C"],
    "steps 0": ["ance", "--output", "O", "--num-steps", "0"],
    "seed below zero": ["ance", "--output", "O", "--seed=-1"],
    "unknown loss": ["ance", "--output", "O", "--loss", "nll"],
    "unknown mode": ["ance", "--output", "O", "--refresh", "often"],
    "staleness of a warm-up": ["warmup", "--output", "O", "--max-staleness", "3"],
    "refresh of nothing": ["refresh"],
    "plot of nothing": ["plot"],
}


@pytest.mark.parametrize("words", WRONG_USAGE.values(), ids=list(WRONG_USAGE))
def test_wrong_usage_is_exit_code_2(tmp_path, monkeypatch, words, read_problem):
    """Flags that cannot be meant so."""
    monkeypatch.chdir(tmp_path)

    code = main(words)

    assert (code, bool(read_problem())) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_missing_flags_are_named(tmp_path, read_problem):
    """All of them at once."""
    code = main(["ance", "--output", str(tmp_path / "run"), "--topics", "T"])

    assert code == 2
    assert read_problem().endswith("are required: --collection, --qrels, --init")


@pytest.mark.parametrize("words", [["ann=x"], ["ann=1", "ann=2"], ["=1"], ["in-batch=inf"]])
def test_mix_that_is_no_mix(world, tmp_path, words, read_problem):
    """Words that are no shares are wrong usage."""
    code = main(["ance", "--output", str(tmp_path / "run"), *world.flags(), "--mix", *words])

    assert code == 2
    assert "--mix: expected source=share" in read_problem()


REFUSED = {
    "unknown source": ({"--mix": "dense=1"}, "mix is of ann, bm25, random, found 'dense'"),
    "no share": ({"--mix": "ann=0"}, "mix has no share above 0"),
    "bm25 without a source": ({"--mix": "bm25=1"}, "a mix with bm25 needs BM25 negatives"),
    "dev without qrels": ({"--dev-topics": "T"}, "--dev-topics and --dev-qrels go together"),
    "learning rate": ({"--learning-rate": "inf"}, "learning_rate must be above 0, and finite"),
    "measure": ({"--dev-measure": "nonsense"}, "measure 'nonsense' is unknown"),
    "recipe": ({"--recipe": "nonsense"}, "there is no such recipe"),
    "loss": ({"--loss": "kl"}, "loss kl needs --teacher"),
    "two sources": (
        {"--negatives": "N", "--triples": "F"},
        "give one of --negatives, --sparse-index and --triples",
    ),
    "no collection": ({"--collection": "gone.jsonl"}, "gone.jsonl"),
    "no topics": ({"--topics": "gone.tsv"}, "gone.tsv"),
    "no qrels": ({"--qrels": "gone.qrels"}, "gone.qrels"),
    "no init": ({"--init": "gone"}, "gone: there is no such folder"),
    "device": ({"--device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
    "no device": ({"--device": "abacus"}, "device 'abacus' cannot be used here"),
    "refresh device": ({"--refresh-device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
    "refresh precision": ({"--refresh-precision": "fp16"}, "fp16 is slow and imprecise on a CPU"),
    "too long": ({"--max-length": "33"}, "max_document_tokens is 33, but"),
    "too short": ({"--max-length": "2"}, "max_document_tokens must be at least 3, found 2"),
}


@pytest.mark.parametrize(("changes", "found"), REFUSED.values(), ids=list(REFUSED))
def test_refused_before_anything_is_written(world, tmp_path, changes, found, read_problem):
    """Exit code 1; the message says what is wrong, and there is no folder."""
    plain = ["ance", *world.flags(dev=False), *QUICK, *RANDOM, "--output", str(tmp_path / "run")]

    code = main(replaced(plain, changes))

    problem = read_problem()
    assert code == 1
    assert found in problem
    assert list(tmp_path.iterdir()) == []


def test_qrels_of_other_topics(world, tmp_path, read_problem):
    """Judgments without a topic of the run are refused before the collection is read."""
    words = ["ance", *world.flags(dev=False), "--output", str(tmp_path / "run"), *QUICK, *RANDOM]

    code = main(replaced(words, {"--qrels": world.qrels("dev")}))

    assert code == 1
    assert "has no relevant document for a topic of" in read_problem()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["train", "dev"])
def test_topics_of_another_collection(world, tmp_path, split, read_problem):
    """Judged documents that the collection lacks are noticed once it has been read."""
    text = Path(world.qrels(split)).read_text()
    (tmp_path / "other.qrels").write_text(text.replace(" d", " x"))
    flag = "--qrels" if split == "train" else "--dev-qrels"
    words = ["ance", *world.flags(), "--output", str(tmp_path / "run"), *QUICK, *RANDOM]

    code = main(replaced(words, {flag: str(tmp_path / "other.qrels")}))

    assert code == 1
    assert "of one dataset?" in read_problem()


def test_output_that_is_a_file(world, tmp_path, read_problem):
    """And a folder that cannot be made in one."""
    (tmp_path / "file").touch()
    words = ["ance", *world.flags(dev=False), *QUICK, *RANDOM]

    assert main([*words, "--output", str(tmp_path / "file")]) == 1
    assert "file: is a file; name another --output" in read_problem()
    assert main([*words, "--output", str(tmp_path / "file" / "run")]) == 1
    assert "file" in read_problem()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_output_that_holds_a_run(world, finished, read_problem):
    """Without --resume it is not touched."""
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}

    code = main(["ance", "--output", str(finished), *world.flags(dev=False), *QUICK, *RANDOM])

    assert code == 1
    assert "holds a training run already; give --resume" in read_problem()
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_resume_of_nothing(tmp_path, read_problem):
    """A folder in which no run was started, with or without a folder."""
    for output in (tmp_path, tmp_path / "gone"):
        assert main(["ance", "--resume", "--output", str(output)]) == 1
        assert "no training was started there" in read_problem()


def test_finished_run_is_resumed_at_once(world, finished):
    """With the same flags, or with none: there is nothing to do, and all is well."""
    words = ["ance", "--resume", "--output", str(finished)]

    assert main([*words, *world.flags(dev=False), *QUICK, *RANDOM]) == 0
    assert main([*words, "--device", "cpu", "--num-steps", "2"]) == 0


@pytest.mark.parametrize("is_full", [True, False], ids=["all flags", "one flag"])
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"--num-steps": "3"}, "optimization of the run: num_steps is 2 there but 3 here"),
        ({"--depth": "9"}, "negatives of the run: depth is 200 there but 9 here"),
        ({"--refresh-steps": "9"}, "refresh of the run: refresh_steps is 2 there but 9 here"),
        ({"--triples": "F"}, "data of the run: triples is None there but 'F' here"),
        ({"--max-length": "9"}, "9"),
        ({"--head-dimension": "9"}, "start of the run: head_dimension is None there but 9 here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_resume_with_other_flags(world, finished, changes, found, is_full, read_problem):
    """The message names what differs, and both values; a single flag is not passed over."""
    words = ["ance", "--resume", "--output", str(finished)]
    words += [*world.flags(dev=False), *QUICK, *RANDOM] if is_full else []

    code = main(replaced(words, changes))

    problem = read_problem()
    assert code == 1
    assert problem.startswith("--resume: ")
    assert found in problem


def test_damaged_settings_are_named(finished, tmp_path, read_problem):
    """A run whose settings cannot be read is not resumed, refreshed or drawn as another one."""
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "training.json"
    content = json.loads(file.read_text())
    del content["settings"]["data"]
    file.write_text(json.dumps(content))

    assert main(["ance", "--resume", "--output", str(tmp_path / "run")]) == 1
    assert "training.json: is damaged" in read_problem()
    assert main(["refresh", "--watch", str(tmp_path / "run")]) == 1
    assert "training.json: is damaged" in read_problem()


def test_warm_up_does_not_go_on_with_another_kind_of_run(finished, tmp_path, read_problem):
    """Its settings would be taken for a warm-up's."""
    content = json.loads((finished / "training.json").read_text())
    content["settings"]["negatives"]["mix"] = {"ann": 1.0}
    del content["sha256"]
    (tmp_path / "training.json").write_text(json.dumps(content))

    assert main(["warmup", "--resume", "--output", str(tmp_path)]) == 2
    assert "holds a run of train ance" in read_problem()


def test_refresh_and_plot_of_no_run(tmp_path, read_problem):
    """A folder without a run."""
    for words in (["refresh", "--watch", str(tmp_path)], ["plot", str(tmp_path)]):
        assert main(words) == 1
        assert "no training was started there" in read_problem()


def test_negatives_without_a_use(world, finished, tmp_path, read_problem):
    """A table of random negatives is no source of BM25's."""
    words = ["warmup", *world.flags(dev=False), "--output", str(tmp_path / "run")]
    words += ["--negatives", str(finished / "refreshes" / "step-00000000"), "--device", "cpu"]

    code = main(words)

    assert code == 1
    assert "has no BM25 negatives for any of the 150 training topics" in read_problem()


def test_figure_of_an_unknown_kind(finished, tmp_path, read_problem):
    """The endings that there are are listed."""
    code = main(["plot", str(finished), "--output", str(tmp_path / "plot.xyz")])

    assert code == 1
    assert "plot.xyz: expected an ending of" in read_problem()
    assert list(tmp_path.iterdir()) == []


def test_runs_of_one_name_are_drawn_apart(finished, tmp_path):
    """A figure of two runs whose folders are called the same has both."""
    shutil.copytree(finished, tmp_path / "finished")
    output = tmp_path / "figures" / "plot.svg"

    code = main(["plot", str(finished), str(tmp_path / "finished"), "--output", str(output)])

    assert code == 0
    assert output.read_text().count(f"<!-- {tmp_path / 'finished'}") >= 1
    assert output.read_text().count(f"<!-- {finished}") >= 1

"""The benchmark command: from nothing to the report, killed and continued, and what it refuses."""

import json
import os
import random
import re
import subprocess
import sys
import time

import pytest

from ance_plugin.formats.runs import read_run
from evaluation.__main__ import main as evaluate
from tests.pipeline.conftest import write_inputs

LOCAL = """collection = "docs.jsonl"
topics = "last.tsv"
qrels = "last.qrels"
measures = ["ndcg@10", "recall@20"]
depth = 20
tuning = { topics = "first.tsv", qrels = "first.qrels" }
licence = "made up"
"""
SYSTEMS = ("bm25", "dense", "dense-rrf", "dense-interpolation", "dense-rerank", "bm25-rerank")
STAGES = {
    *("bm25-index", "dense-vectors", "dense-index", "tuning-bm25", "tuning-dense"),
    *("dense-interpolation-tuned", *SYSTEMS),
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with 30 documents, 3 topics to judge, 3 to tune on, and the file that says so."""
    folder = tmp_path_factory.mktemp("tiny")
    write_inputs(folder)
    judged = (folder / "qrels.txt").read_text().splitlines(keepends=True)
    (folder / "last.qrels").write_text("".join(judged[3:]))
    (folder / "tiny.toml").write_text(LOCAL)
    return folder


@pytest.fixture(scope="session")
def flags(tiny, tiny_checkpoint, classifier):
    """A function that gives the command's flags for an output."""

    def give(output, *words):
        models = ["--encoder", str(tiny_checkpoint), "--reranker", str(classifier)]
        computing = ["--device", "cpu", "--precision", "fp32"]
        words = [*models, "--depth", "10", *computing, *words]
        return ["benchmark", f"{tiny}/tiny.toml", *words, "--output", str(output)]

    return give


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, flags):
    """The report of a benchmark that nothing disturbed, artifacts beside it."""
    output = tmp_path_factory.mktemp("undisturbed") / "report"
    assert evaluate(flags(output)) == 0
    return output


def read_json(path):
    return json.loads(path.read_text())


def find_records(output):
    """Each stage's record and when it was finished."""
    found = sorted(output.parent.glob("artifacts/**/*.stage.json"))
    return {path: (read_json(path)["stage"], path.stat().st_mtime_ns) for path in found}


def read_report(output):
    """What a report says, but for the times that things took."""
    comparison = read_json(output / "comparison.json")
    del comparison["costs"]
    runs = {path.name: path.read_bytes() for path in sorted(output.glob("runs/*.trec"))}
    return runs, comparison, (output / "topics.csv").read_text()


@pytest.mark.java
@pytest.mark.slow
def test_one_command_makes_the_whole_table(undisturbed):
    """Every system, judged; every stage recorded with its command; nothing left half made."""
    comparison = read_json(undisturbed / "comparison.json")
    report = read_json(undisturbed / "benchmark.json")

    assert tuple(comparison["values"]) == SYSTEMS
    assert comparison["baseline"] == "bm25"
    assert {stage["stage"] for stage in report["stages"]} == STAGES
    assert all(stage["command"].startswith("python -m ance_plugin.") for stage in report["stages"])
    assert report["inputs"]["num_documents"] == 30
    assert report["inputs"]["tuning"]["num_judged"] == 3
    assert report["machine"]["cores"] == f"{os.cpu_count()} cores"
    assert {system: len(read_run(undisturbed / f"runs/{system}.trec")) for system in SYSTEMS} == (
        dict.fromkeys(SYSTEMS, 3)
    )
    left = [path for path in undisturbed.parent.rglob(".*") if "lock" not in path.name]
    assert left == []


@pytest.mark.java
@pytest.mark.slow
def test_what_stands_is_reused_and_what_changed_is_not(undisturbed, flags, tmp_path):
    """Again: nothing is made. With another k1: what reads BM25. A damaged run: that run."""
    before, report = find_records(undisturbed), read_report(undisturbed)

    assert evaluate(flags(undisturbed)) == 0
    assert find_records(undisturbed) == before
    assert read_report(undisturbed) == report

    artifacts = ["--artifacts", str(undisturbed.parent / "artifacts")]
    assert evaluate(flags(tmp_path / "other", *artifacts, "--k1", "1.8", "--b", "0.1")) == 0
    made = find_records(undisturbed).keys() - before.keys()
    assert {find_records(undisturbed)[path][0] for path in made} == {
        *("bm25", "dense-rrf", "bm25-rerank", "tuning-bm25"),
        *("dense-interpolation-tuned", "dense-interpolation"),
    }
    assert read_json(tmp_path / "other/benchmark.json")["systems"]["bm25"]["k1"] == 1.8

    record = next(path for path, (name, _) in before.items() if name == "dense-rerank")
    run = record.with_name(record.name.removesuffix(".stage.json"))
    run.write_text("q3 Q0 d1 1 1.0 forged\n")
    assert evaluate(flags(undisturbed)) == 0
    assert read_report(undisturbed) == report
    changed = {find_records(undisturbed)[path][0] for path in before if _differs(path, before)}
    assert changed == {"dense-rerank"}


def _differs(path, before):
    return path.stat().st_mtime_ns != before[path][1]


def start(words):
    command = [sys.executable, "-m", "evaluation", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.mark.java
@pytest.mark.slow
def test_benchmark_killed_twice_ends_with_the_same_report(undisturbed, flags, tmp_path):
    """Killed as Lucene starts, and as it tunes; what was finished before is not made again."""
    output = tmp_path / "report"
    for stage in ("bm25-index", "dense-interpolation-tuned"):
        with start(flags(output)) as process:
            for line in process.stderr:
                if f" {stage}: is not there yet" in line or f" {stage}: was not finished" in line:
                    break
            process.kill()
        assert process.returncode == -9
        assert not output.exists()
    first = find_records(output)

    assert evaluate(flags(output)) == 0

    assert {name for name, _ in first.values()} >= {"bm25-index", "bm25", "dense-vectors", "dense"}
    assert first.items() <= find_records(output).items()
    assert read_report(output) == read_report(undisturbed)


@pytest.mark.java
@pytest.mark.long
def test_benchmark_killed_at_ten_random_moments_ends_with_the_same_report(
    undisturbed, flags, tmp_path
):
    """After some lines of its log and a moment more; one that was done before is begun anew."""
    rng = random.Random(5)
    num_kills = num_done = 0
    while num_kills < 10:
        output = tmp_path / str(num_done) / "report"
        with start(flags(output)) as process:
            said = [process.stderr.readline() for _ in range(rng.randrange(2, 20))]
            time.sleep(rng.uniform(0, 0.5))
            process.kill()
        if process.returncode == 0:
            assert read_report(output) == read_report(undisturbed)
            num_done += 1
        else:
            assert process.returncode == -9, "".join(said)
            num_kills += 1

    assert evaluate(flags(output)) == 0

    assert read_report(output) == read_report(undisturbed)


def test_dry_run_makes_nothing(flags, tmp_path, capsys):
    """It lists every stage with its command, and leaves no file."""
    assert evaluate(flags(tmp_path / "reports/tiny", "--dry-run")) == 0

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("make")} == STAGES
    assert sum("is not there yet; python -m ance_plugin." in line for line in lines) == len(STAGES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--encoder", "dense=x"], "--encoder: two are named 'dense'; write NAME=x"),
        (["--encoder", "bm25=x"], "encoder name 'bm25' must be of letters"),
        (["--systems", "colbert"], "invalid choice: 'colbert'"),
    ],
)
def test_wrong_usage_is_exit_code_two(flags, tmp_path, capfd, words, problem):
    """Before anything is loaded."""
    assert evaluate(flags(tmp_path / "report", *words)) == 2
    assert problem in capfd.readouterr().err


def test_output_that_is_something_else_is_left_alone(flags, tmp_path, read_problem):
    """A folder of somebody's, and a report of another benchmark."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report/notes.txt").write_text("mine")
    assert evaluate(flags(tmp_path / "report")) == 1
    assert "exists and is no report of a benchmark" in read_problem()

    content = {"kind": "benchmark-report", "benchmark": {"name": "beir/scifact"}}
    (tmp_path / "report/benchmark.json").write_text(json.dumps(content))
    assert evaluate(flags(tmp_path / "report")) == 1
    assert "exists and is a report of beir/scifact; name another --output" in read_problem()


def test_mistakes_show_before_any_work(tiny, flags, tmp_path, read_problem):
    """An encoder that is not there, an unknown baseline, tuning on what is judged."""
    toml = f"{tiny}/tiny.toml"
    missing = ["benchmark", toml, "--encoder", str(tmp_path / "none"), "--output"]
    assert evaluate([*missing, str(tmp_path / "report")]) == 1
    assert "none: there is no such folder" in read_problem()

    assert evaluate(flags(tmp_path / "report", "--baseline", "splade")) == 1
    assert read_problem().startswith("baseline 'splade' is none of bm25, dense, dense-rrf")

    leaking = LOCAL.replace("first.", "last.")
    (tiny / "leaking.toml").write_text(leaking)
    words = ["benchmark", f"{tiny}/leaking.toml", "--output", str(tmp_path / "report")]
    assert evaluate(words) == 1
    assert re.search(r"last.qrels: 3 of its topics, such as 'q3', are among", read_problem())
    assert list(tmp_path.iterdir()) == []


def test_list_shows_what_is_here(tiny, capsys):
    """The table, one benchmark with its published figures, and a local file."""
    assert evaluate(["list"]) == 0
    assert re.search(r"^pydoc .* here ", capsys.readouterr().out, re.MULTILINE)

    assert evaluate(["list", "beir/scifact", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tuning"][0] == "beir/scifact/train"
    assert 0.6789 in [figure["value"] for figure in shown["published"]]

    assert evaluate(["list", f"{tiny}/tiny.toml", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["is_here"], shown["published"]) == ("tiny", True, [])

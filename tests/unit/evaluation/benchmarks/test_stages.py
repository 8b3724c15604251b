"""Stages: what is reused, what is made again, and why."""

import json
from dataclasses import replace

import pytest

from ance_plugin.artifacts import seal
from ance_plugin.errors import MismatchError
from evaluation.benchmarks.stages import (
    Stage,
    StageError,
    Workshop,
    check_made,
    find_problem,
    list_stages,
)

A, B = "q1 Q0 d1 1 2.0 a\nq1 Q0 d2 2 1.0 a\n", "q1 Q0 d2 1 9.0 b\nq1 Q0 d3 2 8.0 b\n"


@pytest.fixture
def fused(tmp_path):
    """A stage that fuses two run files."""
    (tmp_path / "a.trec").write_text(A)
    (tmp_path / "b.trec").write_text(B)
    return make_stage(tmp_path, "rrf", ("a.trec", "b.trec"))


@pytest.fixture
def twice(tmp_path, fused):
    """A stage that fuses what another made with a run file."""
    return make_stage(tmp_path, "again", (fused.output.name, "b.trec"), inputs=(fused,))


def make_stage(folder, name, runs, *, inputs=(), rrf_k=60):
    paths = [str(path) for run in runs for path in [folder / run]]
    for stage in inputs:
        paths = [str(stage.output) if path.endswith(stage.output.name) else path for path in paths]
    return Stage(
        name=name,
        folder=folder / "made",
        module="ance_plugin.fusion",
        words=("--runs", *paths, "--method", "rrf", "--rrf-k", str(rrf_k), "--tag", name),
        settings={"method": "rrf", "rrf_k": rrf_k, "runs": list(runs) if not inputs else "b"},
        inputs=inputs,
    )


def make(*stages):
    workshop = Workshop()
    for stage in stages:
        workshop.ensure(stage)
    return workshop


def test_what_is_missing_is_made_first_inputs_first(twice):
    """Both stages are made, and their records say with which command."""
    workshop = make(twice)

    assert workshop.made == ["rrf", "again"]
    record = json.loads(twice.record.read_text())
    assert record["command"].startswith("python -m ance_plugin.fusion --runs ")
    assert record["inputs"].keys() == {"rrf"}
    assert twice.output.is_file()


def test_what_stands_and_verifies_is_reused(twice):
    """The second time nothing is made, and the files are the same."""
    make(twice)
    before = twice.output.stat().st_mtime_ns

    workshop = make(twice)

    assert (workshop.made, workshop.reused) == ([], ["again"])
    assert twice.output.stat().st_mtime_ns == before


def test_inputs_of_a_finished_stage_may_be_deleted(twice):
    """What was made needs what it was made from no more."""
    make(twice)
    twice.inputs[0].output.unlink()

    assert make(twice).made == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda stage: stage.output.unlink(), "is not there yet"),
        (lambda stage: stage.record.unlink(), "was not finished"),
        (lambda stage: stage.record.write_text("{"), "is damaged"),
        (lambda stage: stage.record.write_text('{"key": "other"}'), "was made with other settings"),
        (lambda stage: stage.output.write_text(A), "has changed since it was made"),
        (lambda stage: manifest(stage).write_text("{}"), "has changed since it was made"),
        (lambda stage: manifest(stage).unlink(), "is damaged"),
    ],
)
def test_what_is_not_what_it_says_is_made_again(fused, damage, problem):
    """A run, the JSON beside it, or the record, that is gone or changed."""
    make(fused)
    expected = fused.output.read_bytes()
    damage(fused)

    assert find_problem(fused).startswith(problem)
    assert make(fused).made == ["rrf"]
    assert fused.output.read_bytes() == expected
    assert find_problem(fused) is None


def manifest(stage):
    return stage.output.with_name(f"{stage.output.name}.json")


def test_stage_is_made_again_when_its_input_came_out_otherwise(twice, tmp_path):
    """Settings are the same, but the bytes of what it reads are not."""
    make(twice)
    before = twice.output.read_bytes()
    (tmp_path / "a.trec").write_text(A.replace("d1", "d9"))
    twice.inputs[0].output.unlink()
    make(twice.inputs[0])

    assert find_problem(twice) == "was made from another rrf"
    assert make(twice).made == ["again"]
    assert twice.output.read_bytes() != before


def test_other_settings_are_another_artifact(fused, tmp_path):
    """Neither replaces the other, nor what was made from it."""
    other = make_stage(tmp_path, "rrf", ("a.trec", "b.trec"), rrf_k=10)

    make(fused, other)

    assert fused.output != other.output
    assert find_problem(fused) is None
    assert find_problem(other) is None
    assert replace(fused, inputs=(other,)).key != fused.key


def test_paths_decide_nothing(fused, tmp_path):
    """The same settings elsewhere have the same key."""
    assert replace(fused, folder=tmp_path / "elsewhere").key == fused.key


def test_failed_command_names_the_stage(tmp_path, capfd):
    """The command's own line says what was wrong; no artifact is left."""
    stage = make_stage(tmp_path, "rrf", ("a.trec", "none.trec"))
    (tmp_path / "a.trec").write_text(A)

    with pytest.raises(StageError, match="stage rrf failed, see the line before"):
        make(stage)

    assert "none.trec: no such run file" in capfd.readouterr().err
    assert not stage.output.exists()
    assert not stage.record.exists()


def test_model_that_changed_since_the_start_is_refused(tmp_path):
    """The artifact says which weights made it; they are not those that name it."""
    settings = {"encoder": {"weights_sha256": "a", "precision": "bf16"}}
    stage = Stage("vectors", tmp_path, "ance_plugin.encode", (), settings, kind="vectors")
    stage.output.mkdir()
    seal(stage.output, "vectors", {"encoder": {"weights_sha256": "a", "name": "x"}})
    check_made(stage)

    seal(stage.output, "vectors", {"encoder": {"weights_sha256": "b", "name": "x"}})
    with pytest.raises(MismatchError, match=r"its encoder changed while .*weights_sha256 is 'a'"):
        check_made(stage)


def test_stages_are_listed_once_after_what_they_read(fused, twice):
    """Two goals that share an input."""
    assert [stage.name for stage in list_stages([twice, fused, twice])] == ["rrf", "again"]

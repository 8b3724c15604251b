"""A run is started, fails, and goes on: what is kept, what is refused, and by which names."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.cli.train import _read_settings, new_train_parser
from ance_plugin.errors import MismatchError
from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.train.__main__ import main
from ance_plugin.train.folder import CHECKPOINT, REFRESH, TrainingFolder
from ance_plugin.train.log import read_log
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.run import _remove_leftovers, refresh_beside
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

FLAGS = [
    *("--device", "cpu", "--precision", "fp32", "--refresh-precision", "fp32", "--depth", "20"),
    *("--batch-size", "4", "--num-negatives", "2", "--negatives-per-topic", "1"),
]
RANDOM = ["--mix", "random=1"]


def replaced(words, changes):
    """Give flags with the values of some replaced, or added where they were not."""
    words = list(words)
    for name, value in changes.items():
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return words


def read_message(capsys):
    """Give the last line of the messages, which says what was wrong."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    assert sum(": error: " in line for line in lines) == 1
    return lines[-1].partition(": error: ")[2]


def make_settings(**data):
    return TrainSettings(
        Data("C", "T", "Q", **data), Start("E"), Optimization(), MiningSettings(), Refresh()
    )


@pytest.fixture
def own(world, tmp_path):
    """A copy of the world's topics and judgments, which a test may change; its flags."""
    for name in ("train.tsv", "train.qrels", "dev.tsv", "dev.qrels"):
        shutil.copy(world.root / name, tmp_path / name)
    names = {"--topics": "train.tsv", "--qrels": "train.qrels"}
    names |= {"--dev-topics": "dev.tsv", "--dev-qrels": "dev.qrels"}
    files = {flag: str(tmp_path / name) for flag, name in names.items()}
    words = replaced(["ance", *world.flags(), *FLAGS, *RANDOM], files)
    return [*words, "--output", str(tmp_path / "run")]


def test_own_candidates_of_a_failed_start_are_removed(world, tmp_path):
    """They may be of other topics; tokens stay, as they are compared when they are opened."""
    folder = TrainingFolder(tmp_path)
    shutil.copytree(world.bm25, folder.bm25_negatives)
    folder.tokens.mkdir()

    _remove_leftovers(folder, make_settings())

    assert not folder.bm25_negatives.exists()
    assert folder.tokens.is_dir()


def test_candidates_that_are_named_stay(world, tmp_path, monkeypatch):
    """--negatives may name the folder of the run itself, also by a relative path."""
    folder = TrainingFolder(tmp_path)
    shutil.copytree(world.bm25, folder.bm25_negatives)
    monkeypatch.chdir(tmp_path)

    for name in (str(folder.bm25_negatives), "negatives/../negatives/bm25"):
        _remove_leftovers(folder, make_settings(bm25_negatives=name))

    assert folder.bm25_negatives.is_dir()


@pytest.mark.parametrize("kind", ["tokens", None])
def test_folder_of_somebody_else_stays(tmp_path, kind):
    """What is no sealed table of negatives was not made by a run."""
    folder = TrainingFolder(tmp_path)
    if kind is None:
        folder.bm25_negatives.mkdir(parents=True)
        (folder.bm25_negatives / "thesis.txt").write_text("ten years")
    else:
        with artifacts.new_directory(folder.bm25_negatives) as staging:
            artifacts.seal(staging, kind, {})
    before = sorted(folder.bm25_negatives.iterdir())

    _remove_leftovers(folder, make_settings())

    assert sorted(folder.bm25_negatives.iterdir()) == before != []


def test_mistyped_teacher_can_be_corrected(own, tmp_path, monkeypatch, capsys):
    """A start that fails leaves no run behind, but tokens that the next one takes."""
    words = replaced(own, {"--num-steps": "1", "--teacher": str(tmp_path / "techer")})
    assert main(words) == 1
    assert "techer" in read_message(capsys)
    folder = TrainingFolder(tmp_path / "run")
    assert not folder.settings.exists()
    made = (folder.tokens / "tokens").stat().st_mtime_ns

    model = SimpleNamespace(num_labels=1, score=lambda queries, _: np.zeros(len(queries)))
    monkeypatch.setattr(CrossEncoder, "load", lambda *_, **__: model)
    code = main(replaced(words, {"--teacher": "teacher"}))

    assert code == 0
    assert folder.finished.is_file()
    assert (folder.tokens / "tokens").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("flag", "name"), [("--topics", "topics"), ("--qrels", "topics"), ("--dev-qrels", "dev")]
)
def test_changed_inputs_are_named(own, tmp_path, flag, name, capsys):
    """A resumed run must find topics and judgments as they were; so must a refresher."""
    assert main([*own, "--num-steps", "1"]) == 0
    path = Path(own[own.index(flag) + 1])
    if flag == "--topics":
        path.write_text(path.read_text().replace(" f1", " f2"))
    else:
        path.write_text(path.read_text().replace(" 1\n", " 2\n", 1))
    capsys.readouterr()

    assert main(["ance", "--resume", "--output", str(tmp_path / "run"), "--device", "cpu"]) == 1

    message = read_message(capsys)
    assert "what the run reads has changed since it began" in message
    assert f"{name} is " in message
    with pytest.raises(MismatchError, match=f"{name} is "):
        refresh_beside(tmp_path / "run", is_supervised=False, num_refreshes=0, device="cpu")


def test_unchanged_inputs_are_no_obstacle(own, tmp_path):
    """Topics that were copied elsewhere and back are the same ones."""
    assert main([*own, "--num-steps", "1"]) == 0
    for path in tmp_path.glob("*.tsv"):
        path.write_text(path.read_text())

    assert main(["ance", "--resume", "--output", str(tmp_path / "run"), "--device", "cpu"]) == 0


def test_run_of_relative_paths_goes_on_elsewhere(own, world, tmp_path, monkeypatch):
    """Also where the tokens it names were not there when it began."""
    words = [word.replace(f"{tmp_path}/", "") for word in own]
    words = [word.replace(f"{world.root}/", "world/") for word in words]
    (tmp_path / "world").symlink_to(world.root)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    words += ["--tokens", "tokens", "--num-steps", "1"]
    assert main(words) == 0
    assert not any(Path(word).is_absolute() for word in words)
    assert main([*words, "--resume"]) == 0  # named alike, though tokens are there by now
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert main(["ance", "--resume", "--output", "../run", "--device", "cpu"]) == 0

    assert list((tmp_path / "elsewhere").iterdir()) == []
    settings = json.loads((tmp_path / "run" / "training.json").read_text())["settings"]
    assert settings["data"]["tokens"] == str(tmp_path / "tokens")
    assert settings["start"]["init"] == str(tmp_path / "world" / "init")


def test_names_that_are_no_paths_are_kept():
    """A checkpoint of the hub and a dataset are named as they were."""
    words = ["ance", "--output", "O", "--collection", "msmarco-passage", "--topics", "T"]
    args = new_train_parser().parse_args([*words, "--qrels", "Q", "--init", "org/encoder"])

    settings = _read_settings(args, {})

    assert (settings.data.collection, settings.start.init) == ("msmarco-passage", "org/encoder")


def test_resume_where_no_run_is_starts_one(own, tmp_path):
    """So that a job that may be killed at any time can be queued with one command."""
    words = [*own, "--num-steps", "1", "--resume"]

    assert main(words) == 0
    assert TrainingFolder(tmp_path / "run").finished.is_file()
    assert main(words) == 0


def test_resume_where_no_run_is_needs_all_flags(own, tmp_path, capsys):
    """A flag that is missing is no run that could be started."""
    place = own.index("--init")

    assert main([*own[:place], *own[place + 2 :], "--resume"]) == 1

    assert "no training was started there" in read_message(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["paper", "paper-warmup"])
def test_warmup_refreshes_nothing_beside(recipe):
    """A recipe whose refreshes are async is for ance; a warm-up plans them between steps."""
    words = ["warmup", "--output", "O", "--collection", "C", "--topics", "T", "--qrels", "Q"]
    words += ["--init", "E", "--triples", "F", "--recipe", recipe]

    settings = _read_settings(
        new_train_parser().parse_args(words), {"negatives": {"mix": {"bm25": 1.0}}}
    )

    assert settings.refresh.mode == "sync"
    assert settings.refresh.max_staleness is None


def test_no_vectors_are_left_of_a_finished_run(own, tmp_path):
    """Not even those that a refresher beside the trainer was at when it was stopped."""
    folder = TrainingFolder(tmp_path / "run")
    assert main([*own, "--num-steps", "1"]) == 0
    for name in ("step-00000000.vectors", ".step-00000001.vectors.partial"):
        (folder.path / "refreshes" / name).mkdir()
        (folder.path / "refreshes" / name / "block").touch()

    assert main(["ance", "--resume", "--output", str(folder.path), "--device", "cpu"]) == 0

    assert list((folder.path / "refreshes").glob("*vectors*")) == []
    assert list((folder.path / "refreshes").glob(".*vectors*")) == []


def test_static_run_keeps_as_many_checkpoints_as_it_should(own, tmp_path):
    """The newest, the best, and the refresh whose negatives it trains on to the end."""
    flags = ["--num-steps", "6", "--refresh-steps", "1", "--keep-checkpoints", "1"]

    assert main([*own, *flags, "--refresh", "static"]) == 0

    folder = TrainingFolder(tmp_path / "run")
    best = json.loads(folder.best.read_text())["step"]
    assert set(folder.steps(CHECKPOINT)) == {0, best, 6}
    assert set(folder.steps(REFRESH)) == {0, best, 6}


def test_log_without_negatives_is_strict_json(own, tmp_path):
    """Without own negatives there is no margin: null, where Python would write NaN."""

    def refuse(word):
        raise AssertionError(word)

    assert main(replaced([*own, "--num-steps", "2"], {"--negatives-per-topic": "0"})) == 0

    folder = TrainingFolder(tmp_path / "run")
    lines = folder.log.read_text().splitlines()
    events = [json.loads(line, parse_constant=refuse) for line in lines]
    assert events == read_log(folder)
    assert [event["margin"] for event in events if event["event"] == "step"] == [None, None]

"""A run's folder: its paths, and which steps there is something of."""

import json

import pytest

from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import CHECKPOINT, REFRESH, STATE, TrainingFolder


@pytest.fixture
def folder(tmp_path):
    return TrainingFolder(tmp_path)


def test_steps_are_those_that_are_whole(folder):
    """Lowest first; what is being written or removed has a hidden name and does not count."""
    for name in ("step-00000500", "step-00000040", ".step-00000600.partial", "step-7", "other"):
        (folder.path / "checkpoints" / name).mkdir(parents=True)

    assert folder.steps(CHECKPOINT) == [40, 500]
    assert folder.steps(STATE) == folder.steps(REFRESH) == []
    assert folder.checkpoint(40).name == "step-00000040"


def test_vectors_are_no_refreshes(folder):
    """An encoded collection, finished or not, is found by its step."""
    for name in ("step-00000002", "step-00000003.vectors", ".step-00000001.vectors.partial"):
        (folder.path / "refreshes" / name).mkdir(parents=True)
    (folder.path / "refreshes" / ".step-00000009.vectors-shard-0-of-1.lock").touch()

    assert folder.steps(REFRESH) == [2]
    assert folder.steps_of_vectors() == [1, 3]
    assert folder.vectors(3).is_dir()


def test_best_names_a_checkpoint_of_the_folder(folder):
    """As a path relative to it, so that the folder may be moved."""
    folder.write_best(40, {"measure": None})

    content = json.loads(folder.best.read_text())
    assert content == {"checkpoint": "checkpoints/step-00000040", "step": 40, "measure": None}


def test_changed_settings_are_noticed(folder):
    """A flipped digit would go on with another learning rate; runs of before have no hash."""
    folder.write_settings({"settings": {"learning_rate": 1e-5}, "inputs": {}})
    assert folder.require_settings()["settings"] == {"learning_rate": 1e-5}

    text = folder.settings.read_text()
    folder.settings.write_text(text.replace("1e-05", "2e-05"))
    with pytest.raises(ArtifactError, match="is damaged, its content has changed"):
        folder.require_settings()
    content = json.loads(text)
    del content["sha256"]
    folder.settings.write_text(json.dumps(content))
    assert folder.require_settings()["inputs"] == {}


def test_settings_must_be_there(folder):
    """A folder in which no run was started says so."""
    with pytest.raises(FileNotFoundError, match=r"has no training\.json; no training was started"):
        folder.require_settings()


@pytest.mark.parametrize(
    ("text", "found"),
    [("{", "is not valid JSON"), ("{}", "has format version None"), ('{"format_version": 9}', "9")],
)
def test_settings_that_cannot_be_read(folder, text, found):
    """Damaged ones, and those of a newer version."""
    folder.settings.write_text(text)

    with pytest.raises(ArtifactError, match=found):
        folder.require_settings()

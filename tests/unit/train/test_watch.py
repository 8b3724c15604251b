"""The refresher beside the trainer: which checkpoint it takes, and what it says meanwhile."""

import json
import os
import shutil

import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.train import watch as module
from ance_plugin.train.folder import CHECKPOINT, REFRESH, TrainingFolder
from ance_plugin.train.negatives.table import TABLE
from ance_plugin.train.refresh import Task
from ance_plugin.train.watch import find_task, watch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.001)
    return TrainingFolder(tmp_path)


def add_checkpoint(folder, step):
    with artifacts.new_directory(folder.checkpoint(step)) as staging:
        artifacts.seal(staging, CHECKPOINT, {})


def add_refresh(folder, step, number, *, mines=True):
    with artifacts.new_directory(folder.refresh(step)) as staging:
        if mines:
            (staging / TABLE).touch()
        artifacts.seal(staging, REFRESH, {"step": step, "round": number})


class Refresher:
    """Publishes a refresh without making it, and then does what it was told to."""

    num_steps = 100

    def __init__(self, folder, then=lambda task: None):
        self.folder, self.tasks, self._then = folder, [], then

    def run(self, task, *, on_stage):
        self.tasks.append(task)
        on_stage("encode")
        self._then(task)
        add_refresh(self.folder, task.step, task.round)


def find(folder):
    return find_task(folder, num_steps=100)


def test_first_refresh_is_the_trainers(folder):
    """Until there are negatives there is nothing to do beside it."""
    assert find(folder) is None
    add_checkpoint(folder, 0)
    assert find(folder) is None

    add_refresh(folder, 0, 0)
    assert find(folder) is None


def test_newest_checkpoint_is_taken(folder):
    """Those that it has overtaken are skipped; the round goes on from the last negatives."""
    add_refresh(folder, 0, 4)
    for step in (0, 10, 20):
        add_checkpoint(folder, step)

    assert find(folder) == Task(20, 5, previous=folder.refresh(0))

    add_refresh(folder, 20, 5)
    assert find(folder) is None


def test_refresh_without_negatives_is_not_the_one_before(folder):
    """Dev measures alone change no negatives."""
    add_refresh(folder, 0, 0)
    add_refresh(folder, 10, 1, mines=False)
    add_checkpoint(folder, 20)

    assert find(folder) == Task(20, 1, previous=folder.refresh(0))


def test_last_checkpoint_is_the_trainers(folder):
    """It measures it itself; both at once would be in each other's way."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 100)

    assert find(folder) is None


def test_refreshes_until_training_is_over(folder):
    """It takes what is new, and leaves once the trainer has finished."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)

    def go_on(task):
        if task.step == 10:
            add_checkpoint(folder, 20)
        else:
            artifacts.write_json(folder.finished, {})

    refresher = Refresher(folder, go_on)

    assert watch(folder, refresher) == 2
    assert [(task.step, task.round) for task in refresher.tasks] == [(10, 1), (20, 2)]
    assert not folder.heartbeat.exists()


def test_number_of_refreshes_is_an_end_too(folder):
    """With --num-refreshes it leaves after so many."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)

    assert watch(folder, Refresher(folder), num_refreshes=0) == 0
    assert watch(folder, Refresher(folder), num_refreshes=1) == 1


def test_heartbeat_says_what_it_does(folder, monkeypatch):
    """Who, when, which stage of which step, and how many refreshes there were."""
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_BEATS", 0.001)
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)
    seen = []

    def look(task):
        while not seen or seen[-1]["stage"] != "encode":
            seen.append(json.loads(folder.heartbeat.read_text()))

    watch(folder, Refresher(folder, look), num_refreshes=1)

    assert (seen[-1]["pid"], seen[-1]["step"], seen[-1]["num_done"]) == (os.getpid(), 10, 0)


def test_vectors_that_were_overtaken_are_removed(folder):
    """A refresh that was killed and is not made again leaves no encoded collection behind."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 20)
    for name in (".step-00000010.vectors.partial", "step-00000020.vectors"):
        (folder.path / "refreshes" / name).mkdir()

    watch(folder, Refresher(folder), num_refreshes=1)

    assert folder.steps_of_vectors() == [20]


def test_checkpoint_that_went_meanwhile_is_no_failure(folder):
    """The trainer keeps few; the next one is taken in its place."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)

    def lose(task):
        if task.step == 10:
            shutil.rmtree(folder.checkpoint(10))
            add_checkpoint(folder, 20)
            raise FileNotFoundError("gone")

    refresher = Refresher(folder, lose)

    assert watch(folder, refresher, num_refreshes=1) == 1
    assert [task.step for task in refresher.tasks] == [10, 20]


def test_damaged_checkpoint_is_a_failure(folder):
    """One that is there and cannot be read is not tried for ever."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)

    def fail(task):
        raise ArtifactError("it is damaged")

    with pytest.raises(ArtifactError, match="it is damaged"):
        watch(folder, Refresher(folder, fail))


def test_previous_refresh_that_went_meanwhile_is_looked_for_again(folder, monkeypatch):
    """A resumed trainer may drop it between two looks."""
    add_refresh(folder, 0, 0)
    add_checkpoint(folder, 10)

    def lose(path, kind):
        raise FileNotFoundError(path)

    monkeypatch.setattr(module.artifacts, "open_sealed", lose)

    assert find(folder) is None


def test_nothing_to_do_is_waited_out(folder, monkeypatch):
    """It looks again until there is a checkpoint."""
    add_refresh(folder, 0, 0)
    stages = []

    def sleep(seconds):
        stages.append(seconds)
        if len(stages) == 3:
            add_checkpoint(folder, 10)

    monkeypatch.setattr(module.time, "sleep", sleep)

    assert watch(folder, Refresher(folder), num_refreshes=1) == 1
    assert len(stages) == 3


def test_two_refreshers_do_not_watch_one_folder(folder):
    """The second is told who is there."""
    with (
        artifacts.claim(folder.path / "refresher"),
        pytest.raises(ArtifactError, match=f"is being written by process {os.getpid()}"),
    ):
        watch(folder, Refresher(folder))

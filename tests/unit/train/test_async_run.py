"""A run whose refresher is a process of its own, on another's device, or nobody's."""

import pytest

from ance_plugin.train.__main__ import main
from ance_plugin.train.folder import CHECKPOINT, REFRESH, TrainingFolder
from ance_plugin.train.log import read_log

FLAGS = [
    *("--device", "cpu", "--precision", "fp32", "--refresh-precision", "fp32", "--depth", "20"),
    *("--batch-size", "4", "--num-negatives", "2", "--negatives-per-topic", "1"),
]


@pytest.mark.slow
def test_refresher_beside_takes_turns_with_the_trainer(world, tmp_path):
    """Negatives are at most so old as is allowed, and nothing is left of the refresher."""
    words = ["ance", "--output", str(tmp_path / "run"), *world.flags(), *FLAGS]
    words += ["--num-steps", "12", "--refresh", "async", "--refresh-steps", "4"]

    assert main([*words, "--max-staleness", "6"]) == 0

    folder = TrainingFolder(tmp_path / "run")
    events = read_log(folder)
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(12))
    assert max(event["staleness"] for event in steps) <= 6
    assert folder.finished.is_file()
    assert not folder.heartbeat.exists()
    assert folder.steps(REFRESH)[-1] == folder.steps(CHECKPOINT)[-1] == 12
    assert folder.steps_of_vectors() == []


def test_refresher_elsewhere_needs_the_folder_alone(world, tmp_path):
    """It reads the run's own settings, and leaves once training is over.

    Nothing is made of the last checkpoint: without dev topics nobody would read it.
    """
    words = ["ance", "--output", str(tmp_path / "run"), *world.flags(dev=False), *FLAGS]
    words += ["--num-steps", "2", "--refresh", "async", "--refresher", "external", "--mix"]
    assert main([*words, "random=1"]) == 0

    assert main(["refresh", "--watch", str(tmp_path / "run"), "--device", "cpu"]) == 0
    assert TrainingFolder(tmp_path / "run").steps(REFRESH) == [0]

"""Training killed at random moments: what was published is whole, and resuming loses nothing."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ance_plugin import artifacts
from ance_plugin.artifacts import sha256_file
from ance_plugin.train.folder import CHECKPOINT, REFRESH, STATE, TrainingFolder
from ance_plugin.train.log import read_log
from tests.synthetic import make_world

NUM_STEPS = 120
FLAGS = [
    *("--num-steps", str(NUM_STEPS), "--refresh-steps", "15", "--save-steps", "5"),
    *("--batch-size", "8", "--num-negatives", "8", "--depth", "20", "--learning-rate", "1e-3"),
    *("--precision", "fp32", "--refresh-precision", "fp32", "--device", "cpu"),
]
COMMAND = [sys.executable, "-m", "ance_plugin.train", "ance"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of tests/synthetic.py, with dropout, whose masks a resumed run must draw again."""
    return make_world(tmp_path_factory.mktemp("world"), dropout=0.1)


def start(world, output, *flags):
    """Start training, or resume what is there."""
    words = ["--resume"] if (output / "training.json").exists() else [*world.flags(), *FLAGS]
    command = [*COMMAND, "--output", str(output), *words, *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finish(world, output, *flags):
    """Train to the end."""
    process = start(world, output, *flags)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages


def verify_all(folder):
    """Check every published artifact's hashes; count them."""
    paths = {CHECKPOINT: folder.checkpoint, STATE: folder.state, REFRESH: folder.refresh}
    found = [(path(step), kind) for kind, path in paths.items() for step in folder.steps(kind)]
    for path, kind in found:
        artifacts.verify(path, kind)
    return len(found)


def find_refreshers(output):
    """List the processes that watch a folder."""
    listing = subprocess.run(
        ["pgrep", "-f", f"train refresh --watch {output}"], capture_output=True, text=True
    )
    return [int(word) for word in listing.stdout.split()]


def wait_until(is_true, *, seconds=60):
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def kill_training(world, output, rng, *, flags=(), num_kills, victims):
    """Start a run again and again, and kill it at random moments, until it is through.

    Gives how many signals met a process that lived; it stops after ``num_kills`` of them.
    """
    folder, num_hits = TrainingFolder(output), 0
    while num_hits < num_kills and not folder.finished.exists():
        process = start(world, output, *(flags if not folder.settings.exists() else ()))
        lived = folder.log.stat().st_mtime if folder.log.exists() else 0.0
        wait_until(
            lambda process=process, lived=lived: (
                process.poll() is not None
                or (folder.log.exists() and folder.log.stat().st_mtime > lived)
            )
        )
        time.sleep(rng.uniform(0.0, 1.5))
        for victim in rng.choice(victims):
            num_hits += kill(process) if victim == "trainer" else kill_refreshers(output)
        if process.poll() is None:
            time.sleep(rng.uniform(0.0, 0.5))
            num_hits += kill(process)
        process.communicate()
        verify_all(folder)
        wait_until(lambda: not find_refreshers(output), seconds=15)
    return num_hits


def kill(process):
    """Kill a process; say whether it lived."""
    lives = process.poll() is None
    process.kill()
    return lives


def kill_refreshers(output):
    """Kill the refreshers of a folder; say how many lived."""
    num_hits = 0
    for pid in find_refreshers(output):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        num_hits += 1
    return num_hits


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """Hash of the last weights of a sync run that nobody killed."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(world, output)
    return sha256_file(TrainingFolder(output).checkpoint(NUM_STEPS) / "model.safetensors")


@pytest.mark.parametrize(
    "num_kills",
    [pytest.param(3, marks=pytest.mark.slow), pytest.param(25, marks=pytest.mark.long)],
)
def test_killed_sync_training_ends_bit_for_bit_alike(world, undisturbed, tmp_path, num_kills):
    """However often it was killed, the last weights are those of the run that was not."""
    rng, num_hits = random.Random(num_kills), 0
    for output in (tmp_path / f"run{number}" for number in range(num_kills)):
        num_hits += kill_training(
            world, output, rng, num_kills=num_kills - num_hits, victims=[["trainer"]]
        )
        finish(world, output)

        folder = TrainingFolder(output)
        assert sha256_file(folder.checkpoint(NUM_STEPS) / "model.safetensors") == undisturbed
        steps = [event["step"] for event in read_log(folder) if event["event"] == "step"]
        assert steps == list(range(NUM_STEPS))
        if num_hits >= num_kills:
            return
    pytest.fail(f"only {num_hits} kills met a process that lived")


@pytest.mark.parametrize(
    "num_kills",
    [pytest.param(3, marks=pytest.mark.long), pytest.param(25, marks=pytest.mark.long)],
)
def test_killed_async_training_goes_on(world, tmp_path, num_kills):
    """Trainer, refresher or both killed: artifacts verify, nobody is left, resuming ends well."""
    flags = ("--refresh", "async", "--max-staleness", "30")
    victims = [["trainer"], ["refresher"], ["trainer", "refresher"]]
    rng, num_hits = random.Random(num_kills), 0
    for output in (tmp_path / f"run{number}" for number in range(num_kills)):
        left = num_kills - num_hits
        num_hits += kill_training(world, output, rng, flags=flags, num_kills=left, victims=victims)
        finish(world, output)

        folder = TrainingFolder(output)
        assert folder.steps(CHECKPOINT)[-1] == NUM_STEPS
        assert verify_all(folder) > 3
        assert find_refreshers(output) == []
        if num_hits >= num_kills:
            return
    pytest.fail(f"only {num_hits} kills met a process that lived")


@pytest.mark.slow
def test_a_dead_refresher_is_replaced(world, tmp_path):
    """Training waits out a killed refresher: another one takes its place, within the same run."""
    output = tmp_path / "run"
    flags = ("--refresh", "async", "--max-staleness", "15")
    process = start(world, output, *flags)
    wait_until(lambda: find_refreshers(output))
    (first,) = find_refreshers(output)

    os.kill(first, signal.SIGKILL)
    _, messages = process.communicate(timeout=300)

    assert process.returncode == 0, messages
    assert "killed by signal 9; starting it again" in messages
    refreshes = [e for e in read_log(TrainingFolder(output)) if e["event"] == "refresh"]
    assert len(refreshes) > 3
    assert find_refreshers(output) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_asked_to_stop_training_saves_its_state(world, undisturbed, tmp_path, number):
    """SIGTERM and Ctrl-C end training between two steps; resumed, it ends bit for bit alike."""
    output = tmp_path / "run"
    folder = TrainingFolder(output)
    process = start(world, output)
    wait_until(lambda: len(read_log(folder)) > 20)

    process.send_signal(number)
    process.communicate(timeout=60)
    reached = folder.steps(STATE)[-1]
    logged = [event["step"] for event in read_log(folder) if event["event"] == "step"]
    finish(world, output)

    assert process.returncode == 130
    assert reached == logged[-1] + 1
    assert sha256_file(folder.checkpoint(NUM_STEPS) / "model.safetensors") == undisturbed

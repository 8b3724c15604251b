"""Several processes train as one does, with the same global batch."""

import subprocess
import sys

import pytest

from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.log import read_log
from tests.synthetic import make_world

pytestmark = pytest.mark.slow

FLAGS = [
    *("--num-steps", "40", "--refresh-steps", "10", "--batch-size", "16", "--depth", "20"),
    *("--num-negatives", "8", "--learning-rate", "1e-3", "--chunk-tokens", "64"),
    *("--precision", "fp32", "--refresh-precision", "fp32", "--device", "cpu"),
]


def train(world, output, *, num_ranks):
    """Train under torchrun; give the logged events."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    command = [sys.executable, *launcher, "-m", "ance_plugin.train", "ance"]
    subprocess.run(
        [*command, *world.flags(), *FLAGS, "--output", str(output)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return read_log(TrainingFolder(output))


def test_two_ranks_train_as_one(tmp_path):
    """Two ranks log the losses of one, to 1e-5, and switch negatives at the same steps.

    Dropout is on: its masks belong to chunks of the global batch, whichever rank computes them.
    """
    world = make_world(tmp_path, dropout=0.1)

    one, two = (train(world, tmp_path / f"of-{n}", num_ranks=n) for n in (1, 2))

    losses = [[e["loss"] for e in events if e["event"] == "step"] for events in (one, two)]
    assert len(losses[0]) == 40
    assert losses[1] == pytest.approx(losses[0], rel=0, abs=1e-5)
    staleness = [[e["staleness"] for e in events if e["event"] == "step"] for events in (one, two)]
    assert staleness[0] == staleness[1] == [step % 10 for step in range(40)]
    dev = [[e["dev"] for e in events if e["event"] == "refresh"] for events in (one, two)]
    assert len(dev[0]) == 5
    assert dev[0] == dev[1]

"""The refresher as a process of its own: refresh with the newest checkpoint, again and again.

It needs the training run's folder and what its settings name, so it may run on another device, or
on another host that has both. It skips checkpoints that newer ones have overtaken.
"""

import logging
import os
import socket
import sys
import threading
import time

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import CHECKPOINT, REFRESH, TrainingFolder
from ance_plugin.train.nearest import remove_vectors
from ance_plugin.train.negatives.table import TABLE
from ance_plugin.train.refresh import Refresher, Task

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_BEATS = 2.0
_EXIT_ORPHANED = 3


def watch(folder: TrainingFolder, refresher: Refresher, *, num_refreshes: int | None = None) -> int:
    """Refresh until training is over.

    Args:
        folder: The run's.
        refresher: Makes the refreshes.
        num_refreshes: Leave after so many; None for no such end.

    Returns:
        How many refreshes were made.

    Raises:
        ArtifactError: Another refresher watches the folder, or a checkpoint is damaged.
    """
    num_done = 0
    with artifacts.claim(folder.path / "refresher"), _Heartbeat(folder) as heartbeat:
        while num_done != num_refreshes:
            task = find_task(folder, num_steps=refresher.num_steps)
            if task is not None:
                heartbeat.step = task.step
                _remove_overtaken(folder, task.step)
                if _refresh(folder, refresher, task, heartbeat):
                    num_done += 1
                    heartbeat.num_done = num_done
            elif folder.finished.exists():
                break
            else:
                heartbeat.stage = "waiting"
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    return num_done


def find_task(folder: TrainingFolder, *, num_steps: int) -> Task | None:
    """Describe the refresh with the newest checkpoint.

    Args:
        folder: The run's.
        num_steps: The run's last step, whose checkpoint is for the trainer to measure.

    Returns:
        The task; None where it has been done, or while the trainer makes the very first one.
    """
    checkpoints = [step for step in folder.steps(CHECKPOINT) if step < num_steps]
    refreshes = folder.steps(REFRESH)
    mined = [step for step in refreshes if (folder.refresh(step) / TABLE).is_file()]
    if not checkpoints or not mined or refreshes[-1] >= checkpoints[-1]:
        return None
    previous = folder.refresh(mined[-1])
    try:
        number = artifacts.open_sealed(previous, REFRESH)["round"] + 1
    except FileNotFoundError:  # a newer one has replaced it since
        return None
    return Task(checkpoints[-1], number, previous=previous)


def leave_with_parent() -> None:
    """End this process as soon as its standard input ends; called by a supervised refresher."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(_EXIT_ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def _remove_overtaken(folder: TrainingFolder, step: int) -> None:
    """Delete vectors of earlier refreshes that were begun and will not be finished."""
    for earlier in folder.steps_of_vectors():
        if earlier < step:
            remove_vectors(folder.vectors(earlier))


def _refresh(
    folder: TrainingFolder, refresher: Refresher, task: Task, heartbeat: "_Heartbeat"
) -> bool:
    def say(stage: str) -> None:
        heartbeat.stage = stage

    try:
        refresher.run(task, on_stage=say)
    except (FileNotFoundError, ArtifactError):
        previous = task.previous
        if folder.checkpoint(task.step).exists() and (previous is None or previous.exists()):
            raise
        logger.info("the checkpoint of step %d was replaced by a newer one", task.step)
        return False
    return True


class _Heartbeat:
    """Writes, every few seconds, that this process is alive and what it does."""

    def __init__(self, folder: TrainingFolder) -> None:
        self.stage = "starting"
        self.step: int | None = None
        self.num_done = 0
        self._path = folder.heartbeat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_BEATS):
            self._write()

    def _write(self) -> None:
        content = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "time": time.time(),
            "stage": self.stage,
            "step": self.step,
            "num_done": self.num_done,
        }
        artifacts.write_json(self._path, content)

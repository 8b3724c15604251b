"""What training shows: a line of JSON an event, TensorBoard where it is installed, and stderr."""

import importlib.util
import json
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from ance_plugin import artifacts
from ance_plugin.train.folder import TrainingFolder

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 20.0


class TrainingLog:
    """Append to a run's logs.

    Args:
        folder: The run's.
        first_step: The step that the run begins with; lines of a killed run from there on are
            dropped.
        num_steps: Steps in all.
    """

    def __init__(self, folder: TrainingFolder, *, first_step: int, num_steps: int) -> None:
        self._num_steps = num_steps
        self._first_step = first_step
        self._started = self._shown = time.monotonic()
        kept = [] if first_step == 0 else [e for e in read_log(folder) if e["step"] < first_step]
        with artifacts.new_file(folder.log) as file:
            file.writelines(json.dumps(event) + "\n" for event in kept)
        self._file = folder.log.open("a", encoding="utf-8")
        self._board = _open_board(folder, first_step)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write an event, whose numbers also go to TensorBoard."""
        event = {"event": kind, "step": step, **_without_nan(values)}
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in _flatten(kind, values):
                self._board.add_scalar(name, value, step)

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Log a step to stderr if the last one that was is long enough ago."""
        now = time.monotonic()
        if now - self._shown < _SECONDS_BETWEEN_LINES:
            return
        self._shown = now
        speed = (step + 1 - self._first_step) / (now - self._started)
        minutes, seconds = divmod(round((self._num_steps - step - 1) / speed), 60)
        logger.info(
            "step %d of %d: %s  (%.2f steps/s, %d min %02d s left)",
            step + 1,
            self._num_steps,
            "  ".join(f"{name} {value:.4g}" for name, value in values.items()),
            speed,
            minutes,
            seconds,
        )

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(folder: TrainingFolder) -> list[dict[str, Any]]:
    """Read a run's events; a last line that a killed run did not finish is left out."""
    if not folder.log.is_file():
        return []
    events = []
    for line in folder.log.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("step"), int):
            events.append(event)
    return events


def _open_board(folder: TrainingFolder, first_step: int) -> Any:  # noqa: ANN401 - no stubs
    if importlib.util.find_spec("tensorboard") is None:
        logger.debug("tensorboard is not installed; %s has everything", folder.log)
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder.path / "tensorboard"), purge_step=first_step)


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put null where there is no number: JSON has no NaN."""
    return {
        name: _without_nan(value) if isinstance(value, Mapping) else _none_for_nan(value)
        for name, value in values.items()
    }


def _none_for_nan(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flatten(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flatten(f"{prefix}/{name}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{prefix}/{name}", float(value)))
    return found

"""Which checkpoint stands for a run: the best on the dev topics, never on test ones."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ance_plugin import artifacts
from ance_plugin.train.folder import CHECKPOINT, REFRESH, TrainingFolder
from ance_plugin.train.nearest import remove_vectors
from ance_plugin.train.settings import Refresh
from ance_plugin.train.state import find_state


class Selection:
    """Compare the checkpoints of a run by their dev measures as refreshes make them known.

    Args:
        folder: The run's.
        settings: The measure, the patience, and how many checkpoints to keep.
        has_dev: Whether there are dev topics; without them the newest checkpoint is the best.
        writes: Whether this process is the one, of several ranks, that keeps the files.
    """

    def __init__(
        self, folder: TrainingFolder, settings: Refresh, *, has_dev: bool, writes: bool = True
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._has_dev = has_dev
        self._writes = writes
        self._seen: dict[int, float] = {}

    @property
    def best(self) -> int | None:
        """Step of the best checkpoint so far, the earlier of equals; None before the first."""
        return max(self._seen, key=lambda step: (self._seen[step], -step), default=None)

    @property
    def is_patience_spent(self) -> bool:
        """Whether so many refreshes brought nothing better that training is to end."""
        patience = self._settings.patience
        if patience is None or self.best is None or not self._has_dev:
            return False
        return sum(step > self.best for step in self._seen) >= patience

    def restore(self, last_step: int) -> None:
        """Read again what a resumed run knew, and drop what it published after ``last_step``."""
        content = artifacts.read_json(self._folder.best) if self._folder.best.is_file() else {}
        measured = content.get("measured", {}).items()
        self._seen = {int(step): value for step, value in measured if int(step) <= last_step}
        if not self._writes:
            return
        # First of all, so that it never names what is gone.
        self._folder.best.unlink(missing_ok=True)
        if self.best is not None:
            self._point(self.best)
        for kind, path in self._paths():
            for step in self._folder.steps(kind):
                if step > last_step:
                    shutil.rmtree(path(step))
        for step in self._folder.steps_of_vectors():
            if step > last_step:  # a GPU does not make the same checkpoint again to the last bit
                remove_vectors(self._folder.vectors(step))

    def read(self, step: int) -> dict[str, Any]:
        """Read what a refresh says of itself."""
        return artifacts.open_sealed(self._folder.refresh(step), REFRESH)

    def add_checkpoint(self, step: int) -> None:
        """Count a new checkpoint; without dev topics it is the best at once."""
        if not self._has_dev:
            self._seen[step] = float(step)
            self._point(step)
        elif not self._folder.best.exists():
            self._point(step)

    def add_refresh(self, step: int) -> dict[str, Any]:
        """Count a new refresh.

        Returns:
            What it says of itself.
        """
        content = self.read(step)
        self._see(step, content)
        if self._has_dev and self.best is not None:
            self._point(self.best)
        return content

    def remove_old(self, *, in_use: int) -> None:
        """Delete checkpoints and refreshes that are neither new, nor the best, nor in use.

        In use is also what the newest state trained on, from which a killed run goes on.
        """
        if not self._writes:
            return
        state = find_state(self._folder)
        if state is not None and state.refresh is not None:
            in_use = min(in_use, state.refresh)
        for kind, path in self._paths():
            for step in self._folder.steps(kind)[: -self._settings.keep_checkpoints]:
                is_free = step < in_use or (self._settings.mode != "async" and step != in_use)
                if is_free and step != self.best:
                    shutil.rmtree(path(step), ignore_errors=True)

    def _paths(self) -> Iterator[tuple[str, Callable[[int], Path]]]:
        yield CHECKPOINT, self._folder.checkpoint
        yield REFRESH, self._folder.refresh

    def _see(self, step: int, content: dict[str, Any]) -> None:
        value = content.get("dev", {}).get(self._settings.dev_measure)
        if value is not None:
            self._seen[step] = float(value)

    def _point(self, step: int) -> None:
        if not self._writes:
            return
        measure = self._settings.dev_measure if self._has_dev else None
        self._folder.write_best(step, {"measure": measure, "measured": self._seen})

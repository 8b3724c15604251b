"""When the trainer gets new negatives: between two steps (sync, static), or from beside (async)."""

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ance_plugin.train.folder import REFRESH, TrainingFolder
from ance_plugin.train.refresh import Refresher, Task
from ance_plugin.train.settings import Refresh
from ance_plugin.train.state import Progress

if TYPE_CHECKING:
    from ance_plugin.train.ranks import Ranks
    from ance_plugin.train.supervisor import Supervisor

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_REMINDERS = 30.0


@dataclass(frozen=True, slots=True)
class News:
    """What a step begins with.

    Attributes:
        refreshes: Steps of the refreshes that came to be since the last look, lowest first.
        refresh_seconds: How long this process made them, and did not train.
        waited_seconds: How long it stood still for somebody else's.
    """

    refreshes: tuple[int, ...] = ()
    refresh_seconds: float = 0.0
    waited_seconds: float = 0.0


class Schedule(Protocol):
    """Looks for refreshes, or makes them."""

    def look(self, progress: Progress) -> News:
        """Say what there is before a step; called on every rank, answered alike on each."""
        ...

    def stop(self) -> None:
        """End whatever runs beside the trainer."""
        ...


class InProcess:
    """Refresh between two steps, on the trainer's own device.

    Args:
        refresher: Makes the refreshes.
        folder: The run's.
        settings: How often.
        ranks: Encode a share of the collection each; the first does the rest.
        num_steps: Steps in all; after the last, dev topics are measured and nothing is mined.
    """

    def __init__(
        self,
        refresher: Refresher,
        folder: TrainingFolder,
        settings: Refresh,
        ranks: "Ranks",
        *,
        num_steps: int,
    ) -> None:
        self._refresher = refresher
        self._folder = folder
        self._settings = settings
        self._ranks = ranks
        self._num_steps = num_steps

    def look(self, progress: Progress) -> News:
        """Refresh where one is due."""
        is_last = progress.step == self._num_steps
        is_due = is_last or progress.step % self._settings.refresh_steps == 0
        if not is_due or progress.refresh == progress.step:
            return News()
        mines = not is_last and (self._settings.mode != "static" or progress.refresh is None)
        if not mines and not self._refresher.has_dev:
            return News()  # nobody would read what is found
        task = make_task(self._folder, progress, mines=mines)
        started = time.monotonic()
        self.refresh(task)
        return News((task.step,), refresh_seconds=time.monotonic() - started)

    def refresh(self, task: Task) -> None:
        """Make a refresh with all ranks."""
        if self._ranks.world_size > 1 and self._refresher.needs_vectors:
            if not self._folder.refresh(task.step).exists():
                self._refresher.encode(task, (self._ranks.rank, self._ranks.world_size))
            self._ranks.barrier()
        if self._ranks.is_main:
            self._refresher.run(task)
        self._ranks.barrier()

    def stop(self) -> None:
        """Nothing runs beside."""


class Beside:
    """Take refreshes from a process beside the trainer, and wait only where they are too old.

    Args:
        folder: The run's.
        settings: How old negatives may be.
        ranks: The first looks, and tells the others.
        supervisor: Keeps the refresher alive; None where somebody else runs it.
        within: Makes the first refresh, before there is anything to train on, and the last.
        num_steps: Steps in all.
    """

    def __init__(
        self,
        folder: TrainingFolder,
        settings: Refresh,
        ranks: "Ranks",
        supervisor: "Supervisor | None",
        within: InProcess,
        *,
        num_steps: int,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._ranks = ranks
        self._supervisor = supervisor
        self._within = within
        self._num_steps = num_steps
        self._is_started = False
        self._seen = -1
        self._warned_at = -1

    def look(self, progress: Progress) -> News:
        """See whether there are new refreshes; wait where the negatives in use are too old."""
        if self._supervisor is not None and not self._is_started:
            self._supervisor.start()  # it loads what it needs while the first refresh is made
            self._is_started = True
        if progress.refresh is None:
            news = self._within.look(progress)
            self._seen = progress.step
            return news
        if progress.step == self._num_steps:
            self.stop()
            found = self._ranks.broadcast(self._find_new() if self._ranks.is_main else None)
            news = self._within.look(progress)
            return replace(news, refreshes=(*found, *news.refreshes))
        found = self._look_once(progress) if self._ranks.is_main else None
        steps, waited = self._ranks.broadcast(found)
        return News(tuple(steps), waited_seconds=waited)

    def stop(self) -> None:
        """Stop the refresher."""
        if self._supervisor is not None:
            self._supervisor.stop()

    def _look_once(self, progress: Progress) -> tuple[list[int], float]:
        in_use = -1 if progress.refresh is None else progress.refresh
        self._seen = max(self._seen, in_use)
        self._check()
        steps, waited = self._find_new(), 0.0
        started = reminded = time.monotonic()
        while self._is_too_old(progress.step, max([in_use, *steps])):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            self._check()
            steps += self._find_new()
            waited = time.monotonic() - started
            if time.monotonic() - reminded > _SECONDS_BETWEEN_REMINDERS:
                reminded = time.monotonic()
                logger.info(
                    "step %d waits for newer negatives than step %d's", progress.step, in_use
                )
        return steps, waited

    def _check(self) -> None:
        if self._supervisor is not None:
            self._supervisor.check()

    def _find_new(self) -> list[int]:
        steps = [step for step in self._folder.steps(REFRESH) if step > self._seen]
        self._seen = max([self._seen, *steps])
        return steps

    def _is_too_old(self, step: int, newest: int) -> bool:
        bound = self._settings.max_staleness
        if bound is None or step - max(newest, 0) <= bound:
            return False
        if self._settings.when_stale == "block":
            return True
        if self._warned_at != newest:
            self._warned_at = newest
            logger.warning(
                "step %d trains on negatives of step %d, older than --max-staleness %d",
                *(step, newest, bound),
            )
        return False


def make_task(folder: TrainingFolder, progress: Progress, *, mines: bool) -> Task:
    """Describe the refresh with the checkpoint of the step that comes next."""
    previous = None if progress.refresh is None else folder.refresh(progress.refresh)
    return Task(progress.step, progress.round, mines=mines, previous=previous)


def follow(progress: Progress, refresh: int) -> Progress:
    """Give the progress of a run that has taken the negatives of a refresh."""
    return replace(progress, refresh=refresh, round=progress.round + 1)

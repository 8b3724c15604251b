"""The training loop: batches, steps, checkpoints, and negatives that change while it goes on."""

import logging
import math
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ance_plugin import artifacts
from ance_plugin.encode.layouts.folder import Parts
from ance_plugin.encode.layouts.own import save_own
from ance_plugin.progress import count
from ance_plugin.train.assembly import new_sampler, new_step
from ance_plugin.train.batches import NegativePool
from ance_plugin.train.diagnostics import GradientNorms
from ance_plugin.train.folder import STATE, TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.log import TrainingLog
from ance_plugin.train.negatives.table import TABLE, read_negatives
from ance_plugin.train.optimizers import learning_rate, new_optimizer
from ance_plugin.train.pool import EmptyPool, TablePool, check_pool
from ance_plugin.train.ranks import Ranks
from ance_plugin.train.schedules import News, Schedule, follow
from ance_plugin.train.selection import Selection
from ance_plugin.train.settings import TrainSettings
from ance_plugin.train.signals import StopSignals
from ance_plugin.train.state import Progress, find_state, load_state, save_state
from ance_plugin.train.step import StepResult

if TYPE_CHECKING:
    from ance_plugin.encode.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

_NOT_LOGGED = frozenset(  # of a refresh's metadata
    ["files", "settings", "versions", "encoder", "collection", "kind", "format_version", "step"]
)
_SHOWN = ("loss", "accuracy", "margin", "staleness")


class Trainer:
    """Train an encoder.

    Args:
        folder: The output.
        settings: What was asked for.
        inputs: What is read.
        checkpoint: The encoder to start from; its model is trained in place.
        ranks: The processes that train together.
        schedule: Where negatives come from.
        signals: Asked at each step whether to stop; such a run can be resumed.
    """

    def __init__(
        self,
        folder: TrainingFolder,
        settings: TrainSettings,
        inputs: Inputs,
        checkpoint: "Checkpoint",
        ranks: Ranks,
        schedule: Schedule,
        *,
        signals: StopSignals | None = None,
    ) -> None:
        optimization = settings.optimization
        self._folder = folder
        self._settings = settings
        self._inputs = inputs
        self._checkpoint = checkpoint
        self._ranks = ranks
        self._schedule = schedule
        self._signals = signals or StopSignals()
        self._model = checkpoint.model.to(ranks.device).train()
        if optimization.gradient_checkpointing:
            self._model.body.gradient_checkpointing_enable()  # type: ignore[no-untyped-call]
        self._optimizer = new_optimizer(
            self._model,
            optimization.optimizer,
            lr=optimization.learning_rate,
            weight_decay=optimization.weight_decay,
        )
        self._norms = GradientNorms(self._model)
        self._sampler = new_sampler(settings, inputs, checkpoint.settings)
        self._step = new_step(settings, checkpoint, ranks)
        self._selection = Selection(
            folder, settings.refresh, has_dev=inputs.dev is not None, writes=ranks.is_main
        )
        self._pool: NegativePool = EmptyPool()
        self._progress = Progress()

    @property
    def step(self) -> int:
        """The next step; after the end, how many there were."""
        return self._progress.step

    def run(self) -> bool:
        """Train from where the folder's newest state is, or from the start.

        Returns:
            Whether training came to its end; False where it was asked to stop.
        """
        self._restore()
        num_steps, log = self._settings.optimization.num_steps, None
        if self._ranks.is_main:
            log = TrainingLog(self._folder, first_step=self._progress.step, num_steps=num_steps)
        try:
            return self._loop(log)
        finally:
            self._schedule.stop()
            if log is not None:
                log.close()

    def _loop(self, log: TrainingLog | None) -> bool:
        num_steps = self._settings.optimization.num_steps
        first, started = self._progress.step, time.monotonic()
        waited = refreshed = 0.0
        with count(what="train", total=num_steps) as advance:
            advance(first)
            while True:
                self._publish()
                news = self._look()
                waited += news.waited_seconds
                refreshed += news.refresh_seconds
                self._take(news, log)
                is_over = self._progress.step >= num_steps or self._selection.is_patience_spent
                if is_over or self._is_asked_to_stop():
                    break
                values = self._train()
                self._write(log, values)
                self._progress = replace(self._progress, step=self._progress.step + 1)
                advance(1)
        seconds = time.monotonic() - started
        if log is not None:
            num_done = self._progress.step - first
            summary = {"num_steps": num_done, "seconds": seconds, "is_over": is_over}
            spent = {"waited_seconds": waited, "refresh_seconds": refreshed}
            log.write("end", self._progress.step, {**summary, **spent})
            logger.info(
                "%d steps in %.1f s, of which %.1f s refreshing and %.1f s waiting for negatives; "
                "best checkpoint: step %s",
                *(num_done, seconds, refreshed, waited, self._selection.best),
            )
        if not is_over:
            self._save_state()
            logger.info("stopped at step %d; the same command with --resume goes on", self.step)
        return is_over

    def _look(self) -> News:
        """Look for refreshes; somebody who does not want to wait for them loses no step."""
        try:
            with self._signals.interrupting():
                return self._schedule.look(self._progress)
        except KeyboardInterrupt:
            self._save_state()
            raise

    def _is_asked_to_stop(self) -> bool:
        return bool(self._ranks.broadcast(self._signals.is_asked_to_stop))

    def _train(self) -> dict[str, Any]:
        """Make one optimiser step; give what the log says of it."""
        import torch

        optimization, step = self._settings.optimization, self._progress.step
        started = time.monotonic()
        results = []
        for micro in range(optimization.accumulate):
            number = step * optimization.accumulate + micro
            batch = self._sampler.draw(number, self._pool)
            results.append(
                self._step.run(batch, step, micro=micro, weight=1 / optimization.accumulate)
            )
        parameters = list(self._model.parameters())
        self._ranks.sum_gradients(parameters)
        norms = self._norms.measure()
        averages = _average(results)
        for name, value in (("loss", averages["loss"]), ("gradient's norm", norms["all"])):
            if not math.isfinite(value):
                before = max(self._folder.steps(STATE), default=0)
                raise ValueError(
                    f"step {step}: the {name} is {value}; train again into another --output with a "
                    f"lower --learning-rate, or remove {self._folder.path} first (its state of "
                    f"step {before} is from before it)"
                )
        if optimization.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(parameters, optimization.max_grad_norm)
        rate = learning_rate(
            step,
            peak=optimization.learning_rate,
            num_steps=optimization.num_steps,
            lr_warmup_steps=optimization.lr_warmup_steps,
            schedule=optimization.schedule,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        described = {"learning_rate": rate, "gradient_norm": norms, "staleness": self._staleness()}
        return {**averages, **described, "seconds": time.monotonic() - started}

    def _staleness(self) -> int:
        return self._progress.step - (self._progress.refresh or 0)

    def _publish(self) -> None:
        """Save the state and the checkpoint where they are due; rank 0 does."""
        optimization, step = self._settings.optimization, self._progress.step
        is_due = step % self._settings.refresh.refresh_steps == 0 or step == optimization.num_steps
        saves = optimization.save_steps is not None and step % optimization.save_steps == 0
        if (is_due or saves) and self._ranks.is_main:
            self._save_state()
        if is_due and self._ranks.is_main:
            self._save_checkpoint()
            self._selection.add_checkpoint(step)
        if is_due:
            self._ranks.barrier()

    def _save_state(self) -> None:
        if self._ranks.is_main and not self._folder.state(self._progress.step).exists():
            save_state(self._folder, self._progress, self._model, self._optimizer)

    def _save_checkpoint(self) -> None:
        path = self._folder.checkpoint(self._progress.step)
        if path.exists():
            return
        parts = Parts(self._model, self._checkpoint.tokenizer, self._checkpoint.settings, None)
        content = {"training": {"step": self._progress.step, "init": self._settings.start.init}}
        with artifacts.new_directory(path) as staging:
            save_own(parts, staging, content)

    def _take(self, news: News, log: TrainingLog | None) -> None:
        """Count new refreshes, and switch to the newest one's negatives."""
        for step in news.refreshes:
            content = self._selection.add_refresh(step)
            if log is not None:
                log.write("refresh", step, _describe_refresh(content))
            if (self._folder.refresh(step) / TABLE).is_file():
                self._switch(step)
        if news.refreshes:
            self._ranks.barrier()
            if self._progress.refresh is not None:
                self._selection.remove_old(in_use=self._progress.refresh)

    def _switch(self, refresh: int) -> None:
        self._pool = self._read_pool(refresh)
        self._progress = follow(self._progress, refresh)
        logger.debug("step %d: negatives of step %d", self._progress.step, refresh)

    def _read_pool(self, refresh: int) -> TablePool:
        """Read a refresh's negatives, and see that there is something to train on."""
        table = read_negatives(self._folder.refresh(refresh))
        pool = TablePool(table, self._inputs.corpus, self._settings.negatives)
        if self._settings.optimization.negatives_per_topic:
            qids = [topic.qid for topic in self._inputs.topics.topics]
            check_pool(pool, qids, step=refresh)
        return pool

    def _restore(self) -> None:
        """Go on from the newest state, if there is one; the first rank says which."""
        own = find_state(self._folder) if self._ranks.is_main else None
        told = self._ranks.broadcast(None if own is None else asdict(own))
        if told is None:
            return
        self._progress = found = Progress(**told)
        load_state(self._folder, found.step, self._model, self._optimizer)
        if not self._ranks.is_main:
            self._selection.restore(found.step)
        self._ranks.barrier()  # all others have read what the first one is about to change
        if self._ranks.is_main:
            self._selection.restore(found.step)
        self._ranks.barrier()
        if found.refresh is not None:
            self._pool = self._read_pool(found.refresh)
        logger.info("going on at step %d", found.step)

    def _write(self, log: TrainingLog | None, values: dict[str, Any]) -> None:
        if log is not None:
            log.write("step", self._progress.step, values)
            log.show(self._progress.step, {name: values[name] for name in _SHOWN})


def _average(results: list[StepResult]) -> dict[str, float]:
    number = len(results)
    return {
        "loss": sum(result.loss for result in results) / number,
        "margin": sum(result.margin for result in results) / number,
        "accuracy": sum(result.accuracy for result in results) / number,
        "num_tokens": sum(result.num_tokens for result in results),
    }


def _describe_refresh(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in _NOT_LOGGED}

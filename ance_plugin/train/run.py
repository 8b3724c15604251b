"""Start, resume or refresh a training run: everything put together."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ance_plugin import artifacts
from ance_plugin.artifacts import read_json
from ance_plugin.encode.device import choose_device, choose_precision
from ance_plugin.train.candidates import with_candidates
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.nearest import remove_vectors
from ance_plugin.train.negatives.mining import Miner
from ance_plugin.train.negatives.table import KIND as NEGATIVES
from ance_plugin.train.plan import Plan, read_settings, require_inputs, write_settings
from ance_plugin.train.refresh import Refresher
from ance_plugin.train.schedules import Beside, InProcess, Schedule
from ance_plugin.train.settings import TrainSettings
from ance_plugin.train.signals import StopSignals
from ance_plugin.train.start import load_start
from ance_plugin.train.supervisor import Supervisor
from ance_plugin.train.teacher import load_teacher
from ance_plugin.train.watch import leave_with_parent, watch

if TYPE_CHECKING:
    from ance_plugin.encode.checkpoint import Checkpoint
    from ance_plugin.train.ranks import Ranks

logger = logging.getLogger(__name__)


def train(plan: Plan, *, device: str | None = None) -> bool:
    """Train until the end, or until asked to stop.

    Args:
        plan: Of ``plan_new`` or ``plan_resumed``.
        device: Where to train; None is the best there is.

    Returns:
        Whether training came to its end; where not, it can be resumed.

    Raises:
        ArtifactError: Another process trains in this folder.
        RefresherError: The refresher beside the trainer failed again and again.
    """
    from ance_plugin.train.ranks import Ranks
    from ance_plugin.train.trainer import Trainer

    folder, settings = plan.folder, plan.settings
    ranks = Ranks.from_environment(choose_device(device))
    try:
        _require_refresh_device(settings, ranks)
        checkpoint = load_start(settings.start, seed=settings.optimization.seed)
        with _claim(folder, ranks), StopSignals() as signals:
            with signals.interrupting():
                if ranks.is_main and not plan.is_resumed:
                    _remove_leftovers(folder, settings)
                inputs = _load_inputs(folder, settings, checkpoint, ranks)
                if plan.is_resumed:
                    require_inputs(folder, inputs)
                schedule = _new_schedule(folder, settings, inputs, ranks)
            trainer = Trainer(
                folder, settings, inputs, checkpoint, ranks, schedule, signals=signals
            )
            if ranks.is_main:
                write_settings(folder, settings, inputs)
            ranks.barrier()  # nobody begins before everybody has loaded
            is_over = trainer.run()
            if is_over and ranks.is_main:
                for step in folder.steps_of_vectors():  # a refresher that was stopped left them
                    remove_vectors(folder.vectors(step))
                artifacts.write_json(folder.finished, {"step": trainer.step})
            return is_over
    finally:
        ranks.close()


def _remove_leftovers(folder: TrainingFolder, settings: TrainSettings) -> None:
    """Delete the candidates that a start which then failed mined, perhaps for other topics.

    Tokens stay: what they were made of is compared when they are opened.
    """
    path, named = folder.bm25_negatives, settings.data.bm25_negatives
    is_named = named is not None and Path(named).resolve() == path.resolve()
    metadata = path / artifacts.METADATA
    if not is_named and metadata.is_file() and read_json(metadata).get("kind") == NEGATIVES:
        shutil.rmtree(path)


def _require_refresh_device(settings: TrainSettings, ranks: "Ranks") -> None:
    """Raise ValueError where the first refresh could not be computed as asked for."""
    device = choose_device(settings.refresh.device or str(ranks.device))
    choose_precision(settings.refresh.precision, device)


def refresh_beside(
    output: Path,
    *,
    is_supervised: bool,
    num_refreshes: int | None = None,
    device: str | None = None,
) -> int:
    """Be the refresher of a run.

    Args:
        output: The run's folder.
        is_supervised: Leave when standard input ends, as it does with the trainer.
        num_refreshes: Leave after so many; None when training is over.
        device: Where to compute, unless the run's settings say; None is the best there is.

    Returns:
        How many refreshes were made.

    Raises:
        FileNotFoundError: No run was started there.
        ArtifactError: Another refresher is at work there.
    """
    from ance_plugin.encode.encoder import Encoder

    if is_supervised:
        leave_with_parent()
    folder = TrainingFolder(output)
    settings = read_settings(folder)
    _use_threads(count_refresh_threads(settings) if is_supervised else settings.refresh.threads)
    checkpoint = load_start(settings.start, seed=settings.optimization.seed)
    inputs = Inputs.load(settings, folder, Encoder(checkpoint, device="cpu", precision="fp32"))
    inputs = with_candidates(settings, folder, inputs)
    require_inputs(folder, inputs)
    refresher = _new_refresher(folder, settings, inputs, device)
    return watch(folder, refresher, num_refreshes=num_refreshes)


@contextmanager
def _claim(folder: TrainingFolder, ranks: "Ranks") -> Iterator[None]:
    """Hold the folder for this run; the first rank does for all."""
    folder.path.mkdir(parents=True, exist_ok=True)
    if not ranks.is_main:
        yield
        return
    with artifacts.claim(folder.path / "training"):
        yield


def _load_inputs(
    folder: TrainingFolder, settings: TrainSettings, checkpoint: "Checkpoint", ranks: "Ranks"
) -> Inputs:
    """Read the inputs; the first rank makes the files that the others then find."""
    from ance_plugin.encode.encoder import Encoder

    encoder = Encoder(checkpoint, device="cpu", precision="fp32")
    if not ranks.is_main:
        ranks.barrier()
    inputs = Inputs.load(settings, folder, encoder)
    inputs = with_candidates(settings, folder, inputs, threads=_count_cores())
    if ranks.is_main:
        ranks.barrier()
    return inputs


def _new_refresher(
    folder: TrainingFolder, settings: TrainSettings, inputs: Inputs, device: str | None
) -> Refresher:
    miner = Miner(
        inputs.corpus,
        inputs.qrels,
        settings.negatives,
        seed=settings.optimization.seed,
        teacher=load_teacher(settings, inputs, device=device),
    )
    return Refresher(folder, settings, inputs, miner, device=device)


def _new_schedule(
    folder: TrainingFolder, settings: TrainSettings, inputs: Inputs, ranks: "Ranks"
) -> Schedule:
    refresh, num_steps = settings.refresh, settings.optimization.num_steps
    refresher = _new_refresher(folder, settings, inputs, str(ranks.device))
    within = InProcess(refresher, folder, refresh, ranks, num_steps=num_steps)
    if refresh.mode != "async":
        return within
    supervisor = None
    if refresh.refresher == "own" and ranks.is_main:
        _share_cores(settings, ranks)
        command = [sys.executable, "-m", "ance_plugin.train", "refresh", "--watch"]
        command += [str(folder.path), "--supervised", "--device", str(ranks.device)]
        supervisor = Supervisor(command, folder.heartbeat)
    return Beside(folder, refresh, ranks, supervisor, within, num_steps=num_steps)


def _share_cores(settings: TrainSettings, ranks: "Ranks") -> None:
    """Leave the refresher its share of the cores, where both compute on the CPU."""
    device = settings.refresh.device or ranks.device.type
    if ranks.device.type == "cpu" and device == "cpu":
        _use_threads(max(1, _count_cores() - count_refresh_threads(settings)))


def count_refresh_threads(settings: TrainSettings) -> int:
    """Count the cores of a refresher: all in one process with the trainer, else half."""
    if settings.refresh.threads is not None:
        return settings.refresh.threads
    return _count_cores() if settings.refresh.mode != "async" else max(1, _count_cores() // 2)


def _use_threads(number: int | None) -> None:
    import torch

    if number is not None:
        torch.set_num_threads(number)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0))

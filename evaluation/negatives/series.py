"""Which checkpoints are looked at, in which order: those of training runs, or some by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import CHECKPOINT, SETTINGS, TrainingFolder
from ance_plugin.train.plan import read_settings
from ance_plugin.train.settings import TrainSettings

if TYPE_CHECKING:
    from ance_plugin.encode.checkpoint import Checkpoint

PLAIN = "checkpoints"


@dataclass(frozen=True, slots=True)
class Point:
    """A checkpoint.

    Attributes:
        label: What it is called: ``step 100``, or its name.
        step: Of the training run; None where it is of none.
        load: Loads it, in float32 on the CPU.
    """

    label: str
    step: int | None
    load: "Callable[[], Checkpoint]"


@dataclass(frozen=True, slots=True)
class Series:
    """Checkpoints that follow each other: negatives found by one are trained on by the next.

    Attributes:
        name: Of the training run's folder, or ``checkpoints``.
        points: The checkpoints, oldest first.
        folder: The training run's; None where there is none.
        settings: The training run's, likewise.
    """

    name: str
    points: tuple[Point, ...]
    folder: TrainingFolder | None = None
    settings: TrainSettings | None = None

    @property
    def is_chunked(self) -> bool:
        """Whether documents are encoded in MaxP's chunks."""
        return self.settings is not None and self.settings.start.maxp == "chunks"

    @property
    def temperature(self) -> float | None:
        """What training divides scores by; None where nothing says so."""
        return None if self.settings is None else self.settings.optimization.temperature


def list_series(names: Sequence[str], *, num_checkpoints: int | None = None) -> list[Series]:
    """Find the checkpoints to look at.

    Args:
        names: Folders of training runs, each a series of the checkpoint it started from and those
            that it kept; other checkpoints are one series, in the order given.
        num_checkpoints: At most so many of a training run, spread evenly, first and last included;
            None takes all.

    Returns:
        The series, plain checkpoints last.

    Raises:
        FileNotFoundError: A checkpoint is not there.
        ArtifactError: A training run has no checkpoints, or its settings are damaged.
        ValueError: A name is there twice, or ``num_checkpoints`` is below 1.
    """
    if num_checkpoints is not None and num_checkpoints < 1:
        raise ValueError(f"num_checkpoints must be at least 1, found {num_checkpoints}")
    if len(set(names)) < len(names):
        raise ValueError(f"a checkpoint is named twice: {', '.join(names)}")
    runs = [name for name in names if (Path(name) / SETTINGS).is_file()]
    plain = [name for name in names if name not in runs]
    series = [_list_run(name, num_checkpoints, is_alone=_is_alone(name, runs)) for name in runs]
    if plain:
        for name in plain:
            find_checkpoint(name)
        series.append(Series(PLAIN, tuple(Point(name, None, _loader(name)) for name in plain)))
    return series


def _is_alone(name: str, runs: Sequence[str]) -> bool:
    return [Path(run).resolve().name for run in runs].count(Path(name).resolve().name) == 1


def _list_run(name: str, limit: int | None, *, is_alone: bool) -> Series:
    folder = TrainingFolder(Path(name))
    settings = read_settings(folder)
    steps = folder.steps(CHECKPOINT)
    if not steps:
        raise ArtifactError(f"{name}: the training run has no checkpoint yet; train first")
    points = [Point(f"step {step}", step, _loader(str(folder.checkpoint(step)))) for step in steps]
    if steps[0] > 0:  # the run has dropped it, and it can be made again
        points.insert(0, Point("step 0", 0, _start_loader(settings)))
    title = Path(name).resolve().name if is_alone else name
    return Series(title, _thin(points, limit), folder, settings)


def _thin(points: list[Point], limit: int | None) -> tuple[Point, ...]:
    """Keep the last, the first, and others spread between them."""
    if limit is None or limit >= len(points):
        return tuple(points)
    if limit == 1:
        return (points[-1],)
    last = len(points) - 1
    return tuple(points[round(place * last / (limit - 1))] for place in range(limit))


def _loader(name: str) -> "Callable[[], Checkpoint]":
    def load() -> "Checkpoint":
        from ance_plugin.encode.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(name)
        if checkpoint.tower is not None:
            raise ValueError(
                f"{name} is the tower that encodes a {checkpoint.tower}; give an encoder of "
                "queries and documents"
            )
        return checkpoint

    return load


def _start_loader(settings: TrainSettings) -> "Callable[[], Checkpoint]":
    def load() -> "Checkpoint":
        from ance_plugin.train.start import load_start

        return load_start(settings.start, seed=settings.optimization.seed)

    return load

"""The trainer's state on disk: everything a resumed run needs to continue bit for bit.

Batches, dropout and sampling are functions of the seed and the step, so the state is the weights,
the optimiser's moments, the step and the negatives in use; no random generator is saved.
"""

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import STATE, TrainingFolder

if TYPE_CHECKING:
    import torch
    from torch import nn

_FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        step: The next step.
        refresh: Step of the checkpoint from which the negatives in use were made; None before the
            first refresh.
        round: Number of the next refresh.
    """

    step: int = 0
    refresh: int | None = None
    round: int = 0


def save_state(
    folder: TrainingFolder,
    progress: Progress,
    model: "nn.Module",
    optimizer: "torch.optim.Optimizer",
) -> None:
    """Write the state of a step, and remove that of earlier ones."""
    import torch

    path = folder.state(progress.step)
    with artifacts.new_directory(path, overwrite=True) as staging:
        content = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        try:
            torch.save(content, staging / _FILE)
        except RuntimeError as err:  # PyTorch's for a full disk
            raise OSError(f"{path}: cannot be written; is the disk full? ({err})") from err
        artifacts.seal(staging, STATE, {"progress": asdict(progress)})
    for step in folder.steps(STATE):
        if step != progress.step:
            shutil.rmtree(folder.state(step), ignore_errors=True)


def find_state(folder: TrainingFolder) -> Progress | None:
    """Read how far a run had come; None where no state was saved yet.

    Raises:
        ArtifactError: The newest state is damaged.
    """
    steps = folder.steps(STATE)
    if not steps:
        return None
    metadata = artifacts.open_sealed(folder.state(steps[-1]), STATE)
    try:
        return Progress(**metadata["progress"])
    except (KeyError, TypeError) as err:
        raise ArtifactError(
            f"{folder.state(steps[-1])}: is damaged, it does not say how far the run had come"
        ) from err


def load_state(
    folder: TrainingFolder, step: int, model: "nn.Module", optimizer: "torch.optim.Optimizer"
) -> None:
    """Put a step's weights and moments into a model and its optimiser.

    Raises:
        ArtifactError: The state is damaged, or of another model.
    """
    import torch

    path = folder.state(step)
    artifacts.verify(path, STATE)
    try:
        content: dict[str, Any] = torch.load(path / _FILE, map_location="cpu", weights_only=True)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
    except (RuntimeError, KeyError, ValueError) as err:
        raise ArtifactError(f"{path}: is not a state of this model ({err})") from err

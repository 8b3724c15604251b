"""A cross-encoder's training on disk: the state to go on from, and the model that comes out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.rerank.classifier import Classifier

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

_KIND = "cross-encoder state"
_FILE = "state.pt"


def training_path(output: Path) -> Path:
    """Name the hidden folder in which a training's state grows."""
    return output.with_name(f".{output.name}.training")


def best_path(work: Path) -> Path:
    """Name the folder of the weights that were best on dev topics so far."""
    return work / "best"


def save_model(classifier: Classifier, folder: Path) -> None:
    """Write what ``AutoModelForSequenceClassification`` and ``AutoTokenizer`` load."""
    model: Any = classifier.model
    model.save_pretrained(folder)
    classifier.tokenizer.save_pretrained(folder)


def save_state(
    work: Path, content: Mapping[str, Any], model: "nn.Module", optimizer: "Optimizer"
) -> None:
    """Write weights and moments in place of those of an earlier step.

    Args:
        work: The folder of the training.
        content: ``training``, which a resumed run must equal, and ``progress``.
        model: Whose weights.
        optimizer: Whose moments.
    """
    import torch

    with artifacts.new_directory(work / "state", overwrite=True) as staging:
        weights = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(weights, staging / _FILE)
        artifacts.seal(staging, _KIND, content)


def load_state(
    work: Path, training: Mapping[str, Any], model: "nn.Module", optimizer: "Optimizer"
) -> dict[str, Any] | None:
    """Put the weights and moments of the last state into a model and its optimiser.

    Args:
        work: The folder of the training.
        training: What the state must be of.
        model: Takes the weights.
        optimizer: Takes the moments.

    Returns:
        How far the training had come; None where no state was saved yet.

    Raises:
        ArtifactError: The state is damaged.
        MismatchError: It is of other settings or data.
    """
    import torch

    path = work / "state"
    if not path.is_dir():
        return None
    metadata = artifacts.verify(path, _KIND)
    expected = json.loads(json.dumps(training))
    artifacts.require_equal(expected, metadata.get("training", {}), what=str(path))
    try:
        content = torch.load(path / _FILE, map_location="cpu", weights_only=True)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        progress: dict[str, Any] = metadata["progress"]
    except (RuntimeError, KeyError, ValueError) as err:
        raise ArtifactError(f"{path}: is not a state of this model ({err})") from err
    return progress

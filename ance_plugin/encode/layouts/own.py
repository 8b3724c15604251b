"""Our own layout: safetensors, configuration and tokenizer, sealed with the settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ance_plugin import artifacts
from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts, load_tokenizer
from ance_plugin.encode.model import AnceHead, EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import load_body, load_into, read_config, refuse_unused
from ance_plugin.errors import FormatError

KIND = "checkpoint"


def is_own(folder: CheckpointFolder) -> bool:
    """Say whether the folder is sealed."""
    return folder.has(artifacts.METADATA)


def load_own(folder: CheckpointFolder) -> Parts:
    """Load what ``save_own`` wrote.

    Args:
        folder: The checkpoint's.

    Returns:
        The parts.

    Raises:
        ArtifactError: The folder is damaged, or another artifact.
        FormatError: A weight is missing or has no place.
    """
    metadata = artifacts.open_sealed(folder.path, KIND)
    settings = EncoderSettings(**metadata["settings"])
    weights = folder.weights
    of_body = {
        key.removeprefix("body."): value
        for key, value in weights.items()
        if key.startswith("body.")
    }
    body, used = load_body(read_config(folder.path), of_body, source=folder.path)
    used = {f"body.{key}" for key in used}
    head = None
    if metadata["has_head"]:
        name = "head.embeddingHead.weight"
        if name not in weights or weights[name].dim() != 2:
            raise FormatError(f"{folder.path}: the head's matrix {name} is missing")
        dimension, hidden_size = weights[name].shape
        head = AnceHead(hidden_size, dimension)
        used |= load_into(head, weights, prefix="head.", source=folder.path)
    refuse_unused(weights, used, source=folder.path)
    model = EncoderModel(body, settings.pooling, head=head)
    return Parts(model, load_tokenizer(folder.path), settings, metadata.get("tower"))


def save_own(parts: Parts, staging: Path, content: Mapping[str, Any]) -> None:
    """Write into a new directory, and seal it with the settings and ``content``."""
    from safetensors.torch import save_file

    model = parts.model
    model.body.config.save_pretrained(staging)
    parts.tokenizer.save_pretrained(staging)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, staging / "model.safetensors", metadata={"format": "pt"})
    tower = {} if parts.tower is None else {"tower": parts.tower}
    settings = parts.settings.to_json()
    described = {"settings": settings, "has_head": model.head is not None, **tower, **content}
    artifacts.seal(staging, KIND, described)

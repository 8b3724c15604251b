"""A transformers body alone, which does not say how its token states become a vector."""

from collections.abc import Mapping
from typing import Any

from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts, load_tokenizer
from ance_plugin.encode.model import EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import load_body, read_config, refuse_unused
from ance_plugin.errors import FormatError


def is_plain(folder: CheckpointFolder) -> bool:
    """Say whether there is a configuration."""
    return folder.has("config.json")


def load_plain(folder: CheckpointFolder, settings: Mapping[str, Any]) -> Parts:
    """Load a body; ``settings`` must say how to pool.

    Args:
        folder: The checkpoint's.
        settings: What the caller gave.

    Returns:
        The parts.

    Raises:
        FormatError: They do not, or a weight is missing or has no place.
    """
    if settings.get("pooling") is None:
        raise FormatError(
            f"{folder.path}: does not say how to pool; give --pooling cls or --pooling mean"
        )
    body, used = load_body(read_config(folder.path), folder.weights, source=folder.path)
    refuse_unused(folder.weights, used, source=folder.path)
    pooled = EncoderSettings(pooling=settings["pooling"])
    return Parts(EncoderModel(body, pooled.pooling), load_tokenizer(folder.path), pooled)

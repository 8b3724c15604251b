"""Checkpoints on disk: loaded from any layout of ``layouts/table.py``, saved in ours.

Which layout a folder has is read from its files, never from its name. Nothing is unpickled beyond
``torch.load(weights_only=True)``, no code of the checkpoint's runs, and a weight that is not in the
file is an error.
"""

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ance_plugin import artifacts
from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts, Tower
from ance_plugin.encode.layouts.own import KIND, save_own
from ance_plugin.encode.layouts.table import find_layout
from ance_plugin.encode.model import EncoderModel, count_positions
from ance_plugin.encode.recipes import expand_recipe
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.errors import FormatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["KIND", "Checkpoint", "hash_weights", "load_checkpoint", "save_checkpoint"]

logger = logging.getLogger(__name__)

_PROBES = ("Hello, World", "ÀÉÎ naïve", "id_42 3.14", "日本語", "don't", "https://a.b/c?d=e", "")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An encoder's model, tokenizer and settings, in float32 on the CPU.

    ``overrides`` are the settings that were given in place of the checkpoint's own. ``tower`` is
    ``query`` or ``document`` where the checkpoint is one of two towers, as in DPR, else None.
    """

    name: str
    model: EncoderModel
    tokenizer: "PreTrainedTokenizerBase"
    settings: EncoderSettings
    overrides: dict[str, Any] = field(default_factory=dict)
    tower: Tower | None = None

    def identify(self) -> dict[str, Any]:
        """Give what an index made with this encoder records, and its queries must agree with.

        Two towers have different weights by design, and nothing in their files says that they
        belong together; only the rest can be compared.
        """
        weights = hash_weights(self.model) if self.tower is None else "two towers"
        return {
            "weights_sha256": weights,
            "tokenizer_sha256": _hash_tokenizer(self.tokenizer),
            "dimension": self.model.dimension,
            **self.settings.to_json(),
        }

    def describe_tower(self) -> dict[str, str] | None:
        """Give the side that one of two towers encodes, and its weights; None for a siamese one."""
        if self.tower is None:
            return None
        return {"side": self.tower, "weights_sha256": hash_weights(self.model)}


def load_checkpoint(name: str, **overrides: Any) -> Checkpoint:  # noqa: ANN401 - settings' own types
    """Load an encoder from a folder or hub name.

    Args:
        name: See ``find_checkpoint``.
        **overrides: Fields of ``EncoderSettings`` to use in place of the checkpoint's own, and
            ``recipe``, one of ``RECIPES``, which names several; a plain transformers body needs
            ``pooling``, as it names none.

    Returns:
        The checkpoint, ready for ``Encoder``.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: Its files are of no layout known here, or weights are missing.
        ValueError: A setting is out of range, or longer than the body's positions.
    """
    given = expand_recipe(overrides)
    folder = CheckpointFolder(find_checkpoint(name))
    layout = find_layout(folder)
    parts = layout.load(folder, given)
    logger.debug("encoder %s: laid out as %s", name, layout.name)
    settings = replace(parts.settings, **given)
    _check_lengths(name, parts, settings)
    parts.model.pooling = settings.pooling
    parts.model.is_normalized = settings.is_normalized
    parts.model.eval()
    return Checkpoint(
        name, parts.model, parts.tokenizer, settings, overrides=overrides, tower=parts.tower
    )


def save_checkpoint(checkpoint: Checkpoint, output: Path, *, overwrite: bool = False) -> None:
    """Write a checkpoint in our layout: safetensors, configuration, tokenizer, settings.

    Args:
        checkpoint: What to write.
        output: The folder to make.
        overwrite: Replace what stands there.

    Raises:
        ArtifactError: ``output`` exists and ``overwrite`` is off.
    """
    parts = Parts(checkpoint.model, checkpoint.tokenizer, checkpoint.settings, checkpoint.tower)
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        save_own(parts, staging, {})


def hash_weights(model: nn.Module) -> str:
    """Hash every weight's name, shape and float32 value; the file layout does not matter."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _hash_tokenizer(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Hash what the tokenizer does to a few texts that tell tokenizers apart."""
    ids = [tokenizer(probe)["input_ids"] for probe in _PROBES]
    return hashlib.sha256(json.dumps([len(tokenizer), ids]).encode()).hexdigest()


def _check_lengths(name: str, parts: Parts, settings: EncoderSettings) -> None:
    embeddings = getattr(parts.model.body, "embeddings", None)
    if getattr(embeddings, "padding_idx", 0) is None:  # RoBERTa counts positions from it
        raise FormatError(f"{name}: its config.json has no pad_token_id, which this body needs")
    limit = count_positions(parts.model.body)
    for length in ("max_query_tokens", "max_document_tokens"):
        if getattr(settings, length) > limit:
            raise ValueError(
                f"{length} is {getattr(settings, length)}, but {name} has {limit} positions"
            )

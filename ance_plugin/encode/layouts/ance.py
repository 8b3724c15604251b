"""ANCE checkpoints of Pyserini (``castorini/ance-*``) and of microsoft/ANCE (``checkpoint-N``).

Both are a RoBERTa with ``embeddingHead`` and ``norm``. Microsoft's has besides the classifier of
the class it derives from, which no vector comes from, and its ``config.json``, of transformers 2,
may not name the model.
"""

from typing import TYPE_CHECKING, Any

from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts, load_tokenizer
from ance_plugin.encode.model import AnceHead, EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import (
    load_body,
    load_into,
    read_config,
    refuse_unused,
    show_keys,
)
from ance_plugin.errors import FormatError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

_HEAD = ("embeddingHead.", "norm.")
_ARCHITECTURES = {
    "AnceEncoder",
    "RobertaDot_NLL_LN",
    "RobertaDot_CLF_ANN_NLL_MultiChunk",
}
_SETTINGS = EncoderSettings(pooling="cls", is_lowercased=True)


def is_ance(folder: CheckpointFolder) -> bool:
    """Say whether the configuration names an ANCE class or the weights have ANCE's head."""
    if not folder.has("config.json"):
        return False
    named = not _ARCHITECTURES.isdisjoint(folder.config.get("architectures") or [])
    return named or folder.has_weights(_HEAD[0])


def is_microsoft(folder: CheckpointFolder) -> bool:
    """Say whether an ANCE checkpoint has the classifier that microsoft/ANCE's classes derive."""
    return is_ance(folder) and folder.has_weights("classifier.")


def load_ance(folder: CheckpointFolder) -> Parts:
    """Load body and head; queries of 64 tokens, documents of 512, both lower-cased.

    Args:
        folder: The checkpoint's.

    Returns:
        The parts.

    Raises:
        FormatError: The head is missing or misshapen, or a weight has no place.
    """
    _require_head(folder)
    config = _read_roberta_config(folder)
    body, used = load_body(config, folder.weights, source=folder.path)
    dimension = folder.weights["embeddingHead.weight"].shape[0]
    head = AnceHead(int(config.hidden_size), dimension)
    of_head = {key: value for key, value in folder.weights.items() if key.startswith(_HEAD)}
    used |= load_into(head, of_head, prefix="", source=folder.path)
    refuse_unused(folder.weights, used, source=folder.path)
    settings = folder.exported_settings or _SETTINGS
    model = EncoderModel(body, settings.pooling, head=head)
    return Parts(model, _load_tokenizer(folder), settings)


def _require_head(folder: CheckpointFolder) -> None:
    expected = [f"{part}{kind}" for part in _HEAD for kind in ("weight", "bias")]
    missing = [key for key in expected if key not in folder.weights]
    if missing:
        raise FormatError(
            f"{folder.path}: is an ANCE checkpoint without {', '.join(missing)}; "
            f"it has {show_keys(folder.weights)}"
        )


def _names_model(folder: CheckpointFolder) -> bool:
    return "model_type" in folder.config


def _read_roberta_config(folder: CheckpointFolder) -> "PretrainedConfig":
    from transformers import RobertaConfig

    if _names_model(folder):
        return read_config(folder.path)
    if not folder.has_weights("roberta."):
        raise FormatError(
            f"{folder.path / 'config.json'}: names no model_type, and the weights have no "
            f"roberta.*; they have {show_keys(folder.weights)}"
        )
    config: Any = RobertaConfig.from_dict(folder.config)
    return config  # type: ignore[no-any-return]


def _load_tokenizer(folder: CheckpointFolder) -> "PreTrainedTokenizerBase":
    if _names_model(folder):
        return load_tokenizer(folder.path)
    from transformers import RobertaTokenizer

    if not (folder.has("tokenizer.json") or folder.has("vocab.json")):
        raise FormatError(f"{folder.path}: expected vocab.json and merges.txt in it")
    tokenizer: PreTrainedTokenizerBase = RobertaTokenizer.from_pretrained(folder.path)
    return tokenizer

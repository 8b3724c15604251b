"""Checkpoints of DPR's classes: one of two BERT towers, no head (``castorini/ance-dpr-*``)."""

from typing import Any

from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts, Tower, load_tokenizer
from ance_plugin.encode.model import EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import load_body, refuse_unused, show_keys
from ance_plugin.errors import FormatError

_TOWERS: dict[str, Tower] = {
    "question_encoder.bert_model.": "query",
    "ctx_encoder.bert_model.": "document",
}
# DPR's own 256 for both sides; microsoft/ANCE trains with it and Wikipedia was encoded with it.
_SETTINGS = EncoderSettings(
    pooling="cls", max_query_tokens=256, max_document_tokens=256, is_document_pair=True
)


def is_dpr(folder: CheckpointFolder) -> bool:
    """Say whether the configuration names DPR."""
    return folder.config.get("model_type") == "dpr"


def load_dpr(folder: CheckpointFolder) -> Parts:
    """Load one tower: 256 tokens, the first one's state; title and text are a tokenizer's pair.

    Segments are all of the first kind, as in DPR itself and in Pyserini.

    Args:
        folder: The checkpoint's.

    Returns:
        The parts, with the tower's side.

    Raises:
        FormatError: It is no tower, or has a projection.
    """
    prefix = next((start for start in _TOWERS if folder.has_weights(start)), None)
    if prefix is None:
        raise FormatError(
            f"{folder.path}: expected weights named {' or '.join(f'{p}*' for p in _TOWERS)}; "
            f"it has {show_keys(folder.weights)}"
        )
    of_body = {
        key.removeprefix(prefix): value
        for key, value in folder.weights.items()
        if key.startswith(prefix)
    }
    body, used = load_body(_bert_config(folder), of_body, source=folder.path)
    refuse_unused(folder.weights, {prefix + key for key in used}, source=folder.path)
    settings = folder.exported_settings or _SETTINGS
    model = EncoderModel(body, settings.pooling)
    return Parts(model, _load_tokenizer(folder), settings, _TOWERS[prefix])


def _bert_config(folder: CheckpointFolder) -> Any:  # noqa: ANN401 - transformers types it loosely
    from transformers import BertConfig

    own = {"model_type", "architectures", "projection_dim"}
    content = {name: value for name, value in folder.config.items() if name not in own}
    return BertConfig.from_dict(content)


def _load_tokenizer(folder: CheckpointFolder) -> Any:  # noqa: ANN401 - as above
    """Load the tokenizer; transformers 5 lower-cases for DPR even where it is told not to."""
    tokenizer: Any = load_tokenizer(folder.path)
    if getattr(tokenizer, "do_lower_case", None) is False:
        from tokenizers import normalizers

        tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(
            lowercase=False, strip_accents=False
        )
    return tokenizer

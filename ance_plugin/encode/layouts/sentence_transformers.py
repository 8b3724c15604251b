"""Folders of sentence-transformers: a module each for body, pooling, head and normalisation."""

import json
from pathlib import Path
from typing import Any

from ance_plugin.encode.layouts.folder import (
    CheckpointFolder,
    Parts,
    load_tokenizer,
    read_optional_json,
)
from ance_plugin.encode.model import AnceHead, EncoderModel, count_positions
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import (
    load_body,
    load_into,
    read_config,
    read_weights,
    refuse_unused,
)
from ance_plugin.errors import FormatError

MODULES = "modules.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"
_PROMPT = "default_prompt_name"
_POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
# What would change a Dense module's result, with the value that leaves it Linear alone.
_PLAIN_DENSE = {
    "bias": True,
    "use_residual": False,
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
}


def is_sentence_transformers(folder: CheckpointFolder) -> bool:
    """Say whether the folder lists modules."""
    return folder.has(MODULES)


def load_sentence_transformers(folder: CheckpointFolder) -> Parts:
    """Read the modules a folder lists: body, pooling, head, normalisation.

    Args:
        folder: The checkpoint's.

    Returns:
        The parts.

    Raises:
        FormatError: Modules are of other kinds or in another order, or weights are missing.
    """
    paths = _read_modules(folder.path)
    body_folder = CheckpointFolder(paths["Transformer"])
    body, used = load_body(
        read_config(body_folder.path), body_folder.weights, source=body_folder.path
    )
    refuse_unused(body_folder.weights, used, source=body_folder.path)
    tokenizer = load_tokenizer(body_folder.path)
    settings = body_folder.exported_settings or _read_settings(paths, body, tokenizer)
    head = _load_head(paths["Dense"], paths["LayerNorm"]) if "Dense" in paths else None
    return Parts(EncoderModel(body, settings.pooling, head=head), tokenizer, settings)


def _read_modules(folder: Path) -> dict[str, Path]:
    """Give each module's folder by its kind."""
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        paths = {kind: folder / module["path"] for kind, module in zip(kinds, modules, strict=True)}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise FormatError(f"{folder / MODULES}: is no list of modules ({err!r})") from err
    middle = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or middle not in ([], ["Dense", "LayerNorm"]):
        raise FormatError(
            f"{folder / MODULES}: expected Transformer, Pooling, then optionally Dense and "
            f"LayerNorm, and Normalize; found {', '.join(kinds) or 'none'}"
        )
    prompt = read_optional_json(folder / "config_sentence_transformers.json").get(_PROMPT)
    if prompt:
        raise FormatError(
            f"{folder}: puts the prompt {prompt!r} before texts, which is not supported"
        )
    return paths


def _read_settings(paths: dict[str, Path], body: Any, tokenizer: Any) -> EncoderSettings:  # noqa: ANN401 - transformers'
    transformer = read_optional_json(paths["Transformer"] / TRANSFORMER_CONFIG)
    length = transformer.get("max_seq_length") or min(
        tokenizer.model_max_length, count_positions(body)
    )
    return EncoderSettings(
        pooling=_read_pooling(paths["Pooling"] / "config.json"),
        is_normalized="Normalize" in paths,
        max_query_tokens=transformer.get("query_length") or length,
        max_document_tokens=transformer.get("document_length") or length,
        is_lowercased=bool(transformer.get("do_lower_case", False)),
    )


def _read_pooling(file: Path) -> Any:  # noqa: ANN401 - EncoderSettings checks it
    config = read_optional_json(file)
    if "pooling_mode" in config:  # sentence-transformers 5.3 and later
        return config["pooling_mode"]
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise FormatError(
            f"{file}: expected cls or mean pooling, found {', '.join(chosen) or 'none'}"
        )
    return _POOLINGS[chosen[0]]


def _load_head(dense: Path, layer_norm: Path) -> AnceHead:
    """Make ANCE's head from the Dense and LayerNorm modules."""
    config = read_optional_json(dense / "config.json")
    activation = config.get("activation_function", "Identity")
    if not str(activation).endswith("Identity"):
        raise FormatError(f"{dense}: expected no activation function, found {activation}")
    for name, expected in _PLAIN_DENSE.items():
        if config.get(name, expected) != expected:
            raise FormatError(f"{dense}: expected {name} {expected}, found {config[name]}")
    linear, norm = read_weights(dense), read_weights(layer_norm)
    if "linear.weight" not in linear or linear["linear.weight"].dim() != 2:
        raise FormatError(f"{dense}: expected a matrix linear.weight, found {', '.join(linear)}")
    dimension, hidden_size = linear["linear.weight"].shape
    head = AnceHead(hidden_size, dimension)
    load_into(head.embeddingHead, linear, prefix="linear.", source=dense)
    load_into(head.norm, norm, prefix="norm.", source=layer_norm)
    return head

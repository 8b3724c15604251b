"""Checkpoints on disk: ours, sentence-transformers folders, and plain transformers bodies.

Which layout a folder has is read from its files, never from its name. Nothing is unpickled beyond
``torch.load(weights_only=True)``, no code of the checkpoint's runs, and a weight that is not in the
file is an error.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ance_plugin import artifacts
from ance_plugin.encode.model import AnceHead, EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.encode.weights import load_body, load_into, read_weights
from ance_plugin.errors import FormatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KIND = "checkpoint"
_PROBES = ("Hello, World", "ÀÉÎ naïve", "id_42 3.14", "日本語", "don't", "https://a.b/c?d=e", "")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An encoder's model, tokenizer and settings, in float32 on the CPU.

    ``overrides`` are the settings that were given in place of the checkpoint's own.
    """

    name: str
    model: EncoderModel
    tokenizer: "PreTrainedTokenizerBase"
    settings: EncoderSettings
    overrides: dict[str, Any] = field(default_factory=dict)

    def identify(self) -> dict[str, Any]:
        """Give what an index made with this encoder records, and its queries must agree with."""
        return {
            "weights_sha256": hash_weights(self.model),
            "tokenizer_sha256": _hash_tokenizer(self.tokenizer),
            "dimension": self.model.dimension,
            **self.settings.to_json(),
        }


def load_checkpoint(name: str, **overrides: Any) -> Checkpoint:  # noqa: ANN401 - settings' own types
    """Load an encoder from a folder or hub name.

    Args:
        name: See ``find_checkpoint``.
        **overrides: Fields of ``EncoderSettings`` to use in place of the checkpoint's own; a plain
            transformers body needs ``pooling``, as it names none.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: Its files are of no layout known here, or weights are missing.
        ValueError: A setting is out of range, or longer than the body's positions.
    """
    folder = find_checkpoint(name)
    if (folder / "modules.json").is_file():
        checkpoint = _load_sentence_transformers(name, folder)
    elif (folder / artifacts.METADATA).is_file():
        checkpoint = _load_ours(name, folder)
    elif (folder / "config.json").is_file():
        checkpoint = _load_body_only(name, folder, overrides)
    else:
        raise FormatError(
            f"{folder}: expected modules.json (sentence-transformers), {artifacts.METADATA} "
            "(ance-plugin) or config.json (transformers) in it"
        )
    settings = replace(checkpoint.settings, **overrides)
    _check_lengths(checkpoint, settings)
    checkpoint.model.pooling = settings.pooling
    checkpoint.model.is_normalized = settings.is_normalized
    checkpoint.model.eval()
    return replace(checkpoint, settings=settings, overrides=overrides)


def save_checkpoint(checkpoint: Checkpoint, output: Path, *, overwrite: bool = False) -> None:
    """Write a checkpoint in our layout: safetensors, configuration, tokenizer, settings.

    Raises:
        ArtifactError: ``output`` exists and ``overwrite`` is off.
    """
    from safetensors.torch import save_file

    model = checkpoint.model
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        model.body.config.save_pretrained(staging)
        checkpoint.tokenizer.save_pretrained(staging)
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, staging / "model.safetensors", metadata={"format": "pt"})
        content = {"settings": checkpoint.settings.to_json(), "has_head": model.head is not None}
        artifacts.seal(staging, KIND, content)


def hash_weights(model: nn.Module) -> str:
    """Hash every weight's name, shape and float32 value; the file layout does not matter."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _load_ours(name: str, folder: Path) -> Checkpoint:
    metadata = artifacts.open_sealed(folder, KIND)
    settings = EncoderSettings(**metadata["settings"])
    weights = read_weights(folder)
    body = load_body(folder, {key.removeprefix("body."): value for key, value in weights.items()})
    head = None
    if metadata["has_head"]:
        dimension, hidden_size = weights["head.embeddingHead.weight"].shape
        head = AnceHead(hidden_size, dimension)
        load_into(head, weights, prefix="head.", source=folder)
    model = EncoderModel(body, settings.pooling, head=head)
    return Checkpoint(name, model, _load_tokenizer(folder), settings)


def _load_sentence_transformers(name: str, folder: Path) -> Checkpoint:
    """Read the modules a sentence-transformers folder lists: body, pooling, head, normalisation."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    paths = {kind: folder / module["path"] for kind, module in zip(kinds, modules, strict=True)}
    middle = [kind for kind in kinds[2:] if kind != "Normalize"]
    if kinds[:2] != ["Transformer", "Pooling"] or middle not in ([], ["Dense", "LayerNorm"]):
        raise FormatError(
            f"{folder / 'modules.json'}: expected Transformer, Pooling, then optionally Dense and "
            f"LayerNorm, and Normalize; found {', '.join(kinds)}"
        )
    body_folder = paths["Transformer"]
    transformer = _read_optional_json(body_folder / "sentence_bert_config.json")
    body = load_body(body_folder, read_weights(body_folder))
    tokenizer = _load_tokenizer(body_folder)
    length = transformer.get("max_seq_length") or min(
        tokenizer.model_max_length, _max_positions(body.config)
    )
    settings = EncoderSettings(
        pooling=_read_pooling(paths["Pooling"] / "config.json"),
        is_normalized="Normalize" in kinds,
        max_query_tokens=length,
        max_document_tokens=length,
        is_lowercased=bool(transformer.get("do_lower_case", False)),
    )
    head = _load_dense_head(paths["Dense"], paths["LayerNorm"]) if middle else None
    return Checkpoint(name, EncoderModel(body, settings.pooling, head=head), tokenizer, settings)


def _load_dense_head(dense: Path, layer_norm: Path) -> AnceHead:
    """Make ANCE's head from sentence-transformers' Dense and LayerNorm modules."""
    activation = _read_optional_json(dense / "config.json").get("activation_function", "Identity")
    if not str(activation).endswith("Identity"):
        raise FormatError(f"{dense}: expected no activation function, found {activation}")
    linear = read_weights(dense)
    dimension, hidden_size = linear["linear.weight"].shape
    head = AnceHead(hidden_size, dimension)
    load_into(head.embeddingHead, linear, prefix="linear.", source=dense)
    load_into(head.norm, read_weights(layer_norm), prefix="norm.", source=layer_norm)
    return head


def _load_body_only(name: str, folder: Path, overrides: dict[str, Any]) -> Checkpoint:
    if overrides.get("pooling") is None:
        raise FormatError(
            f"{folder}: does not say how to pool; give --pooling cls or --pooling mean"
        )
    settings = EncoderSettings(pooling=overrides["pooling"])
    body = load_body(folder, read_weights(folder))
    return Checkpoint(name, EncoderModel(body, settings.pooling), _load_tokenizer(folder), settings)


def _read_pooling(file: Path) -> Any:  # noqa: ANN401 - EncoderSettings checks it
    config = _read_optional_json(file)
    if "pooling_mode" in config:  # sentence-transformers 5.3 and later
        return config["pooling_mode"]
    modes = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(chosen) != 1 or chosen[0] not in modes:
        raise FormatError(
            f"{file}: expected cls or mean pooling, found {', '.join(chosen) or 'none'}"
        )
    return modes[chosen[0]]


def _read_optional_json(file: Path) -> dict[str, Any]:
    return artifacts.read_json(file) if file.is_file() else {}


def _load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, use_fast=True, trust_remote_code=False, local_files_only=True
    )
    return tokenizer


def _hash_tokenizer(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Hash what the tokenizer does to a few texts that tell tokenizers apart."""
    ids = [tokenizer(probe)["input_ids"] for probe in _PROBES]
    return hashlib.sha256(json.dumps([len(tokenizer), ids]).encode()).hexdigest()


def _check_lengths(checkpoint: Checkpoint, settings: EncoderSettings) -> None:
    limit = _max_positions(checkpoint.model.body.config)
    for name in ("max_query_tokens", "max_document_tokens"):
        if getattr(settings, name) > limit:
            raise ValueError(
                f"{name} is {getattr(settings, name)}, but {checkpoint.name} has {limit} positions"
            )


def _max_positions(config: Any) -> int:  # noqa: ANN401 - each body has its own configuration class
    """Count the tokens a body has positions for; RoBERTa's start after the padding index."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    is_roberta = config.model_type in {"roberta", "xlm-roberta", "camembert"}
    return positions - config.pad_token_id - 1 if is_roberta else positions

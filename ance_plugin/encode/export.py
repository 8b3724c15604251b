"""Write a checkpoint in the layouts that Pyserini and sentence-transformers load."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ance_plugin import artifacts
from ance_plugin.encode.checkpoint import Checkpoint, save_checkpoint
from ance_plugin.encode.layouts.folder import SETTINGS_KEY
from ance_plugin.encode.layouts.sentence_transformers import MODULES, TRANSFORMER_CONFIG
from ance_plugin.encode.model import AnceHead

# Written into AnceEncoder's class, with no way to configure it.
_PYSERINI_DIMENSION = 768
_ALTERNATIVE = "export it --to sentence-transformers, or --to ance and search it with ance-plugin"


def export_checkpoint(
    checkpoint: Checkpoint, layout: str, output: Path, *, overwrite: bool = False
) -> None:
    """Write a checkpoint so that others load it; the folder stands whole or not at all.

    What the other layout cannot say of the settings is written into ``config.json`` beside what it
    can, so that the export loads here with the very same identity.

    Args:
        checkpoint: What to write.
        layout: One of ``LAYOUTS``.
        output: The folder to make.
        overwrite: Replace what stands there.

    Raises:
        ArtifactError: ``output`` exists and ``overwrite`` is off.
        ValueError: The layout is unknown, or has no place for this encoder.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"an export is to one of {', '.join(LAYOUTS)}, found {layout!r}")
    LAYOUTS[layout](checkpoint, output, overwrite)


def _to_ance(checkpoint: Checkpoint, output: Path, overwrite: bool) -> None:  # noqa: FBT001 - a table's row
    save_checkpoint(checkpoint, output, overwrite=overwrite)


def _to_pyserini(checkpoint: Checkpoint, output: Path, overwrite: bool) -> None:  # noqa: FBT001
    """Write what ``pyserini.encode``'s AnceEncoder loads: it reads ``pytorch_model.bin`` alone."""
    head = _require_pyserini(checkpoint)
    weights = _prefix("roberta.", checkpoint.model.body) | _prefix("", head)
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        torch.save(weights, staging / "pytorch_model.bin")
        _save_config(checkpoint, staging, {"architectures": ["AnceEncoder"]})
        _save_tokenizer(checkpoint, staging)


def _require_pyserini(checkpoint: Checkpoint) -> AnceHead:
    """Refuse what Pyserini's class, a RoBERTa with a head of 768, would load wrongly or not."""
    model, settings = checkpoint.model, checkpoint.settings
    head = model.head
    width = model.dimension
    problems = {
        f"a {model.body.config.model_type} body": model.body.config.model_type != "roberta",
        "no ANCE head": head is None,
        f"{width} dimensions, not {_PYSERINI_DIMENSION}": width != _PYSERINI_DIMENSION,
        f"{settings.pooling} pooling": settings.pooling != "cls",
        "normalised vectors": settings.is_normalized,
    }
    found = [problem for problem, is_found in problems.items() if is_found]
    if found or head is None:
        raise ValueError(
            f"{checkpoint.name}: Pyserini's AnceEncoder is a RoBERTa, its first token and a head "
            f"of {_PYSERINI_DIMENSION}; this encoder has {' and '.join(found)}; {_ALTERNATIVE}"
        )
    return head


def _to_sentence_transformers(checkpoint: Checkpoint, output: Path, overwrite: bool) -> None:  # noqa: FBT001
    """Write the modules that ``SentenceTransformer`` loads, in the order it applies them."""
    model, settings = checkpoint.model, checkpoint.settings
    if checkpoint.tower == "document":
        raise ValueError(
            f"{checkpoint.name}: sentence-transformers has no module for pairs of title and text, "
            "as this context encoder takes them; export it --to ance"
        )
    from safetensors.torch import save_file

    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        _save_config(checkpoint, staging, {})
        _save_tokenizer(checkpoint, staging)
        save_file(_prefix("", model.body), staging / "model.safetensors", {"format": "pt"})
        length = {
            "max_seq_length": settings.max_document_tokens,
            "do_lower_case": settings.is_lowercased,
        }
        artifacts.write_json(staging / TRANSFORMER_CONFIG, length)
        kinds = ["Transformer", "Pooling"]
        hidden_size = int(model.body.config.hidden_size)
        _save_module(staging, kinds, 1, _describe_pooling(settings.pooling, hidden_size))
        if model.head is not None:
            kinds += ["Dense", "LayerNorm"]
            dense = _describe_dense(model.head.embeddingHead)
            _save_module(staging, kinds, 2, dense, _prefix("linear.", model.head.embeddingHead))
            norm = {"dimension": model.dimension}
            _save_module(staging, kinds, 3, norm, _prefix("norm.", model.head.norm))
        if settings.is_normalized:
            kinds.append("Normalize")
            _save_module(staging, kinds, len(kinds) - 1, {})
        _list_modules(staging, kinds)


def _describe_pooling(pooling: str, hidden_size: int) -> dict[str, Any]:
    return {
        "word_embedding_dimension": hidden_size,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }


def _describe_dense(linear: nn.Linear) -> dict[str, Any]:
    return {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }


def _module_path(place: int, kind: str) -> str:
    return "" if place == 0 else f"{place}_{kind}"


def _save_module(
    staging: Path,
    kinds: list[str],
    place: int,
    config: Mapping[str, Any],
    weights: dict[str, Tensor] | None = None,
) -> None:
    from safetensors.torch import save_file

    folder = staging / _module_path(place, kinds[place])
    folder.mkdir()
    artifacts.write_json(folder / "config.json", config)
    if weights is not None:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _list_modules(staging: Path, kinds: list[str]) -> None:
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": _module_path(place, kind),
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    text = json.dumps(modules, indent=2) + "\n"
    (staging / MODULES).write_text(text, encoding="utf-8")


def _save_config(checkpoint: Checkpoint, staging: Path, extra: Mapping[str, Any]) -> None:
    checkpoint.model.body.config.save_pretrained(staging)
    file = staging / "config.json"
    settings = {SETTINGS_KEY: checkpoint.settings.to_json()}
    artifacts.write_json(file, {**artifacts.read_json(file), **extra, **settings})


def _save_tokenizer(checkpoint: Checkpoint, staging: Path) -> None:
    """Save the tokenizer; Pyserini's class reads the vocabulary files older versions wrote."""
    checkpoint.tokenizer.save_pretrained(staging)


def _prefix(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + key: value.contiguous() for key, value in module.state_dict().items()}


LAYOUTS: dict[str, Callable[[Checkpoint, Path, bool], None]] = {
    "pyserini": _to_pyserini,
    "sentence-transformers": _to_sentence_transformers,
    "ance": _to_ance,
}

"""Weights from files into modules: safetensors first, no pickled code, nothing left at random."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ance_plugin.errors import FormatError, first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_SAFE = "model.safetensors"
_SAFE_INDEX = "model.safetensors.index.json"
_PICKLED = "pytorch_model.bin"
_LFS = b"version https://git-lfs"
_UNSAFE = "damaged, or holding more than tensors, which could run code; ask for model.safetensors"
_KEYS_SHOWN = 8
# What readers of damaged files raise; a pickle's may be almost anything.
_DAMAGED = (
    UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError,
    AttributeError,
)  # fmt: skip

# No vector comes from these: buffers, poolers, and the heads of other tasks.
UNUSED_EVERYWHERE = re.compile(
    r"(^|\.)(position_ids|token_type_ids|inv_freq|pooler\..+)$"
    r"|^(cls|lm_head|mlm_head|classifier|predictions|qa_outputs|pre_classifier)\."
    r"|^(vocab_transform|vocab_layer_norm|vocab_projector|sop_classifier)\."
    r"|^(discriminator_predictions|generator_predictions|generator_lm_head)\."
)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read a folder's weights from safetensors, else from ``pytorch_model.bin`` as plain tensors.

    Args:
        folder: Where the files lie.

    Returns:
        Tensors by key, on the CPU.

    Raises:
        FormatError: There are none, they are damaged, or the file would run code when loaded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        _refuse_pointer(folder / _SAFE)
        if (folder / _SAFE).is_file():
            return load_file(folder / _SAFE)
        if (folder / _SAFE_INDEX).is_file():
            index = json.loads((folder / _SAFE_INDEX).read_text(encoding="utf-8"))
            names = sorted({Path(name).name for name in index["weight_map"].values()})
            return {k: v for name in names for k, v in load_file(folder / name).items()}
        _refuse_pointer(folder / _PICKLED)
        if (folder / _PICKLED).is_file():
            return _read_pickled(folder / _PICKLED)
    except FormatError:
        raise
    except (SafetensorError, *_DAMAGED) as err:
        # PyTorch's own words for an unsafe file advise to load it unsafely.
        reason = _UNSAFE if isinstance(err, UnpicklingError) else first_line(err)
        raise FormatError(f"{folder}: its weights cannot be read safely ({reason})") from err
    raise FormatError(f"{folder}: expected {_SAFE} or {_PICKLED} in it")


def _refuse_pointer(file: Path) -> None:
    if file.is_file():
        with file.open("rb") as content:
            if content.read(len(_LFS)) == _LFS:
                raise ValueError(f"{file.name} is Git LFS's pointer to them; run git lfs pull")


def _read_pickled(file: Path) -> dict[str, Tensor]:
    content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise FormatError(f"{file}: expected names with tensors, found {_describe_kind(content)}")
    return dict(content)


def _describe_kind(content: object) -> str:
    if isinstance(content, dict):
        return f"a dictionary with {', '.join(map(str, list(content)[:_KEYS_SHOWN]))}"
    return f"a {type(content).__name__}"


def read_config(folder: Path) -> "PretrainedConfig":
    """Read a transformers configuration; code that a checkpoint brings is not run.

    Args:
        folder: Where ``config.json`` lies.

    Returns:
        The configuration.

    Raises:
        FormatError: transformers does not know such a model.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (StrictDataclassError, ValueError, KeyError, OSError) as err:
        reason = " ".join(str(err).split())  # of a value of the wrong type the second line says it
        raise FormatError(f"{folder}: transformers cannot make this model ({reason})") from err
    return config


def load_body(
    config: "PretrainedConfig", weights: Mapping[str, Tensor], *, source: Path
) -> tuple["PreTrainedModel", set[str]]:
    """Make the transformer that a configuration describes and give it its weights, in float32.

    Weights may carry their architecture's prefix (``bert.``, ``roberta.``); a pooler is not made,
    as no vector here comes from one.

    Args:
        config: What to make.
        weights: Tensors by key.
        source: The folder that errors name.

    Returns:
        The body, and the keys of the weights that went into it.

    Raises:
        FormatError: The body needs code of the checkpoint's own, or a weight is missing.
    """
    from transformers import AutoModel

    try:
        body: Any = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, OSError) as err:
        reason = first_line(err)
        raise FormatError(f"{source}: transformers cannot make this model ({reason})") from err
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    prefix = f"{body.base_model_prefix}."
    has_prefix = any(name.startswith(prefix) for name in weights)
    used = load_into(body, weights, prefix=prefix if has_prefix else "", source=source)
    loaded: PreTrainedModel = body.float()
    return loaded, used


def load_into(
    module: nn.Module, weights: Mapping[str, Tensor], *, prefix: str, source: Path
) -> set[str]:
    """Copy the weights whose names start with ``prefix`` into a module; others are left alone.

    Args:
        module: What takes them.
        weights: Tensors by key.
        prefix: What the keys start with, or nothing.
        source: The folder that errors name.

    Returns:
        The keys that were used.

    Raises:
        FormatError: A weight of the module's is missing or has another shape.
    """
    expected = module.state_dict()
    # Checkpoints of TensorFlow's time call LayerNorm's weights gamma and beta.
    keys = {
        key.removeprefix(prefix).replace(".gamma", ".weight").replace(".beta", ".bias"): key
        for key in weights
        if key.startswith(prefix)
    }
    missing = sorted(expected.keys() - keys.keys())
    if missing:
        raise FormatError(
            f"{source}: {len(missing)} weights are missing: "
            f"{show_keys(prefix + name for name in missing)}; it has {show_keys(weights)}"
        )
    for name, tensor in expected.items():
        found = tuple(weights[keys[name]].shape)
        if found != tuple(tensor.shape):
            raise FormatError(
                f"{source}: {keys[name]} has shape {found}, expected {tuple(tensor.shape)}"
            )
    module.load_state_dict(
        {name: weights[keys[name]].to(tensor.dtype) for name, tensor in expected.items()}
    )
    return {keys[name] for name in expected}


def refuse_unused(weights: Iterable[str], used: Iterable[str], *, source: Path) -> None:
    """Raise FormatError where keys are left over that could belong to the encoder."""
    used = set(used)
    left = [key for key in weights if key not in used and not UNUSED_EVERYWHERE.search(key)]
    if left:
        raise FormatError(
            f"{source}: {len(left)} weights have no place in this kind of encoder: "
            f"{show_keys(left)}"
        )


def show_keys(keys: Iterable[str]) -> str:
    """Name keys of a state dict, the first few where they are many."""
    names = sorted(keys)
    return ", ".join(names[:_KEYS_SHOWN]) + (", ..." if len(names) > _KEYS_SHOWN else "") or "none"

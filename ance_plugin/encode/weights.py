"""Weights from files into modules: safetensors first, no pickled code, nothing left at random."""

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ance_plugin.errors import FormatError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAFE = "model.safetensors"
_SAFE_INDEX = "model.safetensors.index.json"
_PICKLED = "pytorch_model.bin"


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read a folder's weights from safetensors, else from ``pytorch_model.bin`` as plain tensors.

    Raises:
        FormatError: There are none, they are damaged, or the file would run code when loaded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if (folder / _SAFE).is_file():
            return load_file(folder / _SAFE)
        if (folder / _SAFE_INDEX).is_file():
            index = json.loads((folder / _SAFE_INDEX).read_text(encoding="utf-8"))
            names = sorted({Path(name).name for name in index["weight_map"].values()})
            return {k: v for name in names for k, v in load_file(folder / name).items()}
        if (folder / _PICKLED).is_file():
            weights: dict[str, Tensor] = torch.load(
                folder / _PICKLED, map_location="cpu", weights_only=True
            )
            return weights
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as err:
        reason = str(err).splitlines()[0]
        raise FormatError(f"{folder}: its weights cannot be read safely ({reason})") from err
    raise FormatError(f"{folder}: expected {_SAFE} or {_PICKLED} in it")


def load_body(folder: Path, weights: Mapping[str, Tensor]) -> "PreTrainedModel":
    """Make the transformer that ``config.json`` describes and give it its weights, in float32.

    Weights may carry their architecture's prefix (``bert.``, ``roberta.``); a pooler is not made,
    as no vector here comes from one.

    Raises:
        FormatError: The body needs code of the checkpoint's own, or a weight is missing.
    """
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        body: Any = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, OSError) as err:
        reason = str(err).strip().splitlines()[0]
        raise FormatError(f"{folder}: transformers cannot make this model ({reason})") from err
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    prefix = f"{body.base_model_prefix}."
    has_prefix = any(name.startswith(prefix) for name in weights)
    load_into(body, weights, prefix=prefix if has_prefix else "", source=folder)
    loaded: PreTrainedModel = body.float()
    return loaded


def load_into(
    module: nn.Module, weights: Mapping[str, Tensor], *, prefix: str, source: Path
) -> None:
    """Copy the weights whose names start with ``prefix`` into a module; others are left alone.

    Raises:
        FormatError: A weight of the module's is missing or has another shape.
    """
    expected = module.state_dict()
    # Checkpoints of TensorFlow's time call LayerNorm's weights gamma and beta.
    given = {
        name.removeprefix(prefix).replace(".gamma", ".weight").replace(".beta", ".bias"): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    missing = sorted(expected.keys() - given.keys())
    if missing:
        raise FormatError(
            f"{source}: {len(missing)} weights are missing, such as {prefix}{missing[0]}; "
            f"it has {', '.join(sorted(weights)[:3])}, ..."
        )
    for name, tensor in expected.items():
        if given[name].shape != tensor.shape:
            raise FormatError(
                f"{source}: {prefix}{name} has shape {tuple(given[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
    module.load_state_dict(
        {name: given[name].to(tensor.dtype) for name, tensor in expected.items()}
    )

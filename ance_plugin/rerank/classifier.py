"""Sequence classifiers from a checkpoint's files: nothing at random, no code of the checkpoint's.

Loaded like encoders (``encode/weights.py``): safetensors first, else plain tensors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ance_plugin.encode.layouts.folder import CheckpointFolder, load_tokenizer
from ance_plugin.encode.model import count_positions
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.encode.weights import load_into, read_config, refuse_unused, show_keys
from ance_plugin.errors import FormatError, first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_MAX_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Classifier:
    """A sequence classifier of one or two classes with its tokenizer, in float32 on the CPU."""

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def load_classifier(name: str) -> Classifier:
    """Load a sequence classifier by folder or hub name.

    Args:
        name: See ``find_checkpoint``; a checkpoint of ``AutoModelForSequenceClassification``.

    Returns:
        Model and tokenizer.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: Weights are missing (the classifier's of a plain body, say), damaged, or have
            no place.
        ValueError: It tells more than two classes apart.
    """
    folder = CheckpointFolder(find_checkpoint(name))
    config = read_config(folder.path)
    model = make_classifier(config, folder)
    head = head_keys(model)
    if not head & folder.weights.keys():
        raise FormatError(
            f"{folder.path}: has no classifier ({show_keys(head)}), so it cannot rerank; train one "
            "with python -m ance_plugin.train cross-encoder"
        )
    if config.num_labels not in (1, 2):
        raise ValueError(
            f"{folder.path}: tells {config.num_labels} classes apart; a reranker has one output "
            "(the score) or two (not relevant, relevant)"
        )
    used = load_into(model, folder.weights, prefix="", source=folder.path)
    refuse_unused(folder.weights, used, source=folder.path)
    return Classifier(name, model, load_tokenizer(folder.path))


def start_classifier(name: str, *, seed: int) -> Classifier:
    """Load a classifier of one output to train on, or put a new one on a body.

    The body may be any transformers checkpoint, or an encoder in our layout, whose head of its own
    is left behind; a pooler that it lacks is new, too.

    Args:
        name: See ``find_checkpoint``.
        seed: Of what is new.

    Returns:
        Model and tokenizer.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: transformers has no classifier of this kind, or weights are missing.
        ValueError: It is a classifier of several classes.
    """
    folder = CheckpointFolder(find_checkpoint(name))
    config = read_config(folder.path)
    model = make_classifier(config, folder)
    if head_keys(model) & folder.weights.keys():
        if config.num_labels != 1:
            raise ValueError(
                f"{name}: is a classifier of {config.num_labels} classes; start from one of a "
                "single output, or from a body"
            )
        return load_classifier(name)
    config.num_labels = 1
    model = make_classifier(config, folder, seed=seed)
    body = model.base_model
    prefixes = (f"{model.base_model_prefix}.", "body.")
    prefix = next((prefix for prefix in prefixes if folder.has_weights(prefix)), "")
    new = {
        f"{prefix}{key}": value
        for key, value in body.state_dict().items()
        if key.startswith("pooler.")
    }
    load_into(body, {**new, **folder.weights}, prefix=prefix, source=folder.path)
    return Classifier(name, model, load_tokenizer(folder.path))


def make_classifier(
    config: "PretrainedConfig", folder: CheckpointFolder, *, seed: int = 0
) -> "PreTrainedModel":
    """Make the classifier that a configuration describes, with random weights.

    PyTorch's generator is left as it was.

    Args:
        config: What to make.
        folder: What errors name.
        seed: Of the weights.

    Raises:
        FormatError: transformers has no classifier of this kind.
    """
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                config, dtype=torch.float32, trust_remote_code=False
            )
    except (ValueError, KeyError, OSError) as err:
        reason = first_line(err)
        raise FormatError(
            f"{folder.path}: transformers cannot make a classifier of it ({reason})"
        ) from err
    return model


def head_keys(model: "PreTrainedModel") -> set[str]:
    """Name the weights that the classifier has beside its body."""
    return {key for key in model.state_dict() if not key.startswith(f"{model.base_model_prefix}.")}


def to_compute_type(model: "PreTrainedModel", dtype: torch.dtype) -> "PreTrainedModel":
    """Hold the body's weights in ``dtype``; what stands on it stays, and computes, in float32.

    A logit in bf16 has eight bits, so that many documents of a topic would have equal scores.

    Args:
        model: Changed in place.
        dtype: The body's.
    """
    if dtype == torch.float32:
        return model
    body = model.base_model
    nn.Module.to(body, dtype=dtype)
    for child in model.children():
        if child is not body:
            child.register_forward_pre_hook(_as_float32)
    return model


def autocast_body(model: "PreTrainedModel", device: torch.device, dtype: torch.dtype) -> None:
    """Let the body compute in ``dtype`` with weights in float32; what stands on it is float32.

    Args:
        model: Changed in place; its weights and how it is saved are not.
        device: Where it is.
        dtype: What the body computes in.
    """
    if dtype == torch.float32:
        return
    body: nn.Module = model.base_model
    body.forward = torch.autocast(device.type, dtype=dtype)(body.forward)
    for child in model.children():
        if child is not body:
            child.register_forward_pre_hook(_as_float32)


def _as_float32(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.float() if isinstance(value, Tensor) else value for value in arguments)


def choose_length(classifier: Classifier, max_length: int | None) -> int:
    """Choose how many tokens a pair has at most.

    Args:
        classifier: The model, with its positions, and the tokenizer, which may state a length.
        max_length: What is asked for; None takes what the tokenizer states, at most 512.

    Raises:
        ValueError: The model has fewer positions.
    """
    body: Any = classifier.model.base_model
    limit = count_positions(body)
    if max_length is None:
        return min(limit, int(min(classifier.tokenizer.model_max_length, _MAX_LENGTH)))
    if max_length > limit:
        raise ValueError(f"max_length is {max_length}, but {classifier.name} has {limit} positions")
    return max_length

"""The flags of ``python -m ance_plugin.train``: each is a field of ``train.settings``."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ance_plugin.cli.flags import natural_int, positive_int
from ance_plugin.cli.run import UsageError

_IN_BATCH = "in-batch"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that sets a field.

    Attributes:
        name: As typed, without dashes.
        field: Of the group.
        help: Without the default, which is added.
        kind: What turns the text into a value, the choices there are, or None for on and off.
    """

    name: str
    field: str
    help: str
    kind: Any = str


_MODES = ("sync", "async", "static")
FLAGS: dict[str, tuple[Flag, ...]] = {
    "optimization": (
        Flag("num-steps", "num_steps", "optimiser steps in all", positive_int),
        Flag("batch-size", "batch_size", "topics a batch, over all ranks", positive_int),
        Flag("accumulate", "accumulate", "batches averaged into one step", positive_int),
        Flag(
            "negatives-per-topic",
            "negatives_per_topic",
            "own negatives of each topic in a batch; 0 leaves in-batch ones alone",
            natural_int,
        ),
        Flag(
            "loss",
            "loss",
            "pairwise-nll is the paper's; margin-mse and kl learn from --teacher",
            ("softmax", "pairwise-nll", "margin-mse", "kl"),
        ),
        Flag(
            "temperature",
            "temperature",
            "scores are divided by it (default: 1, or 0.05 where vectors have length one)",
            float,
        ),
        Flag("optimizer", "optimizer", "lamb is the paper's", ("adamw", "lamb")),
        Flag("learning-rate", "learning_rate", "at its highest", float),
        Flag("lr-warmup-steps", "lr_warmup_steps", "steps in which the rate rises", natural_int),
        Flag("schedule", "schedule", "of the rate", ("linear", "cosine", "constant")),
        Flag("weight-decay", "weight_decay", "of matrices", float),
        Flag("max-grad-norm", "max_grad_norm", "of gradients; 0 sets no bound", float),
        Flag(
            "precision",
            "precision",
            "of the body (default: bf16 where the device has instructions for it, else fp32)",
            ("bf16", "fp32"),
        ),
        Flag("grad-cache", "grad_cache", "encode each batch twice, to save memory", None),
        Flag(
            "chunk-tokens",
            "chunk_tokens",
            "tokens through the encoder at once (default: 1024 on a CPU, else 16384)",
            positive_int,
        ),
        Flag(
            "gradient-checkpointing",
            "gradient_checkpointing",
            "compute activations again, to save memory",
            None,
        ),
        Flag(
            "save-steps",
            "save_steps",
            "steps between two states for --resume (default: one a refresh)",
            positive_int,
        ),
        Flag("seed", "seed", "of batches, dropout and negatives", natural_int),
    ),
    "negatives": (
        Flag("num-negatives", "num_negatives", "negatives a topic", positive_int),
        Flag("depth", "depth", "candidates a topic, from the top", positive_int),
        Flag("sampler", "sampler", "which candidates to take", ("uniform", "top", "simans")),
        Flag(
            "margin",
            "margin",
            "leave out candidates not below the score of the positive that is shown, by this share "
            "(default: none is left out)",
            float,
        ),
        Flag(
            "teacher-threshold",
            "teacher_threshold",
            "leave out candidates to which --teacher gives a higher probability "
            "(default: none is left out)",
            float,
        ),
    ),
    "refresh": (
        Flag("refresh", "mode", "async refreshes in a process beside, static once", _MODES),
        Flag("refresh-steps", "refresh_steps", "steps between two checkpoints", positive_int),
        Flag("refresh-share", "refresh_share", "share of the topics a refresh renews", float),
        Flag(
            "max-staleness",
            "max_staleness",
            "steps by which negatives may lag behind in async (default: no bound)",
            positive_int,
        ),
        Flag("when-stale", "when_stale", "what to do about older ones", ("block", "warn")),
        Flag(
            "refresher",
            "refresher",
            "external expects `train refresh --watch` elsewhere",
            ("own", "external"),
        ),
        Flag("refresh-device", "device", "where the refresher computes (default: --device)"),
        Flag(
            "refresh-threads",
            "threads",
            "cores of the refresher (default: half of them in async)",
            positive_int,
        ),
        Flag(
            "refresh-precision",
            "precision",
            "of encoding (default: bf16 where the device has instructions for it, else fp32)",
            ("bf16", "fp32", "fp16"),
        ),
        Flag("dev-measure", "dev_measure", "what checkpoints are compared by"),
        Flag("dev-depth", "dev_depth", "hits a dev topic", positive_int),
        Flag(
            "patience",
            "patience",
            "refreshes without a better dev measure after which training ends (default: never)",
            positive_int,
        ),
        Flag(
            "keep-checkpoints", "keep_checkpoints", "newest ones kept beside the best", positive_int
        ),
    ),
}


def add_settings(
    parser: argparse.ArgumentParser,
    kinds: Mapping[str, type],
    *,
    renamed: Mapping[str, str],
    left_out: frozenset[str] = frozenset(),
) -> None:
    """Add the flags of all groups; what is not given is None, and left to recipe and default.

    Args:
        parser: Where to.
        kinds: The group's dataclasses, for their defaults.
        renamed: Other names of flags, for this command.
        left_out: Flags that this command does not have.
    """
    for group, flags in FLAGS.items():
        added = parser.add_argument_group(group)
        defaults = {item.name: item.default for item in fields(kinds[group])}
        for flag in flags:
            if flag.name not in left_out:
                _add(added, flag, renamed.get(flag.name, flag.name), defaults[flag.field])


def read_settings(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Collect what was given: group -> field -> value."""
    found: dict[str, dict[str, Any]] = {group: {} for group in FLAGS}
    for group, flags in FLAGS.items():
        for flag in flags:
            value = getattr(args, _dest(group, flag), None)
            if value is not None:
                found[group][flag.field] = value
    if args.mix:
        shares = read_mix(args.mix)
        in_batch = shares.pop(_IN_BATCH, None)
        if in_batch is not None:
            found["optimization"]["in_batch_weight"] = in_batch
        if shares:
            found["negatives"]["mix"] = shares
    if found["optimization"].get("negatives_per_topic") == 0:
        found["negatives"].setdefault("mix", {"random": 1.0})  # the one that needs nothing mined
    return found


def read_mix(words: list[str]) -> dict[str, float]:
    """Parse ``ann=1 bm25=0.5 in-batch=1``.

    Raises:
        UsageError: A word is no such pair, or a source is named twice.
    """
    shares: dict[str, float] = {}
    for word in words:
        source, equals, text = word.partition("=")
        try:
            share = float(text) if equals else 1.0
        except ValueError:
            share = -1.0
        if not source or not 0 <= share < math.inf or source in shares:
            raise UsageError(f"--mix: expected source=share, as ann=1 bm25=0.5, found {word!r}")
        shares[source] = share
    return shares


def _add(group: Any, flag: Flag, name: str, default: object) -> None:  # noqa: ANN401 - argparse's
    text = flag.help
    if default is not MISSING and default is not None and flag.kind is not None:
        text = f"{text} (default: {default})"
    options: dict[str, Any] = {"help": text.replace("%", "%%"), "dest": None}
    if flag.kind is None:
        options["action"] = argparse.BooleanOptionalAction
    elif isinstance(flag.kind, tuple):
        options["choices"] = flag.kind
    else:
        options |= {"type": flag.kind, "metavar": "N" if flag.kind is not str else "X"}
    group_name = next(title for title, flags in FLAGS.items() if flag in flags)
    options["dest"] = _dest(group_name, flag)
    group.add_argument(f"--{name}", default=None, **options)


def _dest(group: str, flag: Flag) -> str:
    return f"{group}_{flag.field}"

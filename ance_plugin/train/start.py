"""The encoder that training starts from, with a new ANCE head where one is asked for."""

from typing import TYPE_CHECKING

from ance_plugin.train.settings import Start

if TYPE_CHECKING:
    from ance_plugin.encode.checkpoint import Checkpoint

_HEAD_STD = 0.02


def load_start(start: Start, *, seed: int) -> "Checkpoint":
    """Load the checkpoint to start from.

    Args:
        start: Which, and what to change about it.
        seed: Of a new head's weights.

    Returns:
        The checkpoint, in float32 on the CPU.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: It is of no layout known here.
        ValueError: A setting is out of range, it is one of two towers, or a new head is asked for
            where there is one.
    """
    import torch

    from ance_plugin.encode.checkpoint import load_checkpoint
    from ance_plugin.encode.model import AnceHead

    checkpoint = load_checkpoint(start.init, **start.overrides)
    if checkpoint.tower is not None:
        raise ValueError(
            f"{start.init} is the tower that encodes a {checkpoint.tower}; ANCE trains one encoder "
            "for queries and documents"
        )
    model = checkpoint.model
    if start.head_dimension is None:
        return checkpoint
    if model.head is not None:
        if model.dimension == start.head_dimension:
            return checkpoint
        raise ValueError(
            f"{start.init} has a head of {model.dimension} dimensions already; leave out "
            f"--head-dimension {start.head_dimension}"
        )
    head = AnceHead(int(model.body.config.hidden_size), start.head_dimension)
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(head.embeddingHead.weight, std=_HEAD_STD, generator=generator)
    torch.nn.init.zeros_(head.embeddingHead.bias)
    model.head = head
    return checkpoint

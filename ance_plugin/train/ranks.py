"""Data parallel training without a wrapper around the model: processes that exchange tensors.

A single process needs no torch.distributed. What waits and what counts goes through the CPU, so a
rank may wait for hours, as for a refresh, without keeping its GPU busy.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import Parameter

_TIMEOUT = timedelta(hours=24)
_BUCKET_SIZE_BYTES = 64 << 20


class Ranks:
    """This process among those that train together.

    Args:
        rank: This process's number, from 0.
        world_size: How many processes there are.
        device: Where this process computes.

    Attributes:
        rank: As given.
        world_size: As given.
        device: As given.

    Raises:
        ValueError: ``rank`` is not one of ``world_size``.
    """

    def __init__(self, rank: int, world_size: int, device: torch.device) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to {world_size - 1}, found {rank}")
        self.rank = rank
        self.world_size = world_size
        self.device = device

    @classmethod
    def from_environment(cls, device: torch.device) -> "Ranks":
        """Join the processes that torchrun started; without torchrun there is one.

        Args:
            device: Where to compute; of ``cuda``, each rank takes the GPU of its LOCAL_RANK.

        Returns:
            This process; ``close`` it at the end.

        Raises:
            ValueError: RANK, WORLD_SIZE or LOCAL_RANK is no number, or there is no such GPU.
        """
        world_size = _read_number("WORLD_SIZE", 1)
        if world_size == 1:
            return cls(0, 1, device)
        rank = _read_number("RANK", 0)
        backend = "gloo"
        if device.type == "cuda":
            device = _pick_gpu(_read_number("LOCAL_RANK", rank))
            backend = "cpu:gloo,cuda:nccl"
        ranks = cls(rank, world_size, device)
        distributed.init_process_group(backend, rank=rank, world_size=world_size, timeout=_TIMEOUT)
        return ranks

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes files and messages."""
        return self.rank == 0

    def gather(self, rows: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Exchange rows; nothing is remembered for a backward pass.

        Args:
            rows: This rank's rows, shape (counts[rank], d), on ``device``.
            counts: How many rows each rank has; the same on all ranks.

        Returns:
            Each rank's rows, the same on all ranks.

        Raises:
            ValueError: ``rows`` or ``counts`` are not as many as announced.
        """
        if len(counts) != self.world_size or counts[self.rank] != len(rows):
            raise ValueError(f"rank {self.rank} has {len(rows)} rows, announced are {counts}")
        own = rows.detach()
        if self.world_size == 1:
            return [own]
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        received = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(received, padded)
        return [rows[:count] for rows, count in zip(received, counts, strict=True)]

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace each gradient by its sum over the ranks; call it once, after accumulation.

        A parameter that has a gradient on some ranks counts as zero on the others, and one that
        has none anywhere keeps none.

        Args:
            parameters: The same on all ranks, in the same order.
        """
        if self.world_size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        flags = torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.int)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        gradients = [
            _gradient(parameter)
            for parameter, is_used in zip(trained, flags.tolist(), strict=True)
            if is_used
        ]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            sizes = [gradient.numel() for gradient in bucket]
            for gradient, summed in zip(bucket, torch.split(flat, sizes), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def broadcast(self, obj: Any = None) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Give rank 0's object to all ranks; the others' is not looked at.

        Args:
            obj: What JSON can hold.

        Returns:
            Rank 0's object, as JSON gives it back: tuples are lists.

        Raises:
            TypeError: JSON cannot hold ``obj``; a single rank raises it as well.
        """
        text = json.dumps(obj).encode() if self.is_main else b""
        if self.world_size == 1:
            return json.loads(text)
        size = torch.tensor([len(text)])
        distributed.broadcast(size, src=0)
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.is_main:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        distributed.broadcast(content, src=0)
        return json.loads(content.numpy().tobytes())

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.world_size > 1:
            distributed.all_reduce(torch.zeros(1))

    def close(self) -> None:
        """Leave the other ranks; nothing to do for a single one."""
        if self.world_size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def _gradient(parameter: Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group tensors of one type that are small together, in order."""
    bucket: list[Tensor] = []
    size_bytes = 0
    for gradient in gradients:
        is_other = bool(bucket) and bucket[0].dtype != gradient.dtype
        if bucket and (is_other or size_bytes + gradient.nbytes > _BUCKET_SIZE_BYTES):
            yield bucket
            bucket, size_bytes = [], 0
        bucket.append(gradient)
        size_bytes += gradient.nbytes
    if bucket:
        yield bucket


def _pick_gpu(number: int) -> torch.device:
    if number >= torch.cuda.device_count():
        raise ValueError(
            f"LOCAL_RANK is {number}, but there are {torch.cuda.device_count()} GPUs here; "
            "start at most one process a GPU"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def _read_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"the variable {name} must be a number, found {text!r}")
    return int(text)

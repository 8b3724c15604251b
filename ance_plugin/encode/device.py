"""Where to compute and with how many bits, chosen for the machine unless given."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

from ance_plugin.errors import first_line

logger = logging.getLogger(__name__)

type Precision = Literal["fp32", "bf16", "fp16"]

PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "fp16")
_BF16_CPU_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}  # x86 matrix and vector units, 64-bit Arm
_CPU_INFO = Path("/proc/cpuinfo")


def choose_device(name: str | None = None) -> "torch.device":
    """Return the named device, else the first of CUDA, MPS and CPU that is there.

    Args:
        name: As PyTorch names it, or None.

    Returns:
        The device.

    Raises:
        ValueError: PyTorch has no such device here.
    """
    import torch

    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as err:
        reason = first_line(err)
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from err
    return device


def choose_precision(name: str | None, device: "torch.device") -> Precision:
    """Return the named precision, else bf16 where the device computes in it, else fp32.

    Args:
        name: ``fp32``, ``bf16``, ``fp16``, or None.
        device: Where to compute.

    Returns:
        The precision.

    Raises:
        ValueError: ``name`` is no precision, or fp16 is asked of a CPU.
    """
    if name is None:
        return "bf16" if has_bf16(device) else "fp32"
    if name == "fp16" and device.type == "cpu":
        raise ValueError("fp16 is slow and imprecise on a CPU; use --precision bf16 or fp32")
    for precision in ("fp32", "bf16", "fp16"):
        if name == precision:
            return precision
    raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, found {name!r}")


def has_bf16(device: "torch.device") -> bool:
    """Say whether the device has instructions for bf16, so that it is faster than fp32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and _CPU_INFO.is_file():
        return not _BF16_CPU_FLAGS.isdisjoint(_cpu_flags())
    return False


def torch_dtype(precision: Precision) -> "torch.dtype":
    """Return PyTorch's type for a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _cpu_flags() -> set[str]:
    for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].split())
    return set()

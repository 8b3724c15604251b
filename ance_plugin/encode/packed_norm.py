"""LayerNorm of the sums that layers add to, which are float32 whatever the layers compute in."""

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ance_plugin.errors import first_line

logger = logging.getLogger(__name__)

type AddAndNorm = Callable[[Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


class PackedNorm:
    """LayerNorm in float32.

    Args:
        norm: Whose weights and epsilon.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        self._weight, self._bias = norm.weight.detach().float(), norm.bias.detach().float()
        self._eps = norm.eps

    def __call__(self, states: Tensor) -> Tensor:
        """Normalise states, shape (t, h), float32."""
        shape = self._weight.shape
        return functional.layer_norm(states, shape, self._weight, self._bias, self._eps)

    def add(self, states: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise ``states + changed``; give it in float32 and in the type of ``changed``.

        Args:
            states: Shape (t, h), float32; may be overwritten.
            changed: What the layer adds to them.
        """
        fused = find_add_and_norm(states.device)
        if fused is not None:
            with torch.cuda.device(states.device):  # Triton takes the current one
                return fused(states, changed, self._weight, self._bias, self._eps)
        states = self(states.add_(changed))
        return states, states.to(changed.dtype)


@cache
def find_add_and_norm(device: torch.device) -> AddAndNorm | None:
    """Give the kernel that adds, normalises and rounds at once, if it works on the device.

    Triton comes with PyTorch on Linux, and needs a C compiler.

    Args:
        device: No CPU has one.
    """
    if device.type != "cuda":
        return None
    try:
        from ance_plugin.encode.fused_norm import add_and_norm

        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(12, 48, generator=generator).to(device)
        states, changed, weight, bias = drawn[:5], drawn[5:10].bfloat16(), drawn[10], drawn[11]
        with torch.cuda.device(device):
            found, rounded = add_and_norm(states, changed, weight, bias, 1e-5)
    except Exception as err:  # noqa: BLE001 - of Triton, its compiler, or the C compiler it calls
        logger.debug("no fused kernel: %s", first_line(err))
        return None
    expected = functional.layer_norm(states + changed, (48,), weight, bias, 1e-5)
    is_right = torch.allclose(found, expected, atol=1e-4) and torch.equal(rounded, found.bfloat16())
    return add_and_norm if is_right else None

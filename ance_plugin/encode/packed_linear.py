"""Products with weights that are laid out once for the CPU's matrix instructions.

On a CPU the products go to oneDNN by the operators that ``torch.compile`` itself emits
(``torch.ops.mkldnn``): weights are put into oneDNN's blocked layout once, and GELU is computed
while the result is still in the cache. In float32 PyTorch would call MKL, which uses half of what
an AMD processor can do. The operators are no public interface, so they are tried on a small product
first, and plain ``F.linear`` takes their place where one is missing, refuses or is wrong.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

type Activation = Literal["none", "gelu"]

_USUAL_ROWS = 4096  # tokens a batch, for which oneDNN chooses the layout
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.06}  # of sums of 64 products near 1


class PackedLinear:
    """A linear layer whose weights are copied and laid out for inference.

    Args:
        weight: Shape (o, i), float32 or bfloat16; later changes of it have no effect here.
        bias: Shape (o,), of the same type.
        activation: ``gelu`` (the exact one, by the error function) or ``none``.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation = "none") -> None:
        self._activation = activation
        self._bias = bias.detach().clone()
        self._is_prepacked = can_prepack(weight.device.type, weight.dtype)
        weight = weight.detach().clone()
        self._weight = (
            torch.ops.mkldnn._reorder_linear_weight(weight, _USUAL_ROWS)
            if self._is_prepacked
            else weight
        )

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply rows, shape (t, i), to shape (t, o)."""
        if self._is_prepacked:
            return _multiply_prepacked(rows, self._weight, self._bias, self._activation)
        product = functional.linear(rows, self._weight, self._bias)
        return functional.gelu(product) if self._activation == "gelu" else product


@cache
def can_prepack(device_type: str, dtype: torch.dtype) -> bool:
    """Say whether oneDNN's operators are there for this type, and give what plain ones give.

    Args:
        device_type: ``cpu``; nothing else has them.
        dtype: Of weights and rows.
    """
    if device_type != "cpu" or dtype not in _TOLERANCE:
        return False
    generator = torch.Generator().manual_seed(0)
    rows, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype) for shape in ((8, 64), (32, 64), (32,))
    )
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _USUAL_ROWS)
        found = _multiply_prepacked(rows, packed, bias, "gelu")
    except (RuntimeError, AttributeError):  # refused; not there
        return False
    expected = functional.gelu(functional.linear(rows.float(), weight.float(), bias.float()))
    return torch.allclose(found.float(), expected, rtol=0.01, atol=_TOLERANCE[dtype])


def _multiply_prepacked(
    rows: Tensor, weight: Tensor, bias: Tensor, activation: Activation
) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, activation, [], "none")
    return product


def join_linears(*linears: nn.Linear, scale: float = 1.0) -> PackedLinear:
    """Make one product of several that take the same rows; their outputs stand side by side.

    Args:
        *linears: The layers.
        scale: What all weights and biases are multiplied by.
    """
    weight = torch.cat([linear.weight.detach() for linear in linears])
    bias = torch.cat([linear.bias.detach() for linear in linears])
    return PackedLinear(weight * scale, bias * scale)

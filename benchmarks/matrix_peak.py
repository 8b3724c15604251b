"""The best rate of matrix products, which no encoder can pass."""

from turns import timed

_PEAK_ROWS = 4096


def measure_peak(hidden_size: int, precision: str, clock: str) -> float:
    """Measure the best rate of a layer's products, in operations a second.

    Args:
        hidden_size: Width of the layer.
        precision: ``fp32`` or ``bf16``.
        clock: ``wall`` or ``cpu``.
    """
    import torch

    from ance_plugin.encode.device import torch_dtype
    from ance_plugin.encode.packed_linear import PackedLinear

    dtype = torch_dtype(precision)  # type: ignore[arg-type]
    best = 0.0
    for inputs, outputs in ((1, 1), (1, 4), (4, 1)):
        shape = (outputs * hidden_size, inputs * hidden_size)
        weight, bias = torch.randn(shape).to(dtype), torch.zeros(shape[0], dtype=dtype)
        rows = torch.randn(_PEAK_ROWS, shape[1]).to(dtype)
        for multiply in (
            PackedLinear(weight, bias),
            lambda rows, weight=weight, bias=bias: torch.nn.functional.linear(rows, weight, bias),
        ):
            for _ in range(4):
                with torch.inference_mode():
                    _, taken = timed(lambda multiply=multiply, rows=rows: multiply(rows))  # type: ignore[misc]
                best = max(best, 2 * _PEAK_ROWS * shape[0] * shape[1] / getattr(taken, clock))
    return best

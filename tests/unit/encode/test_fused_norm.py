"""The GPU's kernel computes what PyTorch's operators do, one after another.

On the CPU it is run by Triton's interpreter, which rounds to bfloat16 in its own way.
"""

import os
import subprocess
import sys

import pytest
import torch

from ance_plugin.encode import packed_norm
from ance_plugin.encode.packed_norm import PackedNorm, find_add_and_norm

SHAPES = [(0, 48), (1, 3), (5, 48), (3, 384), (2, 768), (4, 1024)]


def draw(shape, dtype):
    """Draw states and what is added to them, and a norm."""
    torch.manual_seed(shape[1])
    norm = torch.nn.LayerNorm(shape[1], eps=1e-12)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return 3 * torch.randn(shape), torch.randn(shape).to(dtype), norm


def compute_apart(states, changed, norm):
    with torch.inference_mode():
        return norm(states + changed.float())


INTERPRETED = """
import sys, torch
from ance_plugin.encode.fused_norm import add_and_norm

drawn, found = torch.load(sys.argv[1]), []
for states, changed, weight, bias, eps in drawn:
    found.append(add_and_norm(states, changed, weight, bias, eps))
torch.save(found, sys.argv[2])
"""


@pytest.mark.slow
def test_kernel(tmp_path):
    """For widths that are no powers of two, too."""
    pytest.importorskip("triton", reason="Triton, which comes with PyTorch on Linux, is missing")
    drawn = [draw(shape, dtype) for shape in SHAPES for dtype in (torch.bfloat16, torch.float16)]
    torch.save(
        [
            (states, changed, norm.weight.detach(), norm.bias.detach(), norm.eps)
            for states, changed, norm in drawn
        ],
        tmp_path / "drawn",
    )
    subprocess.run(
        [sys.executable, "-c", INTERPRETED, tmp_path / "drawn", tmp_path / "found"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        check=True,
        timeout=120,
    )
    for case, (found, rounded) in zip(drawn, torch.load(tmp_path / "found"), strict=True):
        torch.testing.assert_close(found, compute_apart(*case), atol=1e-5, rtol=1e-5)
        assert rounded.dtype == case[1].dtype
        torch.testing.assert_close(rounded.float(), found, atol=0, rtol=2**-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_operators_one_after_another(dtype):
    """What a CPU does, and a GPU without the kernel."""
    states, changed, norm = draw((5, 48), dtype)
    expected = compute_apart(states, changed, norm)

    found, rounded = PackedNorm(norm).add(states, changed)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(rounded, found.to(dtype))


@pytest.mark.gpu
@pytest.mark.parametrize("shape", SHAPES)
def test_kernel_on_a_gpu(shape):
    """It is there, and agrees."""
    states, changed, norm = (value.cuda() for value in draw(shape, torch.bfloat16))
    expected = compute_apart(states, changed, norm)
    assert find_add_and_norm(states.device) is not None
    found, rounded = PackedNorm(norm).add(states, changed)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(rounded, found.bfloat16())


def test_a_kernel_that_cannot_be_built_is_not_used(monkeypatch):
    """Triton without a C compiler raises this and other errors; here CUDA is missing."""
    monkeypatch.setattr(torch.Tensor, "to", lambda *_: (_ for _ in ()).throw(OSError("no gcc")))
    assert packed_norm.find_add_and_norm.__wrapped__(torch.device("cuda")) is None

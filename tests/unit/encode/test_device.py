"""What holds for the choice of device and precision."""

import pytest
import torch

from ance_plugin.encode import device as device_module
from ance_plugin.encode.device import choose_device, choose_precision, has_bf16, torch_dtype

CPU = torch.device("cpu")


@pytest.fixture
def cpu_flags(tmp_path, monkeypatch):
    """Return a function that gives this machine another processor."""

    def set_flags(text):
        (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
        monkeypatch.setattr(device_module, "_CPU_INFO", tmp_path / "cpuinfo")

    return set_flags


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_best_device_is_taken_unless_named(monkeypatch, has_cuda, has_mps, expected):
    """CUDA, then Apple's, then the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)

    assert choose_device() == torch.device(expected)


def test_named_device_is_taken():
    """Even where there is a better one."""
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["tpu9", "cuda:99", "", "cpu:x"])
def test_device_that_is_not_there_is_refused(name):
    """In one line, before any work."""
    with pytest.raises(ValueError, match=f"^device '{name}' cannot be used here: .+$"):
        choose_device(name)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_named_precision_is_taken(name):
    """Even where it is the slower one."""
    assert choose_precision(name, CPU) == name


def test_fp16_is_refused_on_a_cpu_and_taken_on_a_gpu():
    """The message says what to use."""
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"
    with pytest.raises(ValueError, match="use --precision bf16 or fp32"):
        choose_precision("fp16", CPU)


def test_unknown_precision_is_refused():
    """The message lists those there are."""
    with pytest.raises(ValueError, match="one of fp32, bf16, fp16, found 'int8'"):
        choose_precision("int8", CPU)


@pytest.mark.parametrize(
    ("cpu_info", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse avx512_bf16 amx_tile\n", "bf16"),
        ("flags\t\t: fpu amx_bf16\n", "bf16"),
        ("Features\t: fp asimd bf16\n", "bf16"),
        ("flags\t\t: fpu sse avx2\n", "fp32"),
        ("model name : bf16 in its name\n", "fp32"),
        ("", "fp32"),
    ],
)
def test_cpu_takes_bf16_where_it_has_instructions_for_it(cpu_flags, cpu_info, expected):
    """Emulated it would be slower than fp32."""
    cpu_flags(cpu_info)

    assert choose_precision(None, CPU) == expected


def test_machine_that_tells_nothing_takes_fp32(monkeypatch, tmp_path):
    """No /proc on other systems."""
    monkeypatch.setattr(device_module, "_CPU_INFO", tmp_path / "none")

    assert not has_bf16(CPU)
    assert not has_bf16(torch.device("mps"))


def test_gpu_takes_bf16_where_it_is_not_emulated(monkeypatch):
    """As of Ampere."""
    asked = []

    def is_supported(*, including_emulation):
        asked.append(including_emulation)
        return True

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)

    assert choose_precision(None, torch.device("cuda")) == "bf16"
    assert asked == [False]


def test_precisions_are_pytorchs_types():
    """By their usual names."""
    types = [torch_dtype(name) for name in ("fp32", "bf16", "fp16")]

    assert types == [torch.float32, torch.bfloat16, torch.float16]

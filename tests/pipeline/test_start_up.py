"""Starting is light: nothing heavy is imported before there is work for it."""

import json
import subprocess
import sys

import pytest

import ance_plugin

# An encoder is PyTorch's; the other three are Pyserini's subclasses.
LOADING = {"Encoder", "AnceDocumentEncoder", "AnceQueryEncoder", "register"}
HEAVY = {
    *("torch", "transformers", "sentence_transformers", "pyserini", "jnius", "jnius_config"),
    *("faiss", "numba", "ranx", "pandas", "scipy", "sklearn", "ir_datasets", "huggingface_hub"),
}
COMMANDS = [
    ["ance_plugin.index"],
    ["ance_plugin.index", "bm25"],
    ["ance_plugin.index", "dense"],
    ["ance_plugin.encode"],
    ["ance_plugin.search"],
    ["ance_plugin.fusion"],
    ["ance_plugin.fusion", "tune"],
    ["ance_plugin.doctor"],
    ["evaluation"],
    ["evaluation", "compare"],
]
REPORT = """
import json, sys
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
RUN_MODULE = f"""
import io, runpy, sys
sys.argv = sys.argv[1:]
stdout, sys.stdout, code = sys.stdout, io.StringIO(), None
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as stop:
    code = stop.code
text, sys.stdout = sys.stdout.getvalue(), stdout
assert "usage:" in text, text
{REPORT}
"""


RUN_SCRIPT = f"""
import contextlib, io, sys
from ance_plugin.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as text:
    code = main(sys.argv[1:])
assert "usage:" in text.getvalue(), text.getvalue()
{REPORT}
"""
MISTYPE = f"""
import contextlib, io, sys
from importlib import import_module
module = sys.argv[1] if sys.argv[1].endswith(".doctor") else f"{{sys.argv[1]}}.__main__"
with contextlib.redirect_stderr(io.StringIO()) as text:
    code = import_module(module).main([*sys.argv[2:], "--nonsense"])
assert "error:" in text.getvalue(), text.getvalue()
{REPORT}
"""


def start(code, *words):
    """Run code in a new Python; give the exit code it reports and what is imported at its end."""
    command = [sys.executable, "-W", "error", "-c", code, *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    exit_code, modules = json.loads(result.stdout)
    return exit_code, set(modules)


def test_importing_the_package_loads_nothing_heavy():
    """Not even numpy, as nothing is computed yet."""
    _, modules = start(f"import ance_plugin; code = 0{REPORT}")

    assert "ance_plugin" in modules
    assert modules & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize("name", sorted(set(ance_plugin.__all__) - LOADING))
def test_public_names_load_nothing_heavy(name):
    """Each name but the encoders is there without PyTorch and Java."""
    _, modules = start(f"from ance_plugin import {name}; code = 0{REPORT}")

    assert modules & HEAVY == set()


def test_every_public_name_is_there():
    """What dir() lists can be had, and what it does not list cannot."""
    for name in set(dir(ance_plugin)) - LOADING:
        assert getattr(ance_plugin, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ance_plugin.nonsense


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_loads_nothing_heavy(words):
    """--help prints its text, succeeds, and has loaded what parsing needs."""
    code, modules = start(RUN_MODULE, *words, "--help")

    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    "words",
    [[], *(command[:1] for command in COMMANDS)],
    ids=lambda words: " ".join(words) or "ance",
)
def test_help_of_the_console_script_loads_nothing_heavy(words):
    """``ance --help`` and ``ance STAGE --help`` are as light as the modules they start."""
    stage = [words[0].rpartition(".")[2]] if words else []

    code, modules = start(RUN_SCRIPT, *stage, "--help")

    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_wrong_usage_loads_nothing_heavy(words):
    """A mistyped flag is refused as quickly as help is given."""
    code, modules = start(MISTYPE, *words)

    assert code == 2
    assert modules & HEAVY == set()

"""A command in a process of its own: its exit code, and that it never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluation.benchmarks.child import run_child

COMMAND = """import os, sys, time
from pathlib import Path

def main(argv):
    if len(argv) > 1:
        return int(argv[1])
    Path(argv[0] + ".new").write_text(str(os.getpid()))
    os.replace(argv[0] + ".new", argv[0])
    time.sleep(60)
"""
PARENT = "import sys; from evaluation.benchmarks.child import run_child; run_child(*sys.argv[1:2],"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Name of a package that can be started, and a file in which it writes its process id."""
    (tmp_path / "sleeper").mkdir()
    (tmp_path / "sleeper/__init__.py").touch()
    (tmp_path / "sleeper/__main__.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "sleeper", tmp_path / "pid"


def test_exit_code_is_the_commands(command):
    """It is started with its flags, and what it returns is returned."""
    name, file = command

    assert run_child(name, [str(file), "3"]) == 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_child_ends_with_its_parent(command, how):
    """A killed parent leaves no process that holds its outputs."""
    name, file = command
    call = [sys.executable, "-c", f"{PARENT} sys.argv[2:])", name, str(file)]
    with subprocess.Popen(call) as parent:
        wait_until(file.exists)
        parent.send_signal(how)
    child = int(file.read_text())

    wait_until(lambda: not is_running(child))


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in read_status(process)


def read_status(process):
    """Read what the kernel says of a process; nobody may be there to collect a finished one."""
    file = Path(f"/proc/{process}/status")
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def wait_until(condition, *, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

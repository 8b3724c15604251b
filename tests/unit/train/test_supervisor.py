"""The supervisor: a child that dies is started again, and none outlives its parent."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise

import pytest

from ance_plugin.train.supervisor import RefresherError, Supervisor

WAITS = "import sys; sys.stdin.read()"
# A process that supervises a child that leaves when its standard input ends, as the refresher does.
PARENT = """
import sys, time
from pathlib import Path
from ance_plugin.train.supervisor import Supervisor
supervisor = Supervisor([sys.executable, "-S", "-c", {child!r}], Path({heartbeat!r}))
supervisor.start()
print(supervisor.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def make_supervisor(tmp_path):
    """Return a function that makes a supervisor of some Python; what it started is stopped."""
    made = []

    def make(code, **options):
        options = {"pause_seconds": 0.02} | options
        command = [sys.executable, "-S", "-c", code]
        made.append(Supervisor(command, tmp_path / "refresher.json", **options))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def beat(tmp_path):
    """Return a function that writes a heartbeat of a process."""

    def write(pid, **content):
        content = {"pid": pid, "time": time.time(), "num_done": 0} | content
        (tmp_path / "refresher.json").write_text(json.dumps(content))

    return write


def is_alive(pid):
    """Say whether a process is there, and more than an entry that nobody has read."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, *, seconds=20):
    """Wait for something that is about to be so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.005)


def check_until(supervisor, condition):
    """Look after the child as the trainer does at each step, until something is so."""

    def look():
        supervisor.check()
        return condition()

    wait_until(look)


def kill(supervisor):
    """Kill the child and look until the supervisor has noticed."""
    os.kill(supervisor.pid, signal.SIGKILL)
    check_until(supervisor, lambda: supervisor.pid is None)


def test_dead_child_is_started_again(make_supervisor):
    """Another process takes its place."""
    supervisor = make_supervisor(WAITS)
    supervisor.start()
    first = supervisor.pid

    kill(supervisor)
    check_until(supervisor, lambda: supervisor.pid is not None)

    assert supervisor.pid != first
    assert is_alive(supervisor.pid)
    assert not is_alive(first)


def test_pause_doubles(make_supervisor, caplog):
    """Before each restart there is twice the pause, and the log says what happened."""
    supervisor = make_supervisor("raise SystemExit(7)", pause_seconds=0.1, max_failures=4)
    starts, start = [], supervisor.start
    supervisor.start = lambda: (starts.append(time.monotonic()), start())
    supervisor.start()

    with caplog.at_level(logging.WARNING), pytest.raises(RefresherError):
        check_until(supervisor, lambda: False)

    pauses = [after - before for before, after in pairwise(starts)]
    assert len(pauses) == 3
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=True))
    assert caplog.text.count("the refresher ended with exit code 7; starting it again") == 3


def test_child_that_always_dies_is_given_up(make_supervisor):
    """The message has its exit code, how often it died, and what to do."""
    supervisor = make_supervisor("raise SystemExit(7)", max_failures=2)
    supervisor.start()

    expected = r"ended with exit code 7, 2 times in a row.* --resume"
    with pytest.raises(RefresherError, match=expected):
        check_until(supervisor, lambda: False)

    assert supervisor.pid is None


def test_signal_is_named(make_supervisor):
    """A child that was killed is told apart from one that ended."""
    supervisor = make_supervisor(WAITS, max_failures=1)
    supervisor.start()

    with pytest.raises(RefresherError, match="was killed by signal 9, 1 times in a row"):
        kill(supervisor)


@pytest.mark.parametrize("takes_heartbeat", [False, True], ids=["killed", "left by itself"])
def test_refresh_ends_the_count_of_failures(make_supervisor, beat, tmp_path, takes_heartbeat):
    """A child that made a refresh failed once; one that leaves by itself removes its heartbeat."""
    supervisor = make_supervisor(WAITS, max_failures=2)
    for _ in range(3):
        supervisor.start()
        beat(supervisor.pid, num_done=1)
        supervisor.check()
        if takes_heartbeat:
            (tmp_path / "refresher.json").unlink()
        kill(supervisor)

    check_until(supervisor, lambda: supervisor.pid is not None)
    with pytest.raises(RefresherError, match="2 times in a row"):
        kill(supervisor)


def test_refresh_of_another_process_does_not_count(make_supervisor, beat):
    """A heartbeat that an earlier child left says nothing about this one."""
    supervisor = make_supervisor(WAITS, max_failures=1)
    supervisor.start()
    beat(supervisor.pid + 1, num_done=5)

    with pytest.raises(RefresherError):
        kill(supervisor)


def test_silent_child_is_killed(make_supervisor, beat, caplog):
    """One whose heartbeat is older than the bound counts as hung, and is started again."""
    supervisor = make_supervisor(WAITS, silence_seconds=30)
    supervisor.start()
    hung = supervisor.pid
    beat(hung, time=time.time() - 29)
    supervisor.check()
    assert supervisor.pid == hung

    beat(hung, time=time.time() - 31)
    with caplog.at_level(logging.WARNING):
        supervisor.check()

    assert supervisor.pid is None
    assert not is_alive(hung)
    assert "has been silent for 30 s" in caplog.text


def test_child_that_never_spoke_is_silent_from_its_start(make_supervisor):
    """Without a heartbeat the time since its start counts."""
    supervisor = make_supervisor(WAITS, silence_seconds=0.05)
    supervisor.start()
    hung = supervisor.pid

    check_until(supervisor, lambda: supervisor.pid != hung)

    assert not is_alive(hung)


def test_damaged_heartbeat_is_no_heartbeat(make_supervisor, tmp_path):
    """A file that cannot be read stops nothing."""
    supervisor = make_supervisor(WAITS)
    supervisor.start()
    (tmp_path / "refresher.json").write_text("{")

    supervisor.check()

    assert is_alive(supervisor.pid)


def test_stop_ends_the_child(make_supervisor, beat, tmp_path):
    """It leaves as its standard input ends, with its heartbeat, and is not started again."""
    supervisor = make_supervisor(WAITS)
    supervisor.start()
    child = supervisor.pid
    beat(child)

    supervisor.stop()
    supervisor.check()

    assert not is_alive(child)
    assert supervisor.pid is None
    assert not (tmp_path / "refresher.json").exists()


def test_stop_kills_a_child_that_does_not_leave(make_supervisor, monkeypatch):
    """One that does not heed its standard input is killed after some seconds."""
    monkeypatch.setattr("ance_plugin.train.supervisor._SECONDS_TO_LEAVE", 0.05)
    supervisor = make_supervisor("import time; time.sleep(60)")
    supervisor.start()
    child = supervisor.pid

    supervisor.stop()

    assert not is_alive(child)


def test_stop_forgets_a_restart(make_supervisor):
    """A child that waits to be started again is not started after the end."""
    supervisor = make_supervisor(WAITS)
    supervisor.start()
    kill(supervisor)

    supervisor.stop()
    time.sleep(0.05)
    supervisor.check()

    assert supervisor.pid is None


def test_child_leaves_when_its_parent_is_killed(tmp_path):
    """However the trainer ends, the pipe ends with it: no refresher is left behind."""
    child = "from ance_plugin.train.watch import leave_with_parent as f; f(); "
    child = f"import sys; sys.path[:0] = {sys.path!r}; {child}import time; time.sleep(60)"
    code = PARENT.format(child=child, heartbeat=str(tmp_path / "refresher.json"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        wait_until(lambda: is_alive(pid))
        parent.kill()
    try:
        wait_until(lambda: not is_alive(pid))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

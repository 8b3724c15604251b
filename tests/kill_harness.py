"""Kill every command that writes at random moments, and see that nothing is lost.

    python tests/kill_harness.py --kills 200      # or 20000, for a night

Commands are forked from a process that has loaded the libraries and our modules already, so that a
kill falls into the work rather than into an import, and every child runs the same code. Half of the
moments are anywhere in the command's time, half shortly after it first changed its output folder.
After each kill the older output must be whole or there must be none; SIGTERM and Ctrl-C must end
the command with exit code 130 and leave nothing hidden but what it can go on with; and the command
given again must end as if undisturbed and clean up after its predecessors.
"""

import argparse
import faulthandler
import importlib
import json
import os
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import ance_plugin
import evaluation
from ance_plugin import artifacts

PACKAGES = (ance_plugin, evaluation)

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIBRARIES = ("torch", "transformers", "faiss", "ranx", "safetensors.torch", "pyarrow.parquet")
STARTS_JAVA = {"ance_plugin.encode.pyserini"}
_FINISHES = 0.25  # of the kills are followed by a run that is left in peace
_PATIENCE_S = 1800  # a machine may be busy


class Harness:
    """The commands with what undisturbed runs of them gave.

    Args:
        root: A folder of its own.
        has_java: Whether commands that start a JVM take part.
        only: Names of the commands to kill; all of them when empty.
    """

    def __init__(self, root, *, has_java, only=()):
        from tests.kill_harness_commands import make_commands

        self.root, self.environment = root, read_environment()
        calm = root / "calm"
        self.commands, self.expected, self.seconds = [], {}, {}
        every = [one for one in make_commands(root) if has_java or not one.needs_java]
        only = only or [one.name for one in every]
        for command in list_needed(every, only, calm):
            started = time.monotonic()
            status = self.wait(self.fork(command, calm), calm)
            assert status == 0, f"{command.name} failed undisturbed:\n{self.log(calm)}"
            self.seconds[command.name] = time.monotonic() - started
            self.expected[command.name] = command.content(calm / command.output)
            if command.name in only:
                self.commands.append(command)

    def kill(self, command, rng):
        """Kill a command once; give the signal's name, or None where it had ended before."""
        folder = self.root / "killed" / command.name.replace(" ", "-")
        if rng.random() < 0.5 and command.replaces:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.root / "calm" / command.output, folder / command.output)
        number = rng.choice(SIGNALS)
        before = _hidden(folder)
        child = self.fork(command, folder)
        self._sleep(command, folder, child, rng)
        is_alive = os.waitpid(child, os.WNOHANG) == (0, 0)
        status = 0
        if is_alive:
            os.kill(child, number)
            status = self.wait(child, folder)
        self._check(command, folder, number, status, before)
        if rng.random() < _FINISHES:
            self.finish(command)
        was_hit = is_alive and status in (-number, 130)
        return signal.Signals(number).name if was_hit else None

    def finish(self, command):
        """Let a command end, and compare what it made with what it should have."""
        folder = self.root / "killed" / command.name.replace(" ", "-")
        if not folder.exists():
            return
        status = self.wait(self.fork(command, folder), folder)
        is_there = status == 1 and "exists already" in self.log(folder)
        assert status == 0 or is_there, f"{command.name} ended with {status}:\n{self.log(folder)}"
        found = command.content(folder / command.output)
        self._compare(command, found, "made something else")
        left = _hidden(folder)
        assert left == [], f"{command.name} left {left} behind"
        shutil.rmtree(folder)

    def _check(self, command, folder, number, status, before):
        """What stands there after a kill is what stood there before, or what was to come."""
        output = folder / command.output
        place = output if output.exists() else output.with_name(f".{output.name}.retired")
        if place.exists():
            content = command.content(place)
            if content is not None:
                self._compare(command, content, f"{place} is another after signal {number}")
        if status in (130, -signal.SIGTERM) and not command.resumes:
            left = sorted(set(_hidden(folder)) - set(before))  # but for those of earlier SIGKILLs
            left = [name for name in left if not name.endswith(".lock")]  # holds nobody back
            assert left == [], f"{command.name} left {left} after signal {number}"
        if number != signal.SIGKILL:
            log = self.log(folder)
            # SIGTERM ends it at once where it came before the command took the signals over.
            is_known = status in (0, 130, -signal.SIGTERM)
            assert is_known, f"{command.name} ended with {status}:\n{log}"
            assert "Traceback" not in log, f"{command.name}:\n{log}"

    def _compare(self, command, found, problem):
        """Raise AssertionError where an output says something else than the undisturbed one."""
        expected = self.expected[command.name]
        if found == expected:
            return
        is_same = read_environment() == self.environment
        cause = "" if is_same else "; code or packages have changed since the start, run it again"
        raise AssertionError(f"{command.name}: {problem}{cause}\n{found}\nnot\n{expected}")

    def _sleep(self, command, folder, child, rng):
        """Wait for the moment of the kill."""
        ends = time.monotonic() + rng.random() * self.seconds[command.name]
        if rng.random() < 0.5:
            time.sleep(max(ends - time.monotonic(), 0))
            return
        before, gives_up = _names(folder), time.monotonic() + _PATIENCE_S
        while _names(folder) == before and time.monotonic() < gives_up:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.0005)
        time.sleep(rng.choice((0.001, 0.01, 0.05, 0.3)) * rng.random())

    def fork(self, command, folder):
        """Start a command in a child, which writes into ``folder``; give its process id."""
        folder.mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            log = os.open(self._log_path(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            faulthandler.enable()
            code = command.run(folder)
        except KeyboardInterrupt:  # before the command has taken the signals over
            code = 130
        except BaseException:  # noqa: BLE001 - a child of ours; its log is read
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def log(self, folder):
        """Read what the last command that wrote into ``folder`` said."""
        return self._log_path(folder).read_text(errors="replace")

    def _log_path(self, folder):
        name = str(folder.relative_to(self.root)).replace("/", "-")
        return self.root / f"{name}.log"

    def wait(self, child, folder):
        """Give the exit code of a child, negative where a signal ended it."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGABRT)  # its log then says where it stood
        os.waitpid(child, 0)
        raise AssertionError(f"did not end within {_PATIENCE_S} s:\n{self.log(folder)}")


def list_needed(commands, names, folder):
    """List the commands of these names and those that they read from ``folder``, in order."""
    unknown = sorted(set(names) - {one.name for one in commands})
    assert not unknown, f"no command is called {unknown[0]!r}"
    needed = set(names)
    for command in reversed(commands):  # each reads from earlier ones alone
        if command.name in needed:
            needed |= {one.name for one in commands if f"{folder / one.output}" in command.words}
    return [one for one in commands if one.name in needed]


def load_everything():
    """Import the libraries and every module of ours that starts no JVM, which no fork survives."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name not in STARTS_JAVA:
                importlib.import_module(module.name)
    importlib.import_module("torch").set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")


def read_environment():
    """Give what must not change while commands are compared: our sources, versions of packages."""
    sources = [file for package in PACKAGES for file in Path(package.__path__[0]).rglob("*.py")]
    hashes = {str(file): artifacts.sha256_file(file) for file in sorted(sources)}
    return hashes, sorted((one.name, one.version) for one in metadata.distributions())


def _names(folder):
    return sorted(file.name for file in folder.iterdir())


def _hidden(folder):
    return [str(file.relative_to(folder)) for file in folder.rglob(".*")]


def main(argv=None):
    """Kill as often as asked for; print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="that hit (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-java", action="store_true", help="leave out what needs a JVM")
    parser.add_argument("--only", nargs="+", default=[], metavar="COMMAND")
    args = parser.parse_args(argv)
    load_everything()
    rng, started = random.Random(args.seed), time.monotonic()
    hits, misses = Counter(), Counter()
    is_whole = False
    with tempfile.TemporaryDirectory(prefix="ance-kills-") as folder:
        try:
            harness = Harness(Path(folder), has_java=not args.no_java, only=args.only)
            while hits.total() < args.kills:
                command = harness.commands[(hits.total() + misses.total()) % len(harness.commands)]
                number = harness.kill(command, rng)
                if number is None:
                    misses[command.name] += 1
                else:
                    hits[f"{command.name}: {number}"] += 1
            for command in harness.commands:
                harness.finish(command)
            is_whole = True
        finally:  # also when a person has seen enough
            figures = {"kills": hits.total(), "ended_before": misses.total()}
            figures |= {"is_finished": is_whole, "seconds": round(time.monotonic() - started)}
            figures |= {"hits": dict(sorted(hits.items()))}
            sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")


if __name__ == "__main__":
    main()

"""A command in a process of its own that ends with the one that started it.

Its standard input is a pipe that only the parent holds; when the parent is gone, however it went,
the pipe ends and so does this process, with whatever claims it holds on outputs.
"""

import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

_STDERR = 2  # results of ours go to stdout, a stage's words do not


def run_child(module: str, argv: Sequence[str]) -> int:
    """Run a command and wait for it.

    Args:
        module: A package with a ``__main__`` that has ``main(argv)``.
        argv: Its flags.

    Returns:
        Its exit code; a signal's is negative.
    """
    command = [sys.executable, "-m", __name__, module, *argv]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=_STDERR) as process:
        return process.wait()


def main() -> int:
    """Run the command that the first word names with the words after it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start = importlib.import_module(f"{sys.argv[1]}.__main__").main
    code: int = start(sys.argv[2:])
    return code


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())

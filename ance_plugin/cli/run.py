"""Run a command: parse, log to stderr, turn a caller's mistake into one line and an exit code."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ance_plugin.errors import AnceError, printable
from ance_plugin.interrupts import hearing

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class UsageError(Exception):
    """Flags that contradict each other, found after parsing; the command ends with exit code 2."""


def run(
    parser: argparse.ArgumentParser,
    start: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse ``argv`` and call ``start`` with what was parsed.

    Returns:
        0, 1 for a failed job, 2 for wrong usage, 130 after Ctrl-C or SIGTERM. An error of the
        caller's (``AnceError``, ``ValueError``, ``OSError``) or too little memory is one line on
        stderr; with ``--verbose`` its traceback follows. Any other exception is ours and keeps its
        traceback.
    """
    _add_common_flags(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILED
    configure_logging(is_verbose=args.verbose)
    heard: list[int] = []
    try:
        from ance_plugin.artifacts import verifying

        with _interrupting_on_signals(heard), verifying(is_on=args.verify):
            return start(args) or 0
    except KeyboardInterrupt:
        return _say_interrupted(parser)
    except Exception as err:
        if heard:  # a library may make an error of its own of the interrupt
            return _say_interrupted(parser)
        code = _explain(err, parser)
        if code is None:
            raise
        return code


def _explain(err: Exception, parser: argparse.ArgumentParser) -> int | None:
    """Say in a line what a caller can mend, and give the exit code; None for a fault of ours."""
    if isinstance(err, UsageError):
        parser.print_usage(sys.stderr)
        _say(f"{parser.prog}: error: {err}")
        return EXIT_USAGE
    if not isinstance(err, AnceError | ValueError | OSError | MemoryError):
        return None
    logger.debug("the error came from here", exc_info=err)
    problem = "there is too little memory for this: " if isinstance(err, MemoryError) else ""
    _say(f"{parser.prog}: error: {problem}{err}")
    return EXIT_FAILED


def _say_interrupted(parser: argparse.ArgumentParser) -> int:
    _say(f"{parser.prog}: interrupted")
    return EXIT_INTERRUPTED


def _add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add what every command has, before and after the word that names one."""
    flags = {
        "--verbose": "log more, and show tracebacks",
        "--verify": "check the SHA-256 of every artifact that is read",
    }
    for name, text in flags.items():
        parser.add_argument(name, action="store_true", help=text)
    for action in parser._actions:
        choices = action.choices if isinstance(action, argparse._SubParsersAction) else {}
        for command in choices.values():
            for name, text in flags.items():
                if name not in command._option_string_actions:
                    command.add_argument(
                        name, action="store_true", default=argparse.SUPPRESS, help=text
                    )


@contextmanager
def _interrupting_on_signals(heard: list[int]) -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, so that what is unfinished is cleaned away."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        heard.append(number)
        raise KeyboardInterrupt

    with hearing(interrupt):
        yield


def _say(line: str) -> None:
    sys.stderr.write(f"{printable(line)}\n")


class _PrintableFormatter(logging.Formatter):
    """Shows what a document or a file's name holds without letting it act on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def configure_logging(*, is_verbose: bool) -> None:
    """Send this project's log lines, and no others, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for name in ("ance_plugin", "evaluation"):
        project = logging.getLogger(name)
        project.handlers = [handler]
        project.propagate = False
        project.setLevel(logging.DEBUG if is_verbose else logging.INFO)

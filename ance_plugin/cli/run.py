"""Run a command: parse, log to stderr, turn a caller's mistake into one line and an exit code."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from ance_plugin.errors import AnceError

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
        0, 1 for a failed job, 2 for wrong usage, 130 after Ctrl-C. An error of the caller's
        (``AnceError``, ``ValueError``, ``OSError``) is one line on stderr; with ``--verbose`` its
        traceback follows. Any other exception is ours and keeps its traceback.
    """
    parser.add_argument("--verbose", action="store_true", help="log more, and show tracebacks")
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_FAILED
    configure_logging(is_verbose=args.verbose)
    try:
        return start(args) or 0
    except UsageError as err:
        parser.print_usage(sys.stderr)
        sys.stderr.write(f"{parser.prog}: error: {err}\n")
        return EXIT_USAGE
    except (AnceError, ValueError, OSError) as err:
        logger.debug("the error came from here", exc_info=err)
        sys.stderr.write(f"{parser.prog}: error: {err}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"{parser.prog}: interrupted\n")
        return EXIT_INTERRUPTED


def configure_logging(*, is_verbose: bool) -> None:
    """Send this project's log lines, and no others, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for name in ("ance_plugin", "evaluation"):
        project = logging.getLogger(name)
        project.handlers = [handler]
        project.propagate = False
        project.setLevel(logging.DEBUG if is_verbose else logging.INFO)

"""Judge runs: ``python -m evaluation COMMAND``."""

import sys
from collections.abc import Sequence

from ance_plugin.cli.flags import new_parser
from ance_plugin.cli.run import run
from evaluation.cli import benchmark, compare, latency, negatives, qa
from evaluation.cli import list as listing

COMMANDS = (benchmark, compare, latency, negatives, qa, listing)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the evaluation.cli."""
    parser = new_parser("evaluation", "Judge runs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return run(parser, lambda args: args.start(args), argv)


if __name__ == "__main__":
    sys.exit(main())

"""Train: ``python -m ance_plugin.train warmup``, ``ance``, ``refresh`` or ``plot``."""

import sys
from collections.abc import Sequence

from ance_plugin.cli.run import run
from ance_plugin.cli.train import new_train_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, start the stage, return the exit code."""
    return run(new_train_parser(), lambda args: args.start(args), argv)


if __name__ == "__main__":
    sys.exit(main())

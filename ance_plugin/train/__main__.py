"""Train: ``python -m ance_plugin.train STAGE``, as ``warmup``, ``ance`` or ``cross-encoder``."""

import sys
from collections.abc import Sequence

from ance_plugin.cli.run import run
from ance_plugin.cli.train import new_train_parser
from ance_plugin.cli.train_cross_encoder import new_cross_encoder_parser, start_cross_encoder


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, start the stage, return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["cross-encoder"]:
        return run(new_cross_encoder_parser(), start_cross_encoder, words[1:])
    return run(new_train_parser(), lambda args: args.start(args), words)


if __name__ == "__main__":
    sys.exit(main())

"""Rerank a run with a cross-encoder: ``python -m ance_plugin.rerank``."""

import sys
from collections.abc import Sequence
from functools import partial

from ance_plugin.cli.rerank import new_rerank_parser, start_rerank
from ance_plugin.cli.run import run


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, rerank, return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run(new_rerank_parser(), partial(start_rerank, words=words), words)


if __name__ == "__main__":
    sys.exit(main())

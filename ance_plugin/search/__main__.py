"""Search for topics and write a run: ``python -m ance_plugin.search``."""

import sys
from collections.abc import Sequence
from functools import partial

from ance_plugin.cli.flags import new_parser
from ance_plugin.cli.run import run
from ance_plugin.cli.search import add_search_flags, search


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, search, return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = new_parser(
        "ance_plugin.search",
        "Search for topics with BM25 (--sparse-index), a dense index (--index), or both fused.",
    )
    add_search_flags(parser)
    return run(parser, partial(search, words=words), words)


if __name__ == "__main__":
    sys.exit(main())

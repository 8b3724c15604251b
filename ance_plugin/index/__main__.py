"""Build an index: ``python -m ance_plugin.index bm25``, ``dense`` or ``lucene-flat|hnsw``."""

import sys
from collections.abc import Sequence

from ance_plugin.cli.index import new_index_parser
from ance_plugin.cli.run import run


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, build the index, return the exit code."""
    return run(new_index_parser(), lambda args: args.start(args), argv)


if __name__ == "__main__":
    sys.exit(main())

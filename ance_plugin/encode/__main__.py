"""Encode a collection, or export a checkpoint: ``python -m ance_plugin.encode [export]``."""

import sys
from collections.abc import Sequence

from ance_plugin.cli.encode import (
    new_encode_parser,
    new_export_parser,
    start_encode,
    start_export,
)
from ance_plugin.cli.run import run


def main(argv: Sequence[str] | None = None) -> int:
    """Encode, or export if the first word says so; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["export"]:
        return run(new_export_parser(), start_export, words[1:])
    return run(new_encode_parser(), start_encode, words)


if __name__ == "__main__":
    sys.exit(main())

"""The console script: ``ance STAGE ...`` is ``python -m ance_plugin.STAGE ...``."""

import sys
from collections.abc import Sequence
from importlib import import_module

from ance_plugin.version import describe_versions

# The comparison is a package of its own, above this one; here it is a name to start by.
STAGES = {
    "index": ("ance_plugin.index.__main__", "build a BM25 or dense index"),
    "encode": ("ance_plugin.encode.__main__", "encode a collection into vectors"),
    "search": ("ance_plugin.search.__main__", "search for topics, write a run"),
    "rerank": ("ance_plugin.rerank.__main__", "rerank a run with a cross-encoder"),
    "train": ("ance_plugin.train.__main__", "train an encoder or a cross-encoder"),
    "fusion": ("ance_plugin.fusion.__main__", "fuse runs, or tune how"),
    "evaluation": ("evaluation.__main__", "compare runs"),
    "doctor": ("ance_plugin.doctor", "say what works on this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Start the stage that the first word names; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        sys.stdout.write(f"ance-plugin {describe_versions()['ance-plugin']}\n")
        return 0
    if words[:1] in (["--help"], ["-h"]):
        sys.stdout.write(_usage())
        return 0
    if not words or words[0] not in STAGES:
        found = f"ance: error: there is no stage {words[0]!r}\n" if words else ""
        sys.stderr.write(f"{_usage()}{found}")
        return 2
    code: int = import_module(STAGES[words[0]][0]).main(words[1:])
    return code


def _usage() -> str:
    stages = "".join(f"  {name:<11}{what}\n" for name, (_, what) in STAGES.items())
    return f"usage: ance STAGE ...\n\n{stages}\nance STAGE --help lists a stage's flags\n"

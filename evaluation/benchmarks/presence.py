"""Which parts of a benchmark are on this machine, found without opening a dataset.

Importing ir-datasets makes folders in its home, and asking it for a file may download one; here
its home is only looked into.
"""

import os
from pathlib import Path

from ance_plugin.formats.stdlib_docs import NAME as STDLIB_DOCS
from evaluation.benchmarks.table import Benchmark

_FIELDS = {"documents": "collection", "topics": "topics", "qrels": "qrels", "answers": "answers"}
_HOME = "IR_DATASETS_HOME"


def find_home() -> Path:
    """Name the folder in which ir-datasets keeps its files, whether it is there or not."""
    return Path(os.environ.get(_HOME) or Path.home() / ".ir_datasets")


def find_missing(benchmark: Benchmark) -> list[str]:
    """List the parts that are not here and would be downloaded, or must be given.

    Args:
        benchmark: Which one.

    Returns:
        Of documents, topics, qrels and answers; empty where everything is here.
    """
    names = {name: getattr(benchmark, field) for name, field in _FIELDS.items()}
    needed = {part for part in ("qrels", "answers") if names[part]} or {"qrels"}
    needed |= {"documents", "topics"}
    return [
        part
        for part, name in names.items()
        if part in needed and not _is_here(benchmark, part, name)
    ]


def _is_here(benchmark: Benchmark, part: str, name: str) -> bool:
    if not name:
        return False
    if name.partition("/")[0] == STDLIB_DOCS or Path(name).exists():
        return True
    return any((find_home() / file).is_file() for file in benchmark.files.get(part, ()))

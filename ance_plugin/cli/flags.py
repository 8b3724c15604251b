"""Flags that more than one command has, declared once, with Pyserini's names where it has one."""

import argparse
from pathlib import Path


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Make a parser whose help shows defaults and whose flags cannot be abbreviated."""
    return argparse.ArgumentParser(
        prog=f"python -m {prog}", description=description, allow_abbrev=False
    )


def positive_int(text: str) -> int:
    """Parse an integer of at least one."""
    return _at_least(text, 1)


def natural_int(text: str) -> int:
    """Parse an integer of at least zero."""
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected an integer of at least {least}, found {text!r}")
    return value


def add_output(
    parser: argparse.ArgumentParser, help_text: str, *, overwrites: bool = False
) -> None:
    """Add ``--output``, and ``--overwrite`` where the output is a directory."""
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help=help_text)
    if overwrites:
        parser.add_argument(
            "--overwrite", action="store_true", help="replace an output that exists"
        )


def add_collection(parser: argparse.ArgumentParser) -> None:
    """Add ``--collection``."""
    parser.add_argument(
        "--collection",
        required=True,
        metavar="C",
        help="JSONL file or folder, BEIR folder, DPR or id<TAB>text TSV (plain or .gz), "
        "an ir-datasets id, or pydoc",
    )


def add_topics(parser: argparse.ArgumentParser) -> None:
    """Add ``--topics``."""
    parser.add_argument(
        "--topics",
        required=True,
        metavar="T",
        help="TSV, JSONL, TREC or DPR question file (plain or .gz), an ir-datasets id, "
        "or pydoc/train, pydoc/dev, pydoc/test",
    )


def add_run_output(parser: argparse.ArgumentParser) -> None:
    """Add what every command that writes a run has."""
    add_output(parser, "run file to write; PATH.json beside it says how it was made")
    parser.add_argument(
        "--output-format",
        choices=["trec", "msmarco"],
        default="trec",
        help="trec: qid Q0 docid rank score tag; msmarco: qid docid rank (default: %(default)s)",
    )
    parser.add_argument("--tag", help="last column of a TREC run (default: names the method)")

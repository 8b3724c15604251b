"""Flags that more than one command has, declared once, with Pyserini's names where it has one."""

import argparse
from pathlib import Path
from typing import Any

from ance_plugin.encode.recipes import RECIPES


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


def _run_path(text: str) -> Path:
    """Parse the name of a run; ``RUN.json`` is that of the manifest of another."""
    if text.endswith(".json"):
        raise argparse.ArgumentTypeError(
            f"{text!r} would be the manifest of the run {text.removesuffix('.json')!r}; expected a "
            "name without .json"
        )
    return Path(text)


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
    parser.add_argument(
        "--output",
        type=_run_path,
        required=True,
        metavar="PATH",
        help="run file to write; PATH.json beside it says how it was made",
    )
    parser.add_argument(
        "--output-format",
        choices=["trec", "msmarco"],
        default="trec",
        help="trec: qid Q0 docid rank score tag; msmarco: qid docid rank (default: %(default)s)",
    )
    parser.add_argument("--tag", help="last column of a TREC run (default: names the method)")


def add_encoder(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    """Add what says which encoder, where it computes, and which of its settings to replace."""
    add_checkpoint(parser, is_required=is_required)
    add_computing(parser, batch_size=256, what="texts")


def add_computing(parser: argparse.ArgumentParser, *, batch_size: int, what: str) -> None:
    """Add where a model computes, how precisely, and how many ``what`` at once."""
    add = parser.add_argument
    add("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    add(
        "--precision",
        choices=["fp32", "bf16", "fp16"],
        help="of the body (default: bf16 where the device has instructions for it, else fp32)",
    )
    add(
        "--batch-size",
        type=positive_int,
        default=batch_size,
        metavar="N",
        help=f"{what} a batch at most; long {what} go in smaller ones (default: %(default)s)",
    )


def add_checkpoint(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    """Add what says which encoder, and which of its settings to replace."""
    default = "" if is_required else " (default: the one that made the index)"
    parser.add_argument(
        "--encoder",
        required=is_required,
        metavar="E",
        help=f"checkpoint folder, or name on the model hub{default}",
    )
    settings = parser.add_argument_group("settings to use in place of the checkpoint's own")
    add = settings.add_argument
    add(
        "--recipe",
        choices=list(RECIPES),
        help="treat texts as they were for Pyserini's prebuilt index of this kind; flags beside it "
        "win (default: the checkpoint's own)",
    )
    add("--max-length", type=positive_int, metavar="N", help="tokens a document is cut to")
    add("--max-query-length", type=positive_int, metavar="N", help="tokens a query is cut to")
    add("--pooling", choices=["cls", "mean"], help="how token states become one vector")
    add("--template", metavar="TEXT", help='how a document is joined (default: "{title} {text}")')
    flag = argparse.BooleanOptionalAction
    add("--l2-norm", action=flag, help="bring vectors to length one")
    add("--lowercase", action=flag, help="lower-case texts before the tokenizer sees them")


def read_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Collect the recipe and the settings that were given, as ``load_checkpoint`` takes them."""
    given = {
        "recipe": args.recipe,
        "max_document_tokens": args.max_length,
        "max_query_tokens": args.max_query_length,
        "pooling": args.pooling,
        "template": args.template,
        "is_normalized": args.l2_norm,
        "is_lowercased": args.lowercase,
    }
    return {name: value for name, value in given.items() if value is not None}

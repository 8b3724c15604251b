"""``python -m evaluation qa``."""

import argparse
import sys
from pathlib import Path

from ance_plugin.cli.flags import add_collection, add_topics, positive_int
from ance_plugin.errors import printable


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``qa``."""
    text = "Top-k answer accuracy of runs, as DPR defines it."
    parser = commands.add_parser("qa", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_qa)
    add = parser.add_argument
    help_text = "TREC runs, or .gz; several make one table"
    add("--run", required=True, type=Path, nargs="+", metavar="RUN", help=help_text)
    add_topics(parser)
    text = (
        "DPR question<TAB>['answer', ...] lines, JSONL with qid or question and answers, DPR's "
        "JSON, Pyserini's retrieval JSON (plain or .gz), one of Pyserini's topics names, or an "
        "ir-datasets id"
    )
    add("--answers", required=True, metavar="A", help=text)
    add_collection(parser)
    text = "numbers of passages (default: 1 5 20 100)"
    add("--topk", type=positive_int, nargs="+", metavar="K", default=[1, 5, 20, 100], help=text)
    text = "answers are regular expressions, as CuratedTREC's"
    add("--regex", action="store_true", help=text)
    text = "do not search a passage's first line, which is the title in Pyserini's contents"
    add("--skip-first-line", action="store_true", help=text)
    add("--baseline", metavar="NAME", help="file stem or tag of the run to test against (no tests)")
    corrections = ["holm", "bonferroni", "none"]
    text = "of p-values, over the systems at each k (default: %(default)s)"
    add("--correction", choices=corrections, default="holm", help=text)
    add("--alpha", type=float, default=0.05, help="level of significance (default: %(default)s)")
    text = "directory to write: tables and answers.json (default: the table on stdout alone)"
    add("--output", type=Path, metavar="PATH", help=text)
    add("--overwrite", action="store_true", help="replace an output that exists")


def _qa(args: argparse.Namespace) -> None:
    from contextlib import nullcontext

    from ance_plugin.artifacts import new_directory
    from evaluation import qa, qa_report

    settings = qa.Settings(
        topk=tuple(args.topk),
        is_regex=args.regex,
        skips_first_line=args.skip_first_line,
        correction=args.correction,
        alpha=args.alpha,
    )
    output = (
        nullcontext()
        if args.output is None
        else new_directory(args.output, overwrite=args.overwrite)
    )
    with output as directory:
        accuracy = qa.judge_runs(
            args.run,
            topics=args.topics,
            answers=args.answers,
            collection=args.collection,
            settings=settings,
            baseline=args.baseline,
        )
        if directory is not None:
            qa_report.write_report(directory, accuracy)
    sys.stdout.write(printable(qa_report.format_terminal(accuracy)))

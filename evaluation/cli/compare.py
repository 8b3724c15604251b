"""``python -m evaluation compare``."""

import argparse
import sys
from pathlib import Path

from ance_plugin.cli.flags import add_output, positive_int


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``compare``."""
    text = "Measure runs on the same topics and test them against a baseline."
    parser = commands.add_parser("compare", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_compare)
    add = parser.add_argument
    add("--qrels", required=True, metavar="Q", help="qrels file or an ir-datasets id")
    add("--runs", required=True, type=Path, nargs="+", metavar="RUN", help="TREC runs, or .gz")
    add(
        "--measures",
        nargs="+",
        metavar="M",
        default=["ndcg@10", "recall@100", "mrr@10"],
        help="ranx names, such as map@1000-l2 (default: ndcg@10 recall@100 mrr@10)",
    )
    add("--baseline", metavar="NAME", help="file stem or tag of the run to test against (no tests)")
    add("--test", choices=["student", "fisher"], default="student", help="(default: %(default)s)")
    corrections = ["holm", "bonferroni", "none"]
    text = "of p-values, over the systems within each measure (default: %(default)s)"
    add("--correction", choices=corrections, default="holm", help=text)
    add("--alpha", type=float, default=0.05, help="level of significance (default: %(default)s)")
    text = "signs drawn by --test fisher (default: %(default)s)"
    add("--permutations", type=positive_int, default=100_000, metavar="N", help=text)
    add("--seed", type=int, default=0, metavar="N", help="of the signs (default: %(default)s)")
    add_output(parser, "directory to write: tables and comparison.json", overwrites=True)
    text = "log more, and show tracebacks"
    add("--verbose", action="store_true", default=argparse.SUPPRESS, help=text)


def _compare(args: argparse.Namespace) -> None:
    from ance_plugin.artifacts import new_directory
    from evaluation import compare, report

    settings = compare.Settings(
        measures=tuple(dict.fromkeys(args.measures)),
        test=args.test,
        correction=args.correction,
        alpha=args.alpha,
        permutations=args.permutations,
        seed=args.seed,
    )
    with new_directory(args.output, overwrite=args.overwrite) as directory:
        comparison = compare.compare_runs(
            args.qrels, args.runs, settings=settings, baseline=args.baseline
        )
        report.write_report(directory, comparison)
    sys.stdout.write(report.format_terminal(comparison))

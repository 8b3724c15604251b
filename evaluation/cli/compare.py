"""``python -m evaluation compare``."""

import argparse
import sys
from pathlib import Path

from ance_plugin.cli.flags import add_output, positive_int
from ance_plugin.errors import printable


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
        help="ranx names, such as map@1000-l2, judged@10 and hole_rate@10 "
        "(default: ndcg@10 recall@100 mrr@10)",
    )
    _add_tests(parser)
    text = "of the topics, for the page: a file or an ir-datasets id (default: qids alone)"
    add("--topics", metavar="T", help=text)
    text = "of the hits' texts, for the page: a file, folder or id (default: docids alone)"
    add("--collection", metavar="C", help=text)
    text = "latency.json of evaluation latency (default: the seconds beside each run)"
    add("--latency", type=Path, metavar="FILE", help=text)
    add_output(parser, "directory to write: a page, tables, comparison.json", overwrites=True)
    text = "log more, and show tracebacks"
    add("--verbose", action="store_true", default=argparse.SUPPRESS, help=text)


def _add_tests(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--baseline", metavar="NAME", help="file stem or tag of the run to test against (no tests)")
    text = "test every two systems; superscripts name those that one is better than"
    add("--all-pairs", action="store_true", help=text)
    tests = ["student", "fisher", "tukey", "randomised-tukey"]
    text = "Tukey's are for all pairs, and correct by themselves (default: %(default)s)"
    add("--test", choices=tests, default="student", help=text)
    corrections = ["holm", "bonferroni", "none"]
    text = "of p-values, over the systems or pairs within each measure (default: holm)"
    add("--correction", choices=corrections, help=text)
    add("--alpha", type=float, default=0.05, help="level of significance (default: %(default)s)")
    text = "draws of --test fisher and randomised-tukey (default: %(default)s)"
    add("--permutations", type=positive_int, default=100_000, metavar="N", help=text)
    add("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")


def _compare(args: argparse.Namespace) -> None:
    from ance_plugin.artifacts import new_directory
    from evaluation import compare, report
    from evaluation.significance import is_simultaneous

    corrects_itself = is_simultaneous(args.test)
    settings = compare.Settings(
        measures=tuple(dict.fromkeys(args.measures)),
        test=args.test,
        correction=args.correction or ("none" if corrects_itself else "holm"),
        alpha=args.alpha,
        permutations=args.permutations,
        seed=args.seed,
        all_pairs=args.all_pairs or (corrects_itself and args.baseline is None),
    )
    with new_directory(args.output, overwrite=args.overwrite) as directory:
        comparison = compare.compare_runs(
            args.qrels,
            args.runs,
            settings=settings,
            baseline=args.baseline,
            topics=args.topics,
            collection=args.collection,
            latency=args.latency,
        )
        report.write_report(directory, comparison)
    sys.stdout.write(printable(report.format_terminal(comparison)))

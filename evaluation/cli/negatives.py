"""``python -m evaluation negatives``."""

import argparse
import sys

from ance_plugin.cli.flags import add_output, add_topics, natural_int, positive_int
from ance_plugin.errors import printable


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``negatives``."""
    text = "Overlap, losses and gradients of negatives, as the ANCE paper analyses them."
    parser = commands.add_parser("negatives", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_negatives)
    add = parser.add_argument
    text = (
        "folder of a training run, all of whose checkpoints are looked at, or an encoder; give it "
        "again for others: encoders are taken for successive ones, in the order given"
    )
    add("--checkpoint", required=True, action="append", metavar="CKPT", help=text)
    add_topics(parser)
    text = "of the topics (default: the run's, of its dev topics; else what --topics names)"
    add("--qrels", metavar="Q", help=text)
    add("--collection", metavar="C", help="as everywhere (default: the training run's)")
    text = "Lucene index for BM25's negatives (default: the training run's, else without BM25)"
    add("--sparse-index", metavar="DIR", help=text)
    add("--bm25-run", metavar="RUN", help="BM25's run of the topics, in place of an index")
    text = "first hits that are compared (default: %(default)s)"
    add("--depth", type=positive_int, default=100, metavar="N", help=text)
    text = "topics, drawn by --seed, whose triples are measured (default: %(default)s)"
    add("--num-topics", type=positive_int, default=50, metavar="N", help=text)
    text = "topics a batch, for in-batch negatives (default: %(default)s)"
    add("--batch-size", type=positive_int, default=32, metavar="N", help=text)
    text = "checkpoints of a training run at most, spread evenly (default: all that it kept)"
    add("--num-checkpoints", type=positive_int, metavar="N", help=text)
    add("--seed", type=natural_int, default=0, metavar="N", help="(default: %(default)s)")
    add("--threads", type=positive_int, default=2, metavar="N", help="of BM25 (default: 2)")
    add("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    text = "of the body (default: bf16 where the device has instructions for it, else fp32)"
    add("--precision", choices=["fp32", "bf16"], help=text)
    text = "directory to write: negatives.json, report.md and figures"
    add_output(parser, text, overwrites=True)


def _negatives(args: argparse.Namespace) -> None:
    from evaluation.negatives.analysis import analyse
    from evaluation.negatives.findings import Settings
    from evaluation.negatives.inputs import Names
    from evaluation.negatives.report import format_terminal

    analysis = analyse(
        args.checkpoint,
        Names(args.topics, args.qrels, args.collection, args.sparse_index, args.bm25_run),
        Settings(
            depth=args.depth,
            num_topics=args.num_topics,
            batch_size=args.batch_size,
            seed=args.seed,
            device=args.device,
            precision=args.precision,
        ),
        args.output,
        num_checkpoints=args.num_checkpoints,
        overwrite=args.overwrite,
        threads=args.threads,
    )
    sys.stdout.write(printable(format_terminal(analysis)))

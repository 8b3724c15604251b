"""The command that trains a cross-encoder: ``python -m ance_plugin.train cross-encoder``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ance_plugin.cli.flags import (
    add_collection,
    add_output,
    add_topics,
    natural_int,
    new_parser,
    positive_int,
)
from ance_plugin.cli.run import UsageError

if TYPE_CHECKING:
    from ance_plugin.formats.collection import Collection
    from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings, Dev

_DEV = ("dev_run", "dev_topics", "dev_qrels")


def new_cross_encoder_parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m ance_plugin.train cross-encoder``."""
    parser = new_parser(
        "ance_plugin.train cross-encoder",
        "Train a cross-encoder that reranks, with mined negatives. A training that was killed goes "
        "on with --resume.",
    )
    add_collection(parser)
    add_topics(parser)
    add = parser.add_argument
    add("--qrels", metavar="Q", help="judgments (default: the positives of the negatives' table)")
    add("--negatives", type=Path, required=True, metavar="N", help="mined negatives of the topics")
    add(
        "--init",
        required=True,
        metavar="M",
        help="classifier or body to start from: folder, or name on the model hub",
    )
    add_output(parser, "folder to make, which transformers and ance_plugin.rerank load")
    add("--resume", action="store_true", help="go on with a training that was killed")
    _add_training_flags(parser)
    _add_dev_flags(parser)
    return parser


def _add_training_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    counts = {
        "--num-steps": (1000, "steps in all"),
        "--batch-size": (8, "topics a step"),
        "--negatives-per-topic": (7, "negatives beside each positive"),
        "--max-length": (256, "tokens of query and document"),
        "--chunk-tokens": (16_384, "tokens that go through the model at once"),
    }
    for name, (default, what) in counts.items():
        add(
            name,
            type=positive_int,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    add(
        "--loss",
        choices=["softmax", "bce"],
        default="softmax",
        help="cross entropy of the positive among its group, or binary of each pair "
        "(default: %(default)s)",
    )
    add("--learning-rate", type=float, default=2e-5, metavar="X", help="peak (default: 2e-5)")
    add(
        "--lr-warmup-steps",
        type=natural_int,
        default=100,
        metavar="N",
        help="steps in which the rate rises (default: %(default)s)",
    )
    add("--weight-decay", type=float, default=0.01, metavar="X", help="(default: %(default)s)")
    add("--template", default="{title} {text}", metavar="TEXT", help="joins title and text")
    add("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    add(
        "--precision",
        choices=["fp32", "bf16"],
        help="of the body (default: bf16 where the device has instructions for it, else fp32)",
    )
    add(
        "--save-steps",
        type=positive_int,
        metavar="N",
        help="steps between states and dev measures (default: a tenth of all)",
    )
    add("--seed", type=natural_int, default=0, metavar="N", help="(default: %(default)s)")


def _add_dev_flags(parser: argparse.ArgumentParser) -> None:
    dev = parser.add_argument_group("choose the weights that rerank a dev run best, never a test's")
    add = dev.add_argument
    add("--dev-run", type=Path, metavar="RUN", help="first-stage run of dev topics")
    add("--dev-topics", metavar="T", help="their topics")
    add("--dev-qrels", metavar="Q", help="their judgments")
    add("--dev-depth", type=positive_int, metavar="N", help="documents to rerank (default: 100)")
    add("--dev-measure", metavar="M", help="such as mrr@10 (default: ndcg@10)")


def start_cross_encoder(args: argparse.Namespace) -> None:
    """Train the cross-encoder that the flags describe.

    Args:
        args: What was parsed.

    Raises:
        UsageError: The flags do not fit together.
    """
    settings = _check_flags(args)
    from ance_plugin.disk import require_absent
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.qrels import read_qrels
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.train.cross_encoder import train_cross_encoder
    from ance_plugin.train.groups import make_groups, read_group_documents
    from ance_plugin.train.negatives.table import read_negatives, require_collection

    if not args.resume:
        require_absent(args.output)
    collection = Collection(args.collection)
    qrels = read_qrels(args.qrels) if args.qrels else None
    negatives = read_negatives(args.negatives)
    if "collection" in negatives.metadata:
        described = collection.describe(collection.scan())
        require_collection(negatives, described, path=args.negatives)
    groups = make_groups(negatives, read_topics(args.topics), qrels=qrels)
    dev = _read_dev(args, collection)
    documents = read_group_documents(groups, collection, source=args.collection)
    train_cross_encoder(
        groups,
        documents,
        args.output,
        init=args.init,
        settings=settings,
        dev=dev,
        device=args.device,
        is_resumed=args.resume,
    )


def _check_flags(args: argparse.Namespace) -> "CrossEncoderSettings":
    from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings

    given = [name for name in _DEV if getattr(args, name) is not None]
    if given and len(given) < len(_DEV):
        raise UsageError("--dev-run, --dev-topics and --dev-qrels go together")
    for name in ("dev_depth", "dev_measure"):
        if getattr(args, name) is not None and not given:
            raise UsageError(f"--{name.replace('_', '-')} needs --dev-run")
    names = CrossEncoderSettings.__dataclass_fields__.keys() & vars(args).keys()
    try:
        return CrossEncoderSettings(**{name: getattr(args, name) for name in names})
    except ValueError as err:
        raise UsageError(str(err)) from err


def _read_dev(args: argparse.Namespace, collection: "Collection") -> "Dev | None":
    if args.dev_run is None:
        return None
    from ance_plugin.formats.qrels import read_qrels
    from ance_plugin.formats.runs import read_run
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.measures import check_measures
    from ance_plugin.rerank.sources import find_documents, find_queries
    from ance_plugin.train.cross_encoder_settings import Dev

    measure, depth = args.dev_measure or "ndcg@10", args.dev_depth or 100
    check_measures([measure])
    if not args.dev_run.is_file():
        raise FileNotFoundError(f"--dev-run {args.dev_run}: no such run file")
    run = read_run(args.dev_run)
    queries = find_queries(run, read_topics(args.dev_topics), source=args.dev_topics)
    qrels = read_qrels(args.dev_qrels)
    documents = find_documents(run, collection, depth=depth, source=args.collection)
    return Dev(run, queries, documents, qrels, measure, depth)

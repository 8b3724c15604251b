"""``python -m evaluation latency``."""

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Any

from ance_plugin.cli.flags import (
    add_checkpoint,
    add_output,
    add_topics,
    natural_int,
    positive_int,
)
from ance_plugin.cli.run import UsageError
from ance_plugin.errors import printable

if TYPE_CHECKING:
    from evaluation.latency import Settings
    from evaluation.latency_run import Request


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``latency``."""
    text = "Time systems on the same queries, in turns: BM25, dense, hybrid, BM25 with reranking."
    parser = commands.add_parser("latency", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_latency)
    add_topics(parser)
    add = parser.add_argument
    text = "texts to rerank, and documents to time encoding with; a path or an ir-datasets id"
    add("--collection", metavar="C", help=text)
    add("--sparse-index", metavar="DIR", help="Lucene index, or a prebuilt one's name")
    add("--index", metavar="DIR", help="dense index, or a prebuilt one's name")
    add("--ef-search", type=positive_int, metavar="N", help="HNSW's breadth (default: the index's)")
    add("--nprobe", type=positive_int, metavar="N", help="IVF's lists to visit (default: FAISS's)")
    add_checkpoint(parser, is_required=False)
    add("--reranker", metavar="CE", help="cross-encoder: folder, or name on the model hub")
    text = "BM25 hits that it scores again (default: 100 1000)"
    add("--depth", type=positive_int, nargs="+", metavar="N", default=[100, 1000], help=text)
    text = "hits of BM25, dense and hybrid search (default: %(default)s)"
    add("--hits", type=positive_int, metavar="N", default=100, help=text)
    _add_measuring(parser)
    _add_computing(parser)
    text = "directory to write: latency.json, latency.md, latency.csv"
    add_output(parser, text, overwrites=True)
    text = "log more, and show tracebacks"
    add("--verbose", action="store_true", default=argparse.SUPPRESS, help=text)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how much is measured").add_argument
    text = "topics to ask, drawn from all (default: %(default)s)"
    add("--num-topics", type=positive_int, metavar="N", default=100, help=text)
    text = "times each is asked (default: %(default)s)"
    add("--repeats", type=positive_int, metavar="N", default=1, help=text)
    text = "queries before any counts, fewer for slow systems (default: %(default)s)"
    add("--warmup", type=positive_int, metavar="N", default=50, help=text)
    text = "queries of a batch; 1 times single queries alone (default: %(default)s)"
    add("--batch-size", type=positive_int, metavar="N", default=32, help=text)
    text = "for each system and batch size; slower ones answer fewer topics (default: %(default)s)"
    add("--max-seconds", type=float, metavar="S", default=120.0, help=text)
    text = "documents to time encoding with; 0 times none (default: %(default)s)"
    add("--sample-documents", type=natural_int, metavar="N", default=256, help=text)
    text = "of the topics drawn and the order of systems (default: %(default)s)"
    add("--seed", type=natural_int, metavar="N", default=0, help=text)


def _add_computing(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "of PyTorch, FAISS and Lucene (default: what PyTorch takes)"
    add("--threads", type=positive_int, metavar="N", help=text)
    add("--device", metavar="D", help="of both models (default: the best there is)")
    text = "of both models (default: bf16 where the device has instructions for it, else fp32)"
    add("--precision", choices=["fp32", "bf16", "fp16"], help=text)


def _latency(args: argparse.Namespace) -> None:
    settings = _read_settings(args)
    from ance_plugin.artifacts import new_directory
    from evaluation import latency_report
    from evaluation.latency_run import run_latency

    with new_directory(args.output, overwrite=args.overwrite) as directory:
        report = run_latency(_read_request(args), settings)
        latency_report.write_report(directory, report)
    sys.stdout.write(printable(latency_report.format_terminal(report)))


def _read_settings(args: argparse.Namespace) -> "Settings":
    """Refuse flags that do not fit together, before anything is loaded."""
    from evaluation.latency import Settings

    if not (args.index or args.sparse_index):
        raise UsageError("give --sparse-index for BM25, --index for dense search, or both")
    if args.reranker and not (args.sparse_index and args.collection):
        raise UsageError("--reranker needs --sparse-index, whose hits it scores, and --collection")
    for name in ("ef_search", "nprobe", "encoder"):
        if getattr(args, name) is not None and not args.index:
            raise UsageError(f"--{name.replace('_', '-')} needs --index")
    try:
        return Settings(
            batch_size=args.batch_size,
            repeats=args.repeats,
            num_warmup=args.warmup,
            max_seconds=args.max_seconds,
            seed=args.seed,
        )
    except ValueError as err:
        raise UsageError(str(err)) from err


def _read_request(args: argparse.Namespace) -> "Request":
    from evaluation.latency_run import Request

    return Request(
        topics=args.topics,
        num_topics=args.num_topics,
        collection=args.collection,
        sparse_index=args.sparse_index,
        reranker=args.reranker,
        depths=tuple(sorted(set(args.depth))),
        hits=args.hits,
        threads=args.threads,
        device=args.device,
        precision=args.precision,
        num_sample_documents=args.sample_documents if args.index and args.collection else 0,
        open_dense=(lambda: _open_dense(args)) if args.index else None,
        command=shlex.join(["python", "-m", "evaluation", *sys.argv[1:]]),
    )


def _open_dense(args: argparse.Namespace) -> Any:  # noqa: ANN401 - a VectorSearcher
    """Open index and encoder as the search command does."""
    from ance_plugin.cli.dense import open_dense
    from ance_plugin.encode.encoder import BATCH_SIZE

    rest = {"encoded_queries": None, "max_passage": True, "batch_size": BATCH_SIZE}
    return open_dense(argparse.Namespace(**{**vars(args), **rest}))

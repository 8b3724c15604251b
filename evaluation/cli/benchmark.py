"""``python -m evaluation benchmark``."""

import argparse
import shlex
import sys
from pathlib import Path

from ance_plugin.cli.flags import add_output, positive_int
from ance_plugin.cli.run import UsageError
from ance_plugin.errors import printable
from ance_plugin.search.bm25 import K1, B
from evaluation.benchmarks.layout import KINDS


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``benchmark``."""
    text = (
        "Make every run of a benchmark and the report. What is there already and verifies is "
        "reused, so a command that was killed goes on when it is given again."
    )
    parser = commands.add_parser("benchmark", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(start=_benchmark)
    add = parser.add_argument
    add("benchmark", metavar="NAME", help='one of "python -m evaluation list", or a TOML file')
    add_output(parser, "folder of the report", overwrites=True)
    text = "where indexes, vectors and runs are kept (default: artifacts beside the output)"
    add("--artifacts", type=Path, metavar="DIR", help=text)
    text = "checkpoint folder or hub name, once or more; NAME= names its systems (default: dense)"
    add("--encoder", action="append", default=[], metavar="[NAME=]E", help=text)
    add("--reranker", metavar="M", help="cross-encoder: folder, or name on the model hub")
    text = "what to make (default: all that can be, but rrf-rerank)"
    add("--systems", nargs="+", choices=KINDS, metavar="S", help=f"{text}: {', '.join(KINDS)}")
    _add_settings(parser)
    add("--baseline", metavar="NAME", help="system the others are tested against (default: bm25)")
    text = "latency.json of evaluation latency (default: the seconds that runs recorded)"
    add("--latency", type=Path, metavar="FILE", help=text)
    add("--topics", metavar="T", help="topics in place of the benchmark's")
    add("--answers", metavar="FILE", help="answers in place of the benchmark's")
    add("--dry-run", action="store_true", help="say what would be made, and make nothing")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "documents a topic that --reranker scores (default: %(default)s)"
    add("--depth", type=positive_int, default=100, metavar="N", help=text)
    text = "BM25's term saturation (default: %(default)s)"
    add("--k1", type=float, default=K1, metavar="X", help=text)
    text = "BM25's length normalisation (default: %(default)s)"
    add("--b", type=float, default=B, metavar="X", help=text)
    add("--factory", default="Flat", help="of the FAISS index (default: %(default)s)")
    text = "of indexing and searching (default: %(default)s)"
    add("--threads", type=positive_int, default=2, metavar="N", help=text)
    add("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    text = "of models (default: bf16 where the device has instructions for it, else fp32)"
    add("--precision", choices=["fp32", "bf16", "fp16"], help=text)
    text = "texts or pairs a batch at most (default: the commands' own)"
    add("--batch-size", type=positive_int, metavar="N", help=text)


def _benchmark(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from evaluation.benchmarks.layout import Settings
    from evaluation.benchmarks.models import Computing
    from evaluation.benchmarks.run import Order, describe_plan, run_benchmark
    from evaluation.benchmarks.table import find_benchmark

    benchmark = find_benchmark(args.benchmark)
    given = {name: getattr(args, name) for name in ("topics", "answers") if getattr(args, name)}
    try:
        settings = Settings(
            kinds=tuple(dict.fromkeys(args.systems)) if args.systems else None,
            k1=args.k1,
            b=args.b,
            factory=args.factory,
            rerank_depth=args.depth,
            threads=args.threads,
            computing=Computing(args.device, args.precision, args.batch_size),
        )
        order = Order(
            benchmark=replace(benchmark, **given),
            encoders=_read_encoders(args.encoder),
            reranker=args.reranker,
            settings=settings,
            output=args.output,
            artifacts=args.artifacts or args.output.parent / "artifacts",
            baseline=args.baseline,
            latency=args.latency,
            command=shlex.join(["python", "-m", "evaluation", *sys.argv[1:]]),
            overwrite=args.overwrite,
            is_verbose=args.verbose,
        )
    except ValueError as err:
        raise UsageError(str(err)) from err
    sys.stdout.write(printable(describe_plan(order) if args.dry_run else run_benchmark(order)))


def _read_encoders(words: list[str]) -> dict[str, str]:
    """Read ``NAME=E``; a path may hold ``=`` too, after a slash."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, checkpoint = word.partition("=")
        if not equals or "/" in name:
            name, checkpoint = "dense", word
        if name in found:
            raise UsageError(f"--encoder: two are named {name!r}; write NAME={checkpoint}")
        found[name] = checkpoint
    return found

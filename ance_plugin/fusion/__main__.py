"""Fuse run files, or tune a fusion method: ``python -m ance_plugin.fusion [tune]``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from ance_plugin.cli.flags import add_output, add_run_output, new_parser
from ance_plugin.cli.run import UsageError, run
from ance_plugin.errors import printable
from ance_plugin.fusion.flags import add_fuse_flags, add_tune_flags, read_params


def main(argv: Sequence[str] | None = None) -> int:
    """Fuse, or tune if the first word says so; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["tune"]:
        return run(_tune_parser(), _tune, words[1:])
    parser = _fuse_parser()
    return run(parser, partial(_fuse, words=words), words)


def _fuse_parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "ance_plugin.fusion",
        'Fuse run files. "python -m ance_plugin.fusion tune --help" chooses settings on a dev set.',
    )
    add_fuse_flags(parser)
    add_run_output(parser)
    return parser


def _tune_parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "ance_plugin.fusion tune", "Choose a fusion method's settings on judged topics."
    )
    add_tune_flags(parser)
    add_output(parser, "JSON file to write, for --params")
    return parser


def _fuse(args: argparse.Namespace, words: list[str]) -> None:
    try:
        params = read_params(args)
    except ValueError as err:
        raise UsageError(str(err)) from err
    from ance_plugin.fusion.files import Destination, fuse_files
    from ance_plugin.fusion.tuned import read_tuned

    command = ("python", "-m", "ance_plugin.fusion", *words)
    destination = Destination(args.output, args.tag, args.output_format, command)
    settings = params or read_tuned(args.params)
    fuse_files(args.runs, settings, destination, hits=args.hits, allow_leak=args.allow_leak)


def _tune(args: argparse.Namespace) -> None:
    from ance_plugin.fusion.files import tune_files

    report = tune_files(
        args.runs,
        args.qrels,
        args.output,
        method=args.method,
        measure=args.measure,
        norm=args.norm,
        depth=args.depth,
    )
    print(printable(report))


if __name__ == "__main__":
    sys.exit(main())

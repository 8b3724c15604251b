"""Encode a collection: ``python -m ance_plugin.encode``."""

import argparse
import sys
from collections.abc import Sequence

from ance_plugin.cli.flags import (
    add_collection,
    add_encoder,
    add_output,
    natural_int,
    new_parser,
    positive_int,
    read_overrides,
)
from ance_plugin.cli.run import UsageError, run


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags, encode, return the exit code."""
    parser = new_parser(
        "ance_plugin.encode",
        "Encode a collection into vectors. A run that was killed goes on where it stopped when the "
        "same command is given again.",
    )
    add_collection(parser)
    add_encoder(parser, is_required=True)
    add_output(parser, "folder of vectors to make", overwrites=True)
    add = parser.add_argument
    add("--shard-id", type=natural_int, default=0, metavar="I", help="this share (default: 0)")
    add("--shard-num", type=positive_int, default=1, metavar="N", help="shares (default: 1)")
    add(
        "--block-size",
        type=positive_int,
        default=8192,
        metavar="N",
        help="documents that are encoded, written and resumed as one (default: %(default)s)",
    )
    add(
        "--vector-type",
        choices=["float32", "float16"],
        default="float32",
        help="of the vectors on disk (default: %(default)s)",
    )
    return run(parser, _start, argv)


def _start(args: argparse.Namespace) -> None:
    if args.shard_id >= args.shard_num:
        raise UsageError(f"--shard-id {args.shard_id} must be below --shard-num {args.shard_num}")
    from ance_plugin.artifacts import refuse_existing
    from ance_plugin.encode.corpus import Shard, encode_collection
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.formats.collection import Collection

    refuse_existing(args.output, overwrite=args.overwrite)
    collection = Collection(args.collection)
    encoder = Encoder.load(
        args.encoder,
        overrides=read_overrides(args),
        device=args.device,
        precision=args.precision,
        batch_size=args.batch_size,
    )
    encode_collection(
        collection,
        encoder,
        args.output,
        shard=Shard(args.shard_id, args.shard_num),
        block_size=args.block_size,
        vector_type=args.vector_type,
        overwrite=args.overwrite,
    )


if __name__ == "__main__":
    sys.exit(main())

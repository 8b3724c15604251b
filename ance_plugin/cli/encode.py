"""The commands of ``python -m ance_plugin.encode``: encode a collection, export a checkpoint."""

import argparse

from ance_plugin.cli.flags import (
    add_checkpoint,
    add_collection,
    add_encoder,
    add_output,
    natural_int,
    new_parser,
    positive_int,
    read_overrides,
)
from ance_plugin.cli.run import UsageError

# The keys of encode.export.LAYOUTS, which loads PyTorch.
EXPORTS = ("pyserini", "sentence-transformers", "ance")


def new_encode_parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m ance_plugin.encode``."""
    parser = new_parser(
        "ance_plugin.encode",
        "Encode a collection into vectors. A run that was killed goes on where it stopped when the "
        'same command is given again. "python -m ance_plugin.encode export --help" writes a '
        "checkpoint in the layout of other libraries.",
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
        default=2048,
        metavar="N",
        help="documents that are encoded, written and resumed as one (default: %(default)s)",
    )
    add(
        "--vector-type",
        choices=["float32", "float16"],
        default="float32",
        help="of the vectors on disk (default: %(default)s)",
    )
    add(
        "--maxp",
        choices=["segments", "chunks"],
        help="several vectors a document: its passages, with docids docid#n (segments), or four "
        "chunks of --max-length tokens of one sequence, as Microsoft's (default: one vector)",
    )
    return parser


def new_export_parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m ance_plugin.encode export``."""
    parser = new_parser(
        "ance_plugin.encode export", "Write a checkpoint in another library's layout, or in ours."
    )
    add_checkpoint(parser, is_required=True)
    parser.add_argument("--to", choices=EXPORTS, required=True, help="whose layout to write")
    add_output(parser, "folder to make", overwrites=True)
    return parser


def start_encode(args: argparse.Namespace) -> None:
    """Encode the collection that the flags name."""
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
        maxp=args.maxp,
        overwrite=args.overwrite,
    )


def start_export(args: argparse.Namespace) -> None:
    """Export the checkpoint that the flags name."""
    from ance_plugin.artifacts import refuse_existing
    from ance_plugin.encode.checkpoint import load_checkpoint
    from ance_plugin.encode.export import export_checkpoint

    refuse_existing(args.output, overwrite=args.overwrite)
    checkpoint = load_checkpoint(args.encoder, **read_overrides(args))
    export_checkpoint(checkpoint, args.to, args.output, overwrite=args.overwrite)

"""The commands of ``python -m ance_plugin.index``: one for each kind of index."""

import argparse
from pathlib import Path

from ance_plugin.cli.flags import add_collection, add_output, new_parser, positive_int


def new_index_parser() -> argparse.ArgumentParser:
    """Make the parser, whose result has the function to call as ``start``."""
    parser = new_parser("ance_plugin.index", "Build an index that Pyserini opens too.")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    _add_bm25(kinds.add_parser("bm25", help="Lucene index of a collection", allow_abbrev=False))
    _add_dense(kinds.add_parser("dense", help="FAISS index of vectors", allow_abbrev=False))
    for graph, what in (("flat", "every vector compared"), ("hnsw", "a graph")):
        name = f"lucene-{graph}"
        _add_lucene(
            kinds.add_parser(name, help=f"Lucene index of vectors, {what}", allow_abbrev=False),
            graph,
        )
    return parser


def _add_bm25(parser: argparse.ArgumentParser) -> None:
    add_collection(parser)
    add_output(parser, "index folder to make", overwrites=True)
    parser.add_argument(
        "--threads", type=positive_int, default=2, metavar="N", help="Lucene's threads (default: 2)"
    )
    parser.set_defaults(start=_start_bm25)


def _add_dense(parser: argparse.ArgumentParser) -> None:
    _add_vectors(parser)
    parser.add_argument(
        "--factory",
        default="Flat",
        help="FAISS factory: Flat, HNSW32, IVF256,Flat, SQfp16, SQ8, PQ96 ... (default: Flat)",
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="FAISS's threads (default: its own choice)",
    )
    parser.set_defaults(start=_start_dense)


def _add_lucene(parser: argparse.ArgumentParser, graph: str) -> None:
    _add_vectors(parser)
    add = parser.add_argument
    if graph == "hnsw":
        add("--m", type=positive_int, default=16, metavar="N", help="links a vector (default: 16)")
        add(
            "--ef-construction",
            type=positive_int,
            default=100,
            metavar="N",
            help="breadth while the graph is built (default: %(default)s)",
        )
    add("--threads", type=positive_int, default=2, metavar="N", help="threads (default: 2)")
    parser.set_defaults(start=_start_lucene, graph=graph)


def _add_vectors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vectors", type=Path, required=True, metavar="VECS", help="what encode made"
    )
    add_output(parser, "index folder to make", overwrites=True)


def _start_bm25(args: argparse.Namespace) -> None:
    from ance_plugin.formats.collection import Collection
    from ance_plugin.index.bm25 import build_bm25_index

    collection = Collection(args.collection)
    build_bm25_index(collection, args.output, threads=args.threads, overwrite=args.overwrite)


def _start_dense(args: argparse.Namespace) -> None:
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index

    vectors = Vectors(args.vectors)
    build_dense_index(
        vectors,
        args.output,
        factory=args.factory,
        threads=args.threads,
        overwrite=args.overwrite,
    )


def _start_lucene(args: argparse.Namespace) -> None:
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.lucene_vectors import build_lucene_index

    given = {"m": args.m, "ef_construction": args.ef_construction} if args.graph == "hnsw" else {}
    build_lucene_index(
        Vectors(args.vectors),
        args.output,
        graph=args.graph,
        threads=args.threads,
        overwrite=args.overwrite,
        **given,
    )

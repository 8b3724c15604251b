"""The dense side of the search command: which index, which encoder, which feedback."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin.cli.flags import add_encoder, natural_int, positive_int, read_overrides
from ance_plugin.cli.run import UsageError

if TYPE_CHECKING:
    from ance_plugin.search.bm25 import Bm25Searcher
    from ance_plugin.search.prf import PrfMethod, PrfSearcher
    from ance_plugin.search.vectors import VectorSearcher

logger = logging.getLogger(__name__)

METHODS = ("avg", "rocchio", "ance-prf")
_ROCCHIO = ("rocchio_alpha", "rocchio_beta", "rocchio_gamma", "rocchio_topk", "rocchio_bottomk")
_PRF_ONLY = ("prf_method", "ance_prf_encoder", *_ROCCHIO)


def add_dense_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the index, the encoder and feedback."""
    add = parser.add_argument
    add(
        "--index",
        metavar="DIR",
        help="dense index folder (FAISS or Lucene), or a prebuilt index of Pyserini's by name",
    )
    add("--ef-search", type=positive_int, metavar="N", help="HNSW's breadth (default: the index's)")
    add("--nprobe", type=positive_int, metavar="N", help="IVF's lists to visit (default: FAISS's)")
    add(
        "--encoded-queries",
        type=Path,
        metavar="FILE",
        help="vectors of the topics, in place of an encoder: .npz, or Pyserini's embedding.pkl",
    )
    add_encoder(parser, is_required=False)
    _add_feedback_flags(parser)


def _add_feedback_flags(parser: argparse.ArgumentParser) -> None:
    feedback = parser.add_argument_group("pseudo-relevance feedback, before the dense search")
    add = feedback.add_argument
    add("--prf-depth", type=natural_int, metavar="N", help="hits fed back (default: no feedback)")
    add("--prf-method", choices=METHODS, help="how they change the query (default: avg)")
    add("--rocchio-alpha", type=float, metavar="X", help="weight of the query (default: 0.9)")
    add("--rocchio-beta", type=float, metavar="X", help="weight of the topk hits (default: 0.1)")
    add("--rocchio-gamma", type=float, metavar="X", help="weight of the bottomk (default: 0.1)")
    add("--rocchio-topk", type=positive_int, metavar="N", help="first hits used (default: 3)")
    add("--rocchio-bottomk", type=natural_int, metavar="N", help="last hits used (default: 0)")
    add(
        "--ance-prf-encoder",
        metavar="E",
        help="ANCE-PRF's query encoder; it reads the texts of hits from --sparse-index",
    )


def check_dense_flags(args: argparse.Namespace) -> None:
    """Raise UsageError where the flags of the dense side contradict each other."""
    if args.encoded_queries and (args.encoder or read_overrides(args)):
        raise UsageError("--encoded-queries takes the place of --encoder and its settings")
    given = [name for name in _PRF_ONLY if getattr(args, name) is not None]
    if not args.prf_depth:
        if given:
            raise UsageError(f"{_flag(given[0])} needs --prf-depth of at least 1")
        return
    if not args.index:
        raise UsageError("--prf-depth needs --index")
    rocchio = [name for name in given if name in _ROCCHIO]
    if rocchio and args.prf_method != "rocchio":
        raise UsageError(f"{_flag(rocchio[0])} needs --prf-method rocchio")
    needs_texts = args.prf_method == "ance-prf"
    if needs_texts and not (args.ance_prf_encoder and args.sparse_index):
        raise UsageError("--prf-method ance-prf needs --ance-prf-encoder and --sparse-index")
    if args.ance_prf_encoder and not needs_texts:
        raise UsageError("--ance-prf-encoder needs --prf-method ance-prf")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def open_dense(args: argparse.Namespace) -> "VectorSearcher":
    """Open the index with its own encoder, or the one that was named, settings included."""
    from ance_plugin.index.lucene_vectors import KIND
    from ance_plugin.index.prebuilt import resolve_index
    from ance_plugin.index.stored import peek_metadata

    path = resolve_index(args.index)
    metadata = peek_metadata(path)
    if metadata.get("kind") == "bm25-index":
        raise ValueError(f"{path}: is a bm25-index; give it to --sparse-index")
    if metadata.get("maxp") and not args.max_passage:
        what = metadata["maxp"]
        logger.warning("%s holds passages (%s); --max-passage makes documents of them", path, what)
    encoder = _open_encoder(args, metadata)
    if metadata.get("kind") == KIND:
        from ance_plugin.search.lucene_dense import LuceneDenseSearcher

        if args.nprobe is not None:
            raise ValueError(f"{path}: a Lucene index has no parameter nprobe")
        return LuceneDenseSearcher(path, encoder, ef_search=args.ef_search)
    from ance_plugin.search.dense import DenseSearcher

    return DenseSearcher(
        path, encoder, ef_search=args.ef_search, nprobe=args.nprobe, device=args.device
    )


def _open_encoder(args: argparse.Namespace, metadata: dict[str, Any]) -> Any:  # noqa: ANN401 - Encoder or EncodedQueries
    if args.encoded_queries:
        from ance_plugin.encode.queries import read_encoded_queries

        return read_encoded_queries(args.encoded_queries)
    made_with = metadata.get("encoder") or _find_known_encoder(args.index)
    name = args.encoder or made_with.get("name")
    if name is None:
        raise UsageError(f"{args.index} does not say which encoder made it; give --encoder")
    return _load(args, name, {**made_with.get("overrides", {}), **read_overrides(args)})


def _find_known_encoder(index: str) -> dict[str, Any]:
    """Say what is known of the encoder of a prebuilt index; nothing of a folder."""
    from ance_plugin.index.prebuilt import find_prebuilt

    prebuilt = None if Path(index).exists() else find_prebuilt(index)
    if prebuilt is None or prebuilt.encoder is None:
        return {}
    return {"name": prebuilt.encoder, "overrides": {"recipe": prebuilt.recipe}}


def _load(args: argparse.Namespace, name: str, overrides: dict[str, Any]) -> Any:  # noqa: ANN401 - an Encoder, which loads PyTorch
    from ance_plugin.encode.encoder import Encoder

    options = {"device": args.device, "precision": args.precision, "batch_size": args.batch_size}
    return Encoder.load(name, overrides=overrides, **options)


def open_feedback(
    args: argparse.Namespace, dense: "VectorSearcher", sparse: "Bm25Searcher | None"
) -> "PrfSearcher | None":
    """Put the feedback that the flags ask for around a dense searcher; None without feedback."""
    if not args.prf_depth:
        return None
    from ance_plugin.search.prf import PrfSearcher

    return PrfSearcher(dense, _make_method(args, sparse), args.prf_depth)


def _make_method(args: argparse.Namespace, sparse: "Bm25Searcher | None") -> "PrfMethod":
    from ance_plugin.search.prf import AncePrf, AveragePrf, RocchioPrf

    if args.prf_method == "rocchio":
        given = {name.removeprefix("rocchio_"): getattr(args, name) for name in _ROCCHIO}
        return RocchioPrf(**{name: value for name, value in given.items() if value is not None})
    if args.prf_method == "ance-prf" and sparse is not None:
        return AncePrf(
            _load(args, args.ance_prf_encoder, read_overrides(args)), sparse.read_contents
        )
    return AveragePrf()


def describe_dense(args: argparse.Namespace, dense: "VectorSearcher") -> dict[str, Any]:
    """Say everything of the dense side that decides the run."""
    from ance_plugin.index.stored import summarise_metadata

    encoder: Any = dense.encoder
    described = {"name": getattr(encoder, "name", str(args.encoded_queries))}
    described |= getattr(encoder, "identity", None) or {}
    for name in ("precision", "device"):
        if hasattr(encoder, name):
            described[name] = str(getattr(encoder, name))
    return {
        "index": summarise_metadata(dense.index_dir),
        "encoder": described,
        "parameters": {"ef_search": args.ef_search, "nprobe": args.nprobe},
    }

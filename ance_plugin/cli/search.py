"""The search command: which searcher the flags ask for, and the run it writes."""

import argparse
import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin.cli.dense import (
    add_dense_flags,
    check_dense_flags,
    describe_dense,
    open_dense,
    open_feedback,
)
from ance_plugin.cli.flags import add_run_output, add_topics, positive_int
from ance_plugin.cli.run import UsageError
from ance_plugin.disk import claim_command
from ance_plugin.fusion.flags import add_method_flags, read_params
from ance_plugin.fusion.methods import FusionParams

if TYPE_CHECKING:
    from ance_plugin.fusion.tuned import Tuned
    from ance_plugin.records import Run, Topic
    from ance_plugin.search.bm25 import Bm25Searcher
    from ance_plugin.search.prf import PrfSearcher
    from ance_plugin.search.vectors import VectorSearcher

logger = logging.getLogger(__name__)

_DENSE_ONLY = (
    *("encoder", "encoded_queries", "ef_search", "nprobe", "device", "precision", "recipe"),
    *("max_length", "max_query_length", "pooling", "template", "l2_norm", "lowercase"),
)
_SPARSE_ONLY = ("k1", "b")
_FUSION_ONLY = (
    *("norm", "depth", "rrf_k", "alpha", "normalization", "weight_on_dense", "weights", "param"),
)
_MAX_PASSAGE_HITS = 100


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Add every flag of the search command."""
    add_topics(parser)
    add = parser.add_argument
    add(
        "--sparse-index",
        metavar="DIR",
        help="Lucene index folder of texts, for BM25, or a prebuilt index of Pyserini's by name",
    )
    add_run_output(parser)
    add("--hits", type=positive_int, default=1000, metavar="N", help="hits a topic (default: 1000)")
    add("--threads", type=positive_int, default=2, metavar="N", help="search threads (default: 2)")
    add("--k1", type=float, metavar="X", help="BM25's term saturation (default: 0.9)")
    add("--b", type=float, metavar="X", help="BM25's length normalisation (default: 0.4)")
    add("--max-passage", action="store_true", help="give a document its best passage's score")
    add(
        "--max-passage-hits",
        type=positive_int,
        metavar="N",
        help=f"documents kept a topic with --max-passage (default: {_MAX_PASSAGE_HITS})",
    )
    add(
        "--max-passage-delimiter",
        default="#",
        metavar="TEXT",
        help="between document and passage in a docid (default: %(default)s)",
    )
    text = "leave out the hit whose docid is the topic's id (BEIR's ArguAna and Quora)"
    add("--remove-query", action="store_true", help=text)
    add_dense_flags(parser)
    _add_fusion_flags(parser)


def search(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Search for the topics and write the run with its manifest.

    Args:
        args: What was parsed.
        words: The command line, for the manifest.

    Raises:
        UsageError: The flags do not fit together.
    """
    settings = _check_flags(args)
    with claim_command(args.output):
        _write_run(args, words, settings)


def _write_run(
    args: argparse.Namespace, words: Sequence[str], settings: "FusionParams | Tuned | None"
) -> None:
    from ance_plugin.formats.runs import save_run
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.ranking import without_query

    topics = read_topics(args.topics)
    if settings is not None and not isinstance(settings, FusionParams):
        settings.check_leak((topic.qid for topic in topics), allow_leak=args.allow_leak)
    dense = open_dense(args) if args.index else None
    sparse = _open_sparse(args) if args.sparse_index else None
    feedback = open_feedback(args, dense, sparse) if dense else None
    started = time.monotonic()
    run = _search(args, topics, settings, feedback or dense, sparse)
    seconds = time.monotonic() - started
    if args.max_passage:
        run = _best_passages(run, args)
    if args.remove_query:
        run = {qid: without_query(hits, qid) for qid, hits in run.items()}
    kind = "hybrid" if settings else "dense" if dense else "bm25"
    tag = args.tag or (kind if settings is None else f"hybrid-{_params(settings).method}")
    manifest: dict[str, Any] = {
        "kind": kind,
        "command": shlex.join(["python", "-m", "ance_plugin.search", *words]),
    }
    manifest |= _describe(args, settings, dense, sparse)
    if feedback is not None:
        manifest["feedback"] = {"depth": feedback.depth, **feedback.method.to_json()}
    manifest |= {"tag": tag, "num_topics": len(topics), "seconds": round(seconds, 3)}
    save_run(args.output, run, manifest, tag=tag, output_format=args.output_format)
    logger.info(
        "%s: %d topics in %.1f s (%.1f a second), %d hits: %s",
        kind,
        len(topics),
        seconds,
        len(topics) / seconds,
        sum(map(len, run.values())),
        args.output,
    )


def _add_fusion_flags(parser: argparse.ArgumentParser) -> None:
    fusion = parser.add_argument_group("fusion of --index and --sparse-index")
    add_method_flags(fusion, "--fusion")
    fusion.add_argument("--params", type=Path, metavar="JSON", help="what fusion tune wrote")
    fusion.add_argument(
        "--allow-leak", action="store_true", help="apply --params to topics they were tuned on"
    )


def _check_flags(args: argparse.Namespace) -> "FusionParams | Tuned | None":
    """Refuse flags that contradict each other; return how to fuse, None for a single index."""
    if not args.index and not args.sparse_index:
        raise UsageError("give --index for dense search, --sparse-index for BM25, or both")
    _refuse_without(args, "index", _DENSE_ONLY)
    _refuse_without(args, "sparse_index", _SPARSE_ONLY)
    _refuse_without(args, "max_passage", ("max_passage_hits",))
    if not args.max_passage_delimiter:
        raise UsageError("--max-passage-delimiter must not be empty")
    if args.tag is not None:
        from ance_plugin.formats.runs import check_tag

        try:
            check_tag(args.tag)
        except ValueError as err:
            raise UsageError(str(err)) from err
    check_dense_flags(args)
    is_fused = bool(args.method or args.params)
    if args.prf_method == "ance-prf" and not is_fused:  # --sparse-index gives it texts, no hits
        return None
    if not (args.index and args.sparse_index):
        if is_fused:
            raise UsageError("--fusion and --params need both --index and --sparse-index")
        _refuse_without(args, "fusion", _FUSION_ONLY)
        return None
    if not is_fused:
        raise UsageError("with two indexes, say how to fuse: --fusion rrf, or --params FILE")
    return _read_fusion(args)


def _read_fusion(args: argparse.Namespace) -> "FusionParams | Tuned":
    from ance_plugin.fusion.fuse import check_lists

    try:
        params = read_params(args)
        if params is not None:
            check_lists(2, params)
            return params
    except ValueError as err:
        raise UsageError(str(err)) from err
    from ance_plugin.fusion.tuned import read_tuned

    tuned = read_tuned(args.params)
    check_lists(2, tuned.params)
    tuned.check_kinds(["bm25", "dense"])
    return tuned


def _refuse_without(args: argparse.Namespace, needed: str, names: Sequence[str]) -> None:
    if getattr(args, needed, None):
        return
    for name in names:
        if getattr(args, name) is not None:
            flags = [f"--{word.replace('_', '-')}" for word in (name, needed)]
            raise UsageError(f"{flags[0]} needs {flags[1]}")


def _open_sparse(args: argparse.Namespace) -> "Bm25Searcher":
    from ance_plugin.index.prebuilt import resolve_index
    from ance_plugin.search.bm25 import K1, B, Bm25Searcher

    path = resolve_index(args.sparse_index, "bm25")
    k1 = K1 if args.k1 is None else args.k1
    return Bm25Searcher(path, k1, B if args.b is None else args.b)


def _search(
    args: argparse.Namespace,
    topics: "Sequence[Topic]",
    settings: "FusionParams | Tuned | None",
    dense: "VectorSearcher | PrfSearcher | None",
    sparse: "Bm25Searcher | None",
) -> "Run":
    from ance_plugin.search.hybrid import HybridSearcher

    searcher: Any = dense or sparse
    if settings is not None and dense is not None and sparse is not None:
        searcher = HybridSearcher(dense, sparse, _params(settings))
    queries, qids = [topic.text for topic in topics], [topic.qid for topic in topics]
    run: Run = searcher.batch_search(queries, qids, args.hits, args.threads)
    return run


def _best_passages(run: "Run", args: argparse.Namespace) -> "Run":
    from ance_plugin.ranking import best_passages

    delimiter, k = args.max_passage_delimiter, args.max_passage_hits or _MAX_PASSAGE_HITS
    return {qid: best_passages(hits, delimiter, k) for qid, hits in run.items()}


def _params(settings: "FusionParams | Tuned") -> FusionParams:
    return settings if isinstance(settings, FusionParams) else settings.params


def _describe(
    args: argparse.Namespace,
    settings: "FusionParams | Tuned | None",
    dense: "VectorSearcher | None",
    sparse: "Bm25Searcher | None",
) -> dict[str, Any]:
    """Say everything that decides the run."""
    from ance_plugin.index.stored import summarise_metadata
    from ance_plugin.version import describe_versions

    content: dict[str, Any] = {"topics": args.topics, "hits": args.hits}
    if dense is not None:
        content |= describe_dense(args, dense)
    if sparse is not None:
        content["sparse_index"] = summarise_metadata(sparse.index_dir)
        content["bm25"] = {"k1": sparse.k1, "b": sparse.b}
    if settings is not None:
        tuned_on = None if isinstance(settings, FusionParams) else settings.to_json()
        content["fusion"] = _params(settings).to_json()
        content["fusion"] |= {"tuned_on": tuned_on} if tuned_on else {}
        content["allow_leak"] = args.allow_leak
    if args.max_passage:
        content["max_passage"] = [
            args.max_passage_hits or _MAX_PASSAGE_HITS,
            args.max_passage_delimiter,
        ]
    if args.remove_query:
        content["remove_query"] = True
    content["versions"] = describe_versions("pyserini", "faiss-cpu", "torch", "transformers")
    return content

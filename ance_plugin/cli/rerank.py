"""The rerank command: which run, texts and model the flags name, and the run it writes."""

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin.cli.flags import (
    add_collection,
    add_computing,
    add_run_output,
    add_topics,
    new_parser,
    positive_int,
)
from ance_plugin.cli.run import UsageError

if TYPE_CHECKING:
    from ance_plugin.rerank.cross_encoder import CrossEncoder
    from ance_plugin.rerank.journal import Journal
    from ance_plugin.rerank.settings import RerankSettings

logger = logging.getLogger(__name__)

_UNDECIDING = {"topics", "collection", "hits"}


def new_rerank_parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m ance_plugin.rerank``."""
    parser = new_parser(
        "ance_plugin.rerank",
        "Score the top documents of a run again with a cross-encoder. A command that was killed "
        "goes on where it stopped when it is given again.",
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="RUN", help="first-stage run, TREC format"
    )
    add_topics(parser)
    add_collection(parser)
    add_run_output(parser)
    add = parser.add_argument
    add(
        "--depth",
        type=positive_int,
        default=100,
        metavar="N",
        help="documents a topic to rerank; those below keep their order (default: %(default)s)",
    )
    add("--hits", type=positive_int, metavar="N", help="hits a topic to write (default: all)")
    _add_model_flags(parser)
    _add_passage_flags(parser)
    return parser


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        required=True,
        metavar="M",
        help="sequence classifier of one or two classes: folder, or name on the model hub",
    )
    add(
        "--max-length",
        type=positive_int,
        metavar="N",
        help="tokens of query and document (default: what the tokenizer states, at most 512)",
    )
    add(
        "--max-query-length",
        type=positive_int,
        metavar="N",
        help="tokens a query is cut to (default: half of --max-length, more where there is room)",
    )
    add("--template", metavar="TEXT", help='how a document is joined (default: "{title} {text}")')
    add_computing(parser, batch_size=64, what="pairs")


def _add_passage_flags(parser: argparse.ArgumentParser) -> None:
    passages = parser.add_argument_group("long documents")
    add = passages.add_argument
    add(
        "--passages",
        choices=["first", "best"],
        default="first",
        help="score the beginning, or all windows and keep the maximum (default: %(default)s)",
    )
    add("--passage-tokens", type=positive_int, metavar="N", help="of a window (default: what fits)")
    add(
        "--passage-stride",
        type=positive_int,
        metavar="N",
        help="tokens from window to window (default: half a window)",
    )


def start_rerank(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Rerank the run that the flags name, and write the new one with its manifest.

    Args:
        args: What was parsed.
        words: The command line, for the manifest.

    Raises:
        UsageError: The flags do not fit together.
    """
    settings = _check_flags(args)
    from ance_plugin.artifacts import sha256_file
    from ance_plugin.disk import require_writable
    from ance_plugin.errors import FormatError
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.runs import read_run, read_tag, save_run
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.rerank.journal import open_journal
    from ance_plugin.rerank.reranker import rerank_run
    from ance_plugin.rerank.sources import find_documents, find_queries, hash_texts

    require_writable(args.output)
    if args.output.resolve() == args.run.resolve():
        raise UsageError("--output is the run that is read; name another file")
    run = read_run(args.run)
    if not run:
        raise FormatError(f"{args.run}: the run has no hits")
    queries = find_queries(run, read_topics(args.topics), source=args.topics)
    collection = Collection(args.collection)
    model = _load_model(args)
    documents = find_documents(run, collection, depth=settings.depth, source=args.collection)
    described = _describe(args, model, settings)
    described["run"]["sha256"] = sha256_file(args.run)
    described["texts_sha256"] = hash_texts(queries, documents)
    tag = args.tag or f"{read_tag(args.run)}-rerank"
    with open_journal(args.output, _decisive(described)) as journal:
        reranked = rerank_run(run, queries, documents, model, settings, journal=journal)
        timings = _measure(journal)
        manifest = {
            "kind": "rerank",
            "command": shlex.join(["python", "-m", "ance_plugin.rerank", *words]),
            **described,
            "tag": tag,
            "num_topics": len(run),
            "num_documents": len(documents),
            **timings,
        }
        save_run(args.output, reranked, manifest, tag=tag, output_format=args.output_format)
    logger.info(
        "rerank: %d pairs of %d topics in %.1f s (%.1f pairs a second, %s on %s): %s",
        timings["num_pairs"],
        len(run),
        timings["seconds"],
        timings["pairs_per_second"],
        model.precision,
        model.device,
        args.output,
    )


def _check_flags(args: argparse.Namespace) -> "RerankSettings":
    from ance_plugin.rerank.pairs import BestPassage
    from ance_plugin.rerank.settings import RerankSettings

    for name in ("passage_tokens", "passage_stride"):
        if args.passages == "first" and getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} needs --passages best")
    try:
        if args.tag is not None:
            from ance_plugin.formats.runs import check_tag

            check_tag(args.tag)
        is_best = args.passages == "best"
        passage = BestPassage(args.passage_tokens, args.passage_stride) if is_best else None
    except ValueError as err:
        raise UsageError(str(err)) from err
    return RerankSettings(args.depth, passage, args.hits)


def _load_model(args: argparse.Namespace) -> "CrossEncoder":
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    return CrossEncoder.load(
        args.model,
        device=args.device,
        precision=args.precision,
        batch_size=args.batch_size,
        max_length=args.max_length,
        max_query_tokens=args.max_query_length,
        template=args.template,
    )


def _describe(
    args: argparse.Namespace, model: "CrossEncoder", settings: "RerankSettings"
) -> dict[str, Any]:
    """Say everything that decides the run."""
    from ance_plugin.version import describe_versions

    return {
        "run": {"path": str(args.run)},
        "topics": args.topics,
        "collection": args.collection,
        "model": {
            "name": model.name,
            **model.identify(),
            "precision": model.precision,
            "device": model.device.type,
            "batch_size": model.batch_size,
        },
        **settings.to_json(),
        "versions": describe_versions("torch", "transformers"),
    }


def _decisive(described: dict[str, Any]) -> dict[str, Any]:
    """Keep what decides the scores: contents by their hashes, not the names they go by."""
    content = {name: described[name] for name in described if name not in _UNDECIDING}
    content["run"] = described["run"]["sha256"]
    content["model"] = {name: value for name, value in described["model"].items() if name != "name"}
    return content


def _measure(journal: "Journal") -> dict[str, Any]:
    """Sum up what scoring took, in this process and in those that were killed."""
    num_pairs = sum(len(topic.scores) for topic in journal.topics.values())
    seconds = sum(topic.seconds for topic in journal.topics.values())
    return {
        "num_pairs": num_pairs,
        "seconds": round(seconds, 3),
        "pairs_per_second": round(num_pairs / max(seconds, 1e-9), 1),
    }

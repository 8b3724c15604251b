"""The commands of ``python -m ance_plugin.train``: warmup, ance, refresh, plot."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin.cli.flags import natural_int, new_parser, positive_int
from ance_plugin.cli.run import EXIT_INTERRUPTED, UsageError
from ance_plugin.cli.train_flags import add_settings, read_settings

if TYPE_CHECKING:
    from ance_plugin.train.plan import Plan
    from ance_plugin.train.settings import TrainSettings

_REQUIRED = ("collection", "topics", "qrels", "init")
_ONLY_BESIDE = frozenset(
    {"max-staleness", "when-stale", "refresher", "refresh-threads", "refresh", "refresh-share"}
)


def new_train_parser() -> argparse.ArgumentParser:
    """Make the parser, whose result has the function to call as ``start``."""
    parser = new_parser("ance_plugin.train", "Train an encoder, or the cross-encoder that reranks.")
    stages = parser.add_subparsers(required=True, metavar="STAGE")
    _add_warmup(stages.add_parser("warmup", help="with BM25 negatives", allow_abbrev=False))
    _add_ance(
        stages.add_parser("ance", help="with negatives that are refreshed", allow_abbrev=False)
    )
    _add_refresh(stages.add_parser("refresh", help="the refresher by itself", allow_abbrev=False))
    # Parsed by its own module; here for the list of stages.
    stages.add_parser("cross-encoder", help="a reranker, with mined negatives", add_help=False)
    _add_plot(stages.add_parser("plot", help="draw what a run logged", allow_abbrev=False))
    return parser


def _add_warmup(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    source = parser.add_argument_group("negatives: one of")
    source.add_argument("--sparse-index", metavar="S", help="Lucene index to search with BM25")
    source.add_argument("--negatives", metavar="N", help="an artifact that an earlier run mined")
    source.add_argument("--triples", metavar="F", help="MS MARCO's file of triples, ids or texts")
    _add_groups(parser, renamed={"refresh-steps": "dev-steps"}, left_out=_ONLY_BESIDE)
    parser.set_defaults(start=_start_warmup)


def _add_ance(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    source = parser.add_argument_group("BM25 negatives, for a --mix with bm25: one of")
    source.add_argument("--sparse-index", metavar="S", help="Lucene index to search with BM25")
    source.add_argument("--negatives", metavar="N", help="an artifact that an earlier run mined")
    source.add_argument("--triples", metavar="F", help="MS MARCO's file of triples, ids or texts")
    _add_groups(parser, renamed={}, left_out=frozenset())
    parser.set_defaults(start=_start_ance)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="go on with the run in --output, with its settings")
    add("--device", metavar="D", help="cpu, cuda, cuda:1 (default: the best there is)")
    data = parser.add_argument_group("data (as in the other commands)")
    add = data.add_argument
    add("--collection", metavar="C", help="documents")
    add("--topics", metavar="T", help="training topics")
    add("--qrels", metavar="Q", help="their judgments; each relevance from 1 is a positive")
    add("--dev-topics", metavar="T", help="topics by which the best checkpoint is chosen")
    add("--dev-qrels", metavar="Q", help="their judgments")
    add("--tokens", metavar="DIR", help="tokenized collection to make or use again")
    add("--teacher", metavar="M", help="cross-encoder that scores candidates")
    encoder = parser.add_argument_group("encoder")
    add = encoder.add_argument
    add("--init", metavar="E", help="checkpoint or training folder, or name on the model hub")
    add("--head-dimension", type=positive_int, metavar="N", help="width of a new ANCE head")
    add("--max-length", type=positive_int, metavar="N", help="tokens a document is cut to")
    add("--max-query-length", type=positive_int, metavar="N", help="tokens a query is cut to")
    add("--pooling", choices=["cls", "mean"], help="how token states become one vector")
    flag = argparse.BooleanOptionalAction
    add("--l2-norm", action=flag, help="bring vectors to length one")
    add("--lowercase", action=flag, help="lower-case texts before the tokenizer sees them")
    add("--maxp", choices=["chunks"], help="documents in four chunks, the best of which counts")


def _add_groups(
    parser: argparse.ArgumentParser, *, renamed: dict[str, str], left_out: frozenset[str]
) -> None:
    from ance_plugin.train.recipe import GROUPS

    parser.add_argument(
        "--recipe",
        metavar="R",
        help="paper, paper-warmup or a TOML file: settings that flags beside it replace",
    )
    parser.add_argument(
        "--mix",
        nargs="+",
        metavar="SOURCE=SHARE",
        help="shares of ann, bm25 and random among the negatives, and the weight of in-batch ones, "
        "as ann=1 bm25=0.5 in-batch=1",
    )
    add_settings(parser, GROUPS, renamed=renamed, left_out=left_out)


def _add_refresh(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--watch", type=Path, required=True, metavar="DIR", help="folder of the training run")
    add(
        "--num-refreshes",
        type=natural_int,
        metavar="N",
        help="leave after so many (default: when training is over)",
    )
    add("--device", metavar="D", help="unless the run has a --refresh-device (default: the best)")
    add("--supervised", action="store_true", help="leave when standard input ends")
    parser.set_defaults(start=_start_refresh)


def _add_plot(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="DIR", help="folders of training runs")
    add("--output", type=Path, metavar="FILE", help="PNG, SVG or PDF (default: DIR/plot.png)")
    parser.set_defaults(start=_start_plot)


def _start_warmup(args: argparse.Namespace) -> int:
    return _start(args, {"negatives": {"mix": {"bm25": 1.0}}})


def _start_ance(args: argparse.Namespace) -> int:
    return _start(args, {})


def _start(args: argparse.Namespace, preset: dict[str, dict[str, Any]]) -> int:
    from ance_plugin.train.run import train

    plan = _plan(args, preset)
    return 0 if train(plan, device=args.device) else EXIT_INTERRUPTED


def _plan(args: argparse.Namespace, preset: dict[str, dict[str, Any]]) -> "Plan":
    from ance_plugin.train.folder import TrainingFolder
    from ance_plugin.train.plan import plan_new, plan_resumed

    has_all = all(getattr(args, name) is not None for name in _REQUIRED)
    if not args.resume or (has_all and not TrainingFolder(args.output).settings.exists()):
        missing = [f"--{name}" for name in _REQUIRED if getattr(args, name) is None]
        if missing:
            raise UsageError(f"the following arguments are required: {', '.join(missing)}")
        return plan_new(args.output, _read_settings(args, preset))
    plan = plan_resumed(args.output)
    if preset and plan.settings.negatives.mix.get("ann", 0.0) > 0:
        raise UsageError(
            f"{args.output} holds a run of train ance; go on with it by train ance --resume"
        )
    if has_all:
        _require_same(_read_settings(args, preset), plan.settings)
    else:
        _require_given(args, plan.settings)
    return plan


def _require_same(given: "TrainSettings", found: "TrainSettings") -> None:
    """Refuse flags that say otherwise than the run that is to go on."""
    from ance_plugin.artifacts import require_equal

    ours, theirs = given.to_json(), found.to_json()
    for group in ours:
        require_equal(ours[group], theirs[group], what=f"--resume: {group} of the run")


def _require_given(args: argparse.Namespace, found: "TrainSettings") -> None:
    """Refuse single flags beside --resume that say otherwise than the run."""
    from ance_plugin.artifacts import require_equal

    theirs = found.to_json()
    theirs["overrides"] = theirs["start"]["overrides"]
    given = {
        "overrides": _read_overrides(args),
        "data": _read_data(args),
        "start": _read_start(args),
        **read_settings(args),
    }
    if args.recipe is not None:
        raise UsageError("--resume: a recipe is compared only where all flags of the run are given")
    for group, values in given.items():
        known = {name: theirs[group].get(name) for name in values}
        require_equal(values, known, what=f"--resume: {group} of the run")


def _read_data(args: argparse.Namespace) -> dict[str, Any]:
    names = ("collection", "topics", "qrels", "dev_topics", "dev_qrels", "tokens", "teacher")
    given = {name: getattr(args, name) for name in (*names, "sparse_index", "triples")}
    given["bm25_negatives"] = args.negatives
    found = {name: _name_fully(value) for name, value in given.items() if value is not None}
    if args.tokens is not None:
        found["tokens"] = os.path.abspath(args.tokens)  # noqa: PTH100 - made by the run
    return found


def _name_fully(name: str) -> str:
    """Make a local path absolute: a run may go on from another working directory."""
    return os.path.abspath(name) if os.path.exists(name) else name  # noqa: PTH100, PTH110 - links stay


def _read_start(args: argparse.Namespace) -> dict[str, Any]:
    init = None if args.init is None else _name_fully(args.init)
    given = {"init": init, "head_dimension": args.head_dimension, "maxp": args.maxp}
    return {name: value for name, value in given.items() if value is not None}


def _read_settings(args: argparse.Namespace, preset: dict[str, dict[str, Any]]) -> "TrainSettings":
    from ance_plugin.train.negatives.settings import MiningSettings
    from ance_plugin.train.recipe import read_recipe
    from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

    recipe = {} if args.recipe is None else read_recipe(args.recipe)
    given = read_settings(args)
    groups = {
        group: {**preset.get(group, {}), **recipe.get(group, {}), **given.get(group, {})}
        for group in ("optimization", "negatives", "refresh")
    }
    if not hasattr(args, "refresh_mode"):
        groups["refresh"]["mode"] = "sync"  # a recipe is for both commands; a warm-up has one way
    start = recipe.get("start", {})
    overrides = {**start.get("overrides", {}), **_read_overrides(args)}
    return TrainSettings(
        data=Data(**_read_data(args)),
        start=Start(**{**start, **_read_start(args), "overrides": overrides}),
        optimization=Optimization(**groups["optimization"]),
        negatives=MiningSettings(**groups["negatives"]),
        refresh=Refresh(**groups["refresh"]),
    )


def _read_overrides(args: argparse.Namespace) -> dict[str, Any]:
    given = {
        "max_document_tokens": args.max_length,
        "max_query_tokens": args.max_query_length,
        "pooling": args.pooling,
        "is_normalized": args.l2_norm,
        "is_lowercased": args.lowercase,
    }
    return {name: value for name, value in given.items() if value is not None}


def _start_refresh(args: argparse.Namespace) -> None:
    from ance_plugin.train.run import refresh_beside

    refresh_beside(
        args.watch,
        is_supervised=args.supervised,
        num_refreshes=args.num_refreshes,
        device=args.device,
    )


def _start_plot(args: argparse.Namespace) -> None:
    from ance_plugin.train.plot import plot

    plot(args.runs, args.output or args.runs[0] / "plot.png")

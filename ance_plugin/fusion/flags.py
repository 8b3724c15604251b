"""Flags that choose a fusion method, and the settings made from them."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ance_plugin.fusion.methods import (
    DEFAULT_ALPHA,
    DEFAULT_DEPTH,
    DEFAULT_HITS,
    DEFAULT_RRF_K,
    METHODS,
    NORMS,
    FusionParams,
)

_FLAGS = {  # flag -> where its value is kept
    "--method": "method",
    "--norm": "norm",
    "--depth": "depth",
    "--rrf-k": "rrf_k",
    "--alpha": "alpha",
    "--normalization": "normalization",
    "--weight-on-dense": "weight_on_dense",
    "--weights": "weights",
    "--param": "param",
}


def add_fuse_flags(parser: argparse.ArgumentParser) -> None:
    """Add what fusing run files has, but for its output."""
    _add_runs(parser)
    add_method_flags(parser)
    parser.add_argument(
        "--params", type=Path, metavar="JSON", help="what tune wrote, instead of all flags above"
    )
    parser.add_argument(
        "--allow-leak", action="store_true", help="apply --params to topics they were tuned on"
    )
    parser.add_argument(
        "--hits",
        "--k",
        type=int,
        default=DEFAULT_HITS,
        metavar="N",
        help="hits kept for each topic (default: %(default)s)",
    )


def add_tune_flags(parser: argparse.ArgumentParser) -> None:
    """Add what tuning has, but for its output."""
    _add_runs(parser)
    parser.add_argument(
        "--qrels", required=True, metavar="Q", help="TREC or BEIR file, or an ir-datasets id"
    )
    _add_shared(parser)
    parser.add_argument(
        "--measure",
        default="ndcg@10",
        metavar="NAME",
        help="what to maximise, by its ranx name (default: %(default)s)",
    )
    parser.set_defaults(method="rrf", depth=DEFAULT_DEPTH)


class _TwoOrMore(argparse.Action):
    """Keep the paths, of which there must be at least two."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Check their number; argparse turns the error into exit code 2."""
        if values is None or len(values) < 2:
            raise argparse.ArgumentError(self, "fusion needs at least two runs, found 1")
        setattr(namespace, self.dest, values)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs",
        action=_TwoOrMore,
        type=Path,
        nargs="+",
        required=True,
        metavar="RUN",
        help="two or more TREC runs, plain or .gz; interpolation takes two, the sparse one first",
    )


def add_method_flags(parser: argparse._ActionsContainer, name: str = "--method") -> None:
    """Add everything that chooses a method and its settings; what is not given is None."""
    _add_shared(parser, name)
    add = parser.add_argument
    add(
        "--rrf-k",
        "--rrf.k",
        type=int,
        metavar="N",
        help=f"constant of RRF (default: {DEFAULT_RRF_K})",
    )
    add(
        "--alpha",
        type=float,
        metavar="X",
        help="interpolation: weight of the sparse score, as in Pyserini's HybridSearcher: "
        f"alpha * sparse + dense (default: {DEFAULT_ALPHA})",
    )
    add(
        "--normalization",
        action="store_true",
        default=None,
        help="interpolation: bring each list's scores to [-0.5, 0.5] first (default: off)",
    )
    add(
        "--weight-on-dense",
        action="store_true",
        default=None,
        help="interpolation: sparse + alpha * dense (default: off)",
    )
    add(
        "--weights",
        type=float,
        nargs="+",
        metavar="W",
        help="one for each run: wsum, wmnz, mixed, w_bordafuse, w_condorcet",
    )
    add(
        "--param",
        type=_parse_setting,
        nargs="+",
        metavar="NAME=VALUE",
        help="gamma=X for gmnz, phi=X for rbc, sigma=X for logn_isr (default: 0.01)",
    )


def _add_shared(parser: argparse._ActionsContainer, name: str = "--method") -> None:
    parser.add_argument(
        name,
        dest="method",
        choices=list(METHODS),
        metavar="NAME",
        help=f"{', '.join(METHODS)} (default: rrf; all but the first two as in ranx)",
    )
    parser.add_argument(
        "--norm",
        choices=list(NORMS),
        metavar="NAME",
        help=f"{', '.join(NORMS)} (default: min-max for the methods of ranx that use scores)",
    )
    parser.add_argument(
        "--depth", type=int, metavar="N", help=f"hits read from each run (default: {DEFAULT_DEPTH})"
    )


def read_params(args: argparse.Namespace) -> FusionParams | None:
    """Make settings from flags, or None if they come from ``--params``.

    Flags that contradict each other, or a setting missing or out of range, are a ValueError.
    """
    given = {flag: getattr(args, name) for flag, name in _FLAGS.items()}
    given = {flag: value for flag, value in given.items() if value is not None}
    if args.hits < 1:
        raise ValueError(f"--hits must be at least 1, found {args.hits}")
    if args.params is not None:
        if given:
            raise ValueError(f"--params holds all settings; leave out {' '.join(given)}")
        return None
    method = given.get("--method", "rrf")
    only = {"--rrf-k": "rrf", "--alpha": "interpolation", "--normalization": "interpolation"}
    only["--weight-on-dense"] = "interpolation"
    for flag, owner in only.items():
        if flag in given and method != owner:
            raise ValueError(f"{flag} is for --method {owner}, but the method is {method}")
    return FusionParams(
        method,
        given.get("--norm"),
        given.get("--depth", DEFAULT_DEPTH),
        _collect_numbers(given),
        tuple(given.get("--weights", ())),
        given.get("--normalization", False),
        given.get("--weight-on-dense", False),
    )


def _collect_numbers(given: Mapping[str, Any]) -> dict[str, float]:
    numbers = dict(given.get("--param", ()))
    for flag, name in (("--rrf-k", "rrf_k"), ("--alpha", "alpha")):
        if flag in given:
            numbers[name] = given[flag]
    return numbers


def _parse_setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as err:
        problem = f"expected NAME=VALUE with a number, found {text!r}"
        raise argparse.ArgumentTypeError(problem) from err

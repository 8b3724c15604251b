"""What there is to choose: fusion methods, norms, and the settings each takes.

Names and settings of all methods but ``rrf`` and ``interpolation`` are those of ranx 0.3.21.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

DEFAULT_DEPTH = 1000
DEFAULT_HITS = 1000
DEFAULT_RRF_K = 60
DEFAULT_ALPHA = 0.1  # Pyserini's HybridSearcher
NORMS = ("min-max", "max", "sum", "zmuv", "rank", "borda", "min-max-inverted", "none")


@dataclass(frozen=True)
class Number:
    """A numeric setting: what it may be, and what it is when not given (None: it must be given)."""

    least: float
    most: float
    default: float | None = None
    is_whole: bool = False


@dataclass(frozen=True)
class Method:
    """What a method takes.

    Attributes:
        norms: Norms it may be given, the default first; empty where it looks at ranks only.
        numbers: Its numeric settings by name.
        has_weights: It takes one weight for each run.
        trained: Name of what it learns from judged topics, one entry for each run; None if nothing.
    """

    norms: tuple[str, ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)
    has_weights: bool = False
    trained: str | None = None

    @property
    def keeps_sides(self) -> bool:
        """Whether exchanging two runs changes the result."""
        return self.has_weights or self.trained is not None or "alpha" in self.numbers


_WEIGHTED = Method(NORMS, has_weights=True)
_RRF_K = Number(0, math.inf, DEFAULT_RRF_K, is_whole=True)
_ALPHA = Number(0, math.inf, DEFAULT_ALPHA)
_N_SEGMENTS = Number(1, math.inf, is_whole=True)
_W = Number(0, math.inf, is_whole=True)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "rrf": Method(numbers={"rrf_k": _RRF_K}),
        "interpolation": Method(numbers={"alpha": _ALPHA}),
        "min": Method(NORMS),
        "max": Method(NORMS),
        "med": Method(NORMS),
        "sum": Method(NORMS),
        "anz": Method(NORMS),
        "mnz": Method(NORMS),
        "gmnz": Method(NORMS, numbers={"gamma": Number(0, math.inf)}),
        "isr": Method(),
        "log_isr": Method(),
        "logn_isr": Method(numbers={"sigma": Number(0, 1, 0.01)}),
        "bordafuse": Method(),
        "w_bordafuse": Method(has_weights=True),
        "condorcet": Method(),
        "w_condorcet": Method(has_weights=True),
        "mixed": _WEIGHTED,
        "rbc": Method(numbers={"phi": Number(0, 1)}),
        "wmnz": _WEIGHTED,
        "wsum": _WEIGHTED,
        "bayesfuse": Method(trained="log_odds"),
        "mapfuse": Method(trained="map_scores"),
        "posfuse": Method(trained="probs"),
        "probfuse": Method(numbers={"n_segments": _N_SEGMENTS}, trained="probs"),
        "segfuse": Method(NORMS, trained="probs"),
        "slidefuse": Method(numbers={"w": _W}, trained="probs"),
    }
)


@dataclass(frozen=True)
class FusionParams:
    """A method and its settings, checked.

    Attributes:
        method: One of ``METHODS``.
        norm: One of ``NORMS``; None is the method's default: ``min-max`` as in ranx, or ``none``
            for a method that looks at ranks only, which takes no other.
        depth: Hits read from the top of each list.
        numbers: Numeric settings by name (``rrf_k``, ``alpha``, ``phi``, ...); defaults filled in.
        weights: One for each run, for the methods that have them.
        normalization: Interpolation only, as in Pyserini: bring each list to [-0.5, 0.5] first.
        weight_on_dense: Interpolation only, as in Pyserini: ``alpha`` multiplies the second list.
        trained: What a trained method learned: for each run a list of numbers.

    Raises:
        ValueError: An unknown name, a setting the method does not have, or one out of range.
    """

    method: str = "rrf"
    norm: str | None = None
    depth: int = DEFAULT_DEPTH
    numbers: Mapping[str, float] = field(default_factory=dict)
    weights: tuple[float, ...] = ()
    normalization: bool = False
    weight_on_dense: bool = False
    trained: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        """Fill in what was left to the method and check the rest."""
        if self.method not in METHODS:
            raise ValueError(
                f"unknown fusion method {self.method!r}; there are {', '.join(METHODS)}"
            )
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, found {self.depth}")
        object.__setattr__(self, "norm", _check_norm(self.method, self.norm))
        object.__setattr__(self, "numbers", _check_numbers(self.method, self.numbers))
        _check_weights(self.method, self.weights)
        _check_trained(self.method, self.trained)
        if self.method != "interpolation" and (self.normalization or self.weight_on_dense):
            raise ValueError(f"{self.method} has no normalization or weight_on_dense setting")

    def settings(self) -> dict[str, Any]:
        """Give what tuning varies: the numbers, weights, and the two switches of interpolation."""
        content: dict[str, Any] = dict(self.numbers)
        if self.weights:
            content["weights"] = list(self.weights)
        if self.method == "interpolation":
            content["normalization"] = self.normalization
            content["weight_on_dense"] = self.weight_on_dense
        return content

    def to_json(self) -> dict[str, Any]:
        """Give the settings the method has, ready for JSON."""
        content: dict[str, Any] = {"method": self.method, "depth": self.depth}
        if METHODS[self.method].norms:
            content["norm"] = self.norm
        content |= self.settings()
        if self.trained:
            content["trained"] = [list(values) for values in self.trained]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FusionParams":
        """Read what ``to_json`` gave; ValueError for a setting that is unknown or out of range."""
        rest = dict(content)
        numbers = {name: rest.pop(name) for name in _NUMBER_NAMES if name in rest}
        try:
            if "weights" in rest:
                rest["weights"] = tuple(float(weight) for weight in rest["weights"])
            if "trained" in rest:
                rest["trained"] = tuple(tuple(map(float, values)) for values in rest["trained"])
            return cls(numbers=numbers, **rest)
        except TypeError as err:
            raise ValueError(f"these are not the settings of a fusion method: {err}") from err


_NUMBER_NAMES = sorted({name for method in METHODS.values() for name in method.numbers})


def _check_norm(method: str, norm: str | None) -> str:
    norms = METHODS[method].norms
    if norm is None:
        return norms[0] if norms else "none"
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; there are {', '.join(NORMS)}")
    if norm != "none" and not norms:
        reason = "has its own normalization" if method == "interpolation" else "looks at ranks only"
        raise ValueError(f"{method} takes no norm, it {reason}; leave out norm {norm}")
    return norm


def _check_numbers(method: str, numbers: Mapping[str, float]) -> Mapping[str, float]:
    known = METHODS[method].numbers
    for name in numbers:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{method} has no parameter {name!r}; {has}")
    checked = {}
    for name, number in known.items():
        value = numbers.get(name, number.default)
        if value is None:
            raise ValueError(f"{method} needs {name}: give --param {name}=VALUE, or tune it")
        checked[name] = _check_number(name, value, number)
    return MappingProxyType(checked)


def _check_number(name: str, value: float, number: Number) -> float:
    kind = "a whole number" if number.is_whole else "a number"
    if (
        not isinstance(value, int | float)
        or not math.isfinite(value)
        or not number.least <= value <= number.most
        or (number.is_whole and value != int(value))
    ):
        bound = "" if number.most == math.inf else f" and at most {number.most}"
        raise ValueError(
            f"{name} must be {kind} of at least {number.least}{bound}, found {value!r}"
        )
    return int(value) if number.is_whole else float(value)


def _check_weights(method: str, weights: tuple[float, ...]) -> None:
    if not METHODS[method].has_weights:
        if weights:
            raise ValueError(f"{method} takes no weights")
        return
    if not weights:
        raise ValueError(f"{method} needs weights: give --weights, one for each run, or tune them")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        found = " ".join(map(str, weights))
        raise ValueError(f"weights must be finite, at least 0 and not all 0, found {found}")


def _check_trained(method: str, trained: tuple[tuple[float, ...], ...]) -> None:
    needs = METHODS[method].trained
    if needs and not trained:
        raise ValueError(
            f"{method} must be trained on judged topics: run "
            f'"python -m ance_plugin.fusion tune --method {method} ...", then give --params'
        )
    if trained and not needs:
        raise ValueError(f"{method} is not trained, but was given trained values")
    if not all(math.isfinite(value) for values in trained for value in values):
        raise ValueError(f"the trained values of {method} must be finite")

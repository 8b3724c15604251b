"""The settings that tuning tries, in an order in which the first of equals is the one to take."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ance_plugin.fusion.methods import DEFAULT_RRF_K, METHODS, FusionParams

_DECADES = tuple(float(f"{digit}e{power}") for power in (-4, -3, -2, -1) for digit in (1, 2, 5))
_REFINEMENT = (0.6, 0.7, 0.8, 0.9, 1.15, 1.3, 1.5, 1.75)  # between one step of 1-2-5 and the next
_RRF_KS = (DEFAULT_RRF_K, 1, 2, 5, 10, 20, 30, 40, 50, 70, 80, 90, 100, 150, 200, 300, 500, 1000)
_HUNDREDTHS = tuple(number / 100 for number in range(5, 100, 5))
_NUMBERS = {
    "rrf_k": _RRF_KS,
    "gamma": (*_HUNDREDTHS, 1.0, 1.5, 2.0, 3.0),
    "sigma": (0.01, *_HUNDREDTHS, 1.0),
    "phi": (0.01, *_HUNDREDTHS, 0.98, 0.99, 0.995, 0.998),
    "w": (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100),
    "n_segments": (1, 2, 3, 4, 5, 8, 10, 15, 20, 25, 30, 50, 75, 100),
}
_WEIGHT_STEPS = {2: 20, 3: 10}  # steps from weight 0 to 1, by number of runs; for more runs, five
_MOST_RUNS = 6


def list_numbers(name: str) -> tuple[float, ...]:
    """List the values to try for a numeric setting."""
    return _NUMBERS[name]


def list_settings(method: str, norm: str | None, depth: int, num_runs: int) -> list[FusionParams]:
    """List the settings to try for a method that is not trained.

    Args:
        method: One of ``METHODS``.
        norm: The norm all settings have; None is the method's default.
        depth: The depth all settings have.
        num_runs: Runs to be fused.

    Returns:
        At least one setting.

    Raises:
        ValueError: The method has nothing to tune, or there are too many runs to try weights.
    """
    if method == "interpolation":
        return list(_interpolations(norm, depth))
    if METHODS[method].has_weights:
        return [
            FusionParams(method, norm, depth, weights=weights) for weights in list_weights(num_runs)
        ]
    for name in METHODS[method].numbers:  # no method has two
        return [FusionParams(method, norm, depth, {name: value}) for value in _NUMBERS[name]]
    raise ValueError(f"{method} has no setting to tune; fuse with --method {method}")


def list_weights(num_runs: int) -> list[tuple[float, ...]]:
    """List all weights that add up to one, in equal steps, the most even first."""
    if num_runs > _MOST_RUNS:
        raise ValueError(f"weights can be tuned for {_MOST_RUNS} runs at most, found {num_runs}")
    steps = _WEIGHT_STEPS.get(num_runs, 5)
    parts = [
        counts for counts in product(range(steps + 1), repeat=num_runs) if sum(counts) == steps
    ]
    parts.sort(key=lambda counts: (max(counts) - min(counts), counts))
    return [tuple(count / steps for count in counts) for counts in parts]


def refine(best: FusionParams) -> list[FusionParams]:
    """List settings of interpolation around the best one of the grid; none for other methods."""
    if best.method != "interpolation":
        return []
    alphas = [float(f"{best.numbers['alpha'] * factor:.3g}") for factor in _REFINEMENT]
    return [replace(best, numbers={"alpha": alpha}) for alpha in alphas]


def _interpolations(norm: str | None, depth: int) -> Iterator[FusionParams]:
    """Yield weights from 0.0001 to 10,000 of one side to the other.

    The range holds the useful weight of BM25 (scores of 10 to 30) beside dot products of 700 as
    well as beside cosines of 0.5; normalised lists need less. Weight 1 is the same on both sides.
    """
    for normalization, weight_on_dense in product((False, True), repeat=2):
        for alpha in (*_DECADES, 1.0):
            is_needed = alpha >= 0.01 or not normalization
            if is_needed and not (weight_on_dense and alpha == 1.0):
                yield FusionParams(
                    "interpolation",
                    norm,
                    depth,
                    {"alpha": alpha},
                    normalization=normalization,
                    weight_on_dense=weight_on_dense,
                )

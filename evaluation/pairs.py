"""Testing systems in pairs: against a baseline, or each against each."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np

from ance_plugin import measures
from evaluation.comparison import Pair, Settings
from evaluation.significance import Difference, compare_pairs, negate, swap_sides


def run_tests(
    values: dict[str, dict[str, dict[str, float]]], baseline: str | None, settings: Settings
) -> list[Pair]:
    """Test all pairs, or each system against the baseline; per-topic values are in one order."""
    if settings.all_pairs:
        pairs = list(combinations(values, 2))
    else:
        pairs = [(name, baseline) for name in values if baseline not in {None, name}]
    tested: dict[tuple[str, str], dict[str, Difference]] = {pair: {} for pair in pairs}
    for measure in settings.measures if pairs else ():
        found = compare_pairs(
            {name: np.array(list(by[measure].values())) for name, by in values.items()},
            pairs,
            test=settings.test,
            correction=settings.correction,
            seed=settings.seed,
            permutations=settings.permutations,
        )
        for pair, difference in found.items():
            is_lower_better = measures.is_lower_better(measure)
            tested[pair][measure] = swap_sides(difference) if is_lower_better else difference
    return [Pair(*pair, differences) for pair, differences in tested.items()]


def against(pairs: Iterable[Pair], baseline: str | None) -> dict[str, dict[str, Difference]]:
    """Turn the pairs that have the baseline into differences to it."""
    found = {}
    for pair in pairs:
        if pair.second == baseline:
            found[pair.first] = pair.differences
        elif pair.first == baseline:
            found[pair.second] = {
                measure: negate(difference) for measure, difference in pair.differences.items()
            }
    return found

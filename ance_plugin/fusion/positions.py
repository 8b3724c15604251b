"""ranx's trained methods: what a rank is worth, learned from where relevant documents stood.

A hit list is shape (k,), 1.0 where the document at that rank is relevant (grade 1 or more), else 0.
A topic for which a run has no hits counts as an empty hit list.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

type Values = NDArray[np.float64]

_BAYES_CUTS = (0, 5, 10, 15, 20, 30, 100, 200, 500, 1000)
_SEGMENT_CUTS = (0, *(10 * 2 ** (k - 1) - 5 for k in range(1, 11)))
_LEAST_PRECISION = 0.001


def gains(
    method: str, values: Values, num_hits: int, numbers: Mapping[str, float], *, unseen: float
) -> Values:
    """Turn what was learned into the worth of each rank of a list.

    Args:
        method: One of the trained methods.
        values: What ``learn`` gave for the run.
        num_hits: Hits of the list.
        numbers: ``w`` for ``slidefuse``.
        unseen: Worth of a rank deeper than any that was learned.

    Returns:
        Shape (num_hits,), float64.
    """
    if method == "mapfuse":
        return np.asarray(values[0] / np.arange(1, num_hits + 1))
    if method == "probfuse":
        size = math.ceil(num_hits / len(values))
        segment = np.arange(num_hits) // size
        return np.asarray(values[segment] / (segment + 1))
    if method == "segfuse":
        segment = np.searchsorted(_SEGMENT_CUTS[1:], np.arange(num_hits), side="right")
        return np.append(values, unseen)[segment]
    known = np.full(num_hits, unseen)
    known[: len(values)] = values[:num_hits]
    return _slide(known, int(numbers["w"])) if method == "slidefuse" else known


def learn(
    method: str, hit_lists: Sequence[Values], num_relevant: Sequence[int], *, n_segments: int = 1
) -> Values:
    """Learn what the ranks of one run are worth.

    Args:
        method: One of the trained methods.
        hit_lists: One for each judged topic.
        num_relevant: Relevant documents of each topic, retrieved or not.
        n_segments: ``probfuse`` only: segments a list is cut into.

    Returns:
        Shape (v,), float64: v is 1 for ``mapfuse``, the segments for ``probfuse`` and ``segfuse``,
        1000 for ``bayesfuse``, else the longest list's hits.
    """
    if method == "mapfuse":
        pairs = zip(hit_lists, num_relevant, strict=True)
        return np.array([np.mean([_average_precision(hits, relevant) for hits, relevant in pairs])])
    if method == "probfuse":
        return np.asarray(np.mean([_segments(hits, n_segments) for hits in hit_lists], axis=0))
    if method in ("bayesfuse", "segfuse"):
        cuts = _BAYES_CUTS if method == "bayesfuse" else _SEGMENT_CUTS
        precisions = _precisions(hit_lists, cuts)
        return _log_odds(precisions) if method == "bayesfuse" else precisions
    longest = max(len(hits) for hits in hit_lists)
    found, seen = np.zeros(longest), np.zeros(longest)
    for hits in hit_lists:
        found[: len(hits)] += hits
        seen[: len(hits)] += 1
    return found / seen


def _slide(values: Values, w: int) -> Values:
    """Average each value with its ``w`` neighbours on either side, fewer at the ends."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    ranks = np.arange(len(values))
    start = np.maximum(ranks - w, 0)
    end = np.minimum(ranks + w, len(values) - 1) + 1
    return np.asarray((totals[end] - totals[start]) / (end - start))


def _average_precision(hits: Values, num_relevant: int) -> float:
    if not num_relevant:
        return 0.0
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precisions * hits).sum() / num_relevant)


def _segments(hits: Values, n_segments: int) -> Values:
    size = max(math.ceil(len(hits) / n_segments), 1)
    means = np.zeros(n_segments)
    for number in range(math.ceil(len(hits) / size)):
        means[number] = hits[number * size : (number + 1) * size].mean()
    return means


def _precisions(hit_lists: Sequence[Values], cuts: Sequence[int]) -> Values:
    """Average over topics the share of relevant documents between two cuts, missing ranks as 0."""
    return np.array(
        [
            np.mean([hits[start:end].sum() / (end - start) for hits in hit_lists])
            for start, end in pairwise(cuts)
        ]
    )


def _log_odds(precisions: Values) -> Values:
    positive = np.where(precisions == 0, _LEAST_PRECISION, precisions)
    negative = np.where(positive == 1, _LEAST_PRECISION, 1 - positive)
    return np.repeat(np.log(positive / negative), np.diff(_BAYES_CUTS))

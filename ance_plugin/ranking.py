"""THE ordering rule: score descending, then docid descending, as trec_eval orders a run.

Scores are float32 values held as the nine-digit decimals that name them. Nine digits tell every
float32 apart, so a run file loses no order, and a trec_eval that holds scores as float32 (9.0.4, in
Pyserini) and one that holds them as double (9.0.8 and later) rank our runs alike.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from operator import gt, itemgetter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ance_plugin.records import Hit

_DIGITS = 9
_score, _score_and_docid = itemgetter(1), itemgetter(1, 0)  # of a Hit; faster than attributes
# Of a pair; much faster than Hit's own.
_new_hit: Callable[[tuple[str, float]], Hit] = partial(tuple.__new__, Hit)
_POWERS = np.array([float(10**power) for power in range(23)])  # those a float64 holds exactly


def canonical_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Round scores to float32 and name each by its nine-digit decimal.

    Args:
        scores: Any shape, any real dtype.

    Returns:
        The same shape, float64; ``repr`` of an element has at most nine significant digits.

    Raises:
        ValueError: A score is NaN or infinite (as a float32).
    """
    with np.errstate(over="ignore"):
        values = np.asarray(scores).astype(np.float32).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite float32 values, found NaN or infinity")
    magnitude = np.zeros_like(values)
    np.log10(np.abs(values), where=values != 0, out=magnitude)
    exponent = (_DIGITS - 1 - np.floor(magnitude)).astype(np.int64)
    is_scalable = np.abs(exponent) < len(_POWERS)
    up = _POWERS[np.where(is_scalable, np.maximum(exponent, 0), 0)]
    down = _POWERS[np.where(is_scalable, np.maximum(-exponent, 0), 0)]
    rounded = np.asarray(np.rint(values * up / down) / up * down)
    for place in np.argwhere(~is_scalable):  # below 1e-14 or above 1e31: scores nobody has
        rounded[tuple(place)] = float(f"{values[tuple(place)]:.{_DIGITS - 1}e}")
    return rounded


def rank(docids: Sequence[str], scores: ArrayLike, k: int | None = None) -> list[Hit]:
    """Order documents by the rule and keep the first ``k``.

    Args:
        docids: One docid for each score.
        scores: Shape (n,); made canonical before they are compared.
        k: Hits to keep, at least 0; all of them when None.

    Returns:
        Hits, best first; an empty list where there are no documents.

    Raises:
        ValueError: A score is not finite, lengths differ, or ``k`` is negative.
    """
    values = canonical_scores(scores)
    check_ranking(len(docids), len(values), k)
    if len(values) > 1:
        best = np.argsort(-values, kind="stable")
        values = values[best]
        docids = [docids[place] for place in best.tolist()]
        if (values[1:] == values[:-1]).any():
            return order(make_hits(docids, values.tolist()))[:k]
    return make_hits(docids[:k], values[:k].tolist())


def check_ranking(num_docids: int, num_scores: int, k: int | None) -> None:
    """Raise ValueError where not every docid has a score, or ``k`` is negative."""
    if k is not None and k < 0:
        raise ValueError(f"k must be at least 0, found {k}")
    if num_docids != num_scores:
        is_longer = num_docids > num_scores
        raise ValueError(f"docids are {'longer' if is_longer else 'shorter'} than scores")


def make_hits(docids: Iterable[str], scores: Iterable[float]) -> list[Hit]:
    """Make hits of docids and scores as they are; ValueError where lengths differ."""
    return list(map(_new_hit, zip(docids, scores, strict=True)))


def order(hits: Iterable[Hit]) -> list[Hit]:
    """Order hits by score descending, then docid descending, keeping their scores as they are."""
    given = list(hits)
    scores = list(map(_score, given))
    if all(map(gt, scores, islice(scores, 1, None))):  # most lists are in order, without ties
        return given
    return sorted(given, key=_score_and_docid, reverse=True)


def without_query(hits: Iterable[Hit], qid: str) -> list[Hit]:
    """Leave out the document that is the query itself: the one whose docid is the topic's id."""
    return [hit for hit in hits if hit.docid != qid]


def best_passages(hits: Iterable[Hit], delimiter: str, k: int | None = None) -> list[Hit]:
    """Give each document the score of its best passage.

    Args:
        hits: Hits on passages, best first, whose docids read ``document<delimiter>passage``.
        delimiter: What separates the two; a docid without it stands for itself.
        k: Documents to keep; all of them when None.

    Returns:
        Hits on documents, in order, each docid once.
    """
    best: dict[str, float] = {}
    for hit in hits:
        best.setdefault(hit.docid.split(delimiter, 1)[0], hit.score)
    return order(Hit(docid, score) for docid, score in best.items())[:k]

"""How alike the results of two systems are: documents in common, and rank-biased overlap."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate, combinations

from ance_plugin.records import Hit
from evaluation.comparison import Overlap

DEPTHS = (10, 100)
PERSISTENCE = 0.9


def measure_overlaps(
    tops: Mapping[str, Mapping[str, Sequence[Hit]]], qids: Sequence[str]
) -> list[Overlap]:
    """Compare every two systems, averaged over the topics for which either has hits.

    Args:
        tops: system -> qid -> hits, best first; the first 100 are looked at.
        qids: The topics.

    Returns:
        One overlap a pair, in the order of the systems; zero where no topic has hits.
    """
    found = []
    for first, second in combinations(tops, 2):
        lists = [
            ([hit.docid for hit in one], [hit.docid for hit in other])
            for one, other in (
                (tops[first].get(qid, ())[: DEPTHS[-1]], tops[second].get(qid, ())[: DEPTHS[-1]])
                for qid in qids
            )
            if one or other
        ]
        count = max(1, len(lists))
        shares = {
            depth: math.fsum(share(one, other, depth) for one, other in lists) / count
            for depth in DEPTHS
        }
        rbo = math.fsum(rank_biased_overlap(one, other) for one, other in lists) / count
        found.append(Overlap(first, second, shares, rbo))
    return found


def share(one: Sequence[str], other: Sequence[str], depth: int) -> float:
    """Return the documents that two lists have in common, over the longer one's length.

    Args:
        one: Docids, best first.
        other: Docids, best first.
        depth: How many of each are looked at.

    Returns:
        From 0 to 1; 0 where both are empty.
    """
    left, right = set(one[:depth]), set(other[:depth])
    return len(left & right) / max(len(left), len(right), 1)


def rank_biased_overlap(
    one: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE
) -> float:
    """Return extrapolated rank-biased overlap (Webber, Moffat and Zobel, TOIS 2010, equation 32).

    Args:
        one: Docids, best first, each once.
        other: Docids, best first, each once; may be of another length.
        persistence: Weight of depth d is ``persistence ** (d - 1)``; at 0.9 the first ten ranks
            have 86% of it.

    Returns:
        From 0 to 1; 0 where either list is empty.
    """
    short, long = sorted((one, other), key=len)
    if not short:
        return 0.0
    places = {docid: rank for rank, docid in enumerate(long, start=1)}
    depths = [  # at which a document that both have stands in both
        max(rank, places[docid]) for rank, docid in enumerate(short, start=1) if docid in places
    ]
    in_short = sum(depth <= len(short) for depth in depths)
    tails = _weigh_tails(len(long), persistence)
    total = sum(tails[depth] for depth in depths)
    total += in_short * sum(
        (depth - len(short)) / (len(short) * depth) * persistence**depth
        for depth in range(len(short) + 1, len(long) + 1)
    )
    last = (len(depths) - in_short) / len(long) + in_short / len(short)
    return total * (1 - persistence) / persistence + last * persistence ** len(long)


@cache
def _weigh_tails(length: int, persistence: float) -> tuple[float, ...]:
    """Sum the weights over the depths from each depth on: what one document in common adds."""
    weights = [persistence**depth / depth for depth in range(1, length + 1)]
    return (0.0, *reversed(list(accumulate(reversed(weights)))))

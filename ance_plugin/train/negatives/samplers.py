"""Which of a topic's candidates become negatives: uniform, the top, or SimANS.

A draw is a function of (seed, round, qid) alone: not of other topics, their order, or the process.
"""

import hashlib
import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

type Sampler = Callable[[np.random.Generator, NDArray[np.float32], float, int], NDArray[np.int64]]
"""(generator, scores (k,), score of the positive, count) -> positions into the scores, shape
(min(k, count),), int64, no two the same, in the order they were drawn."""

SIMANS_A = 0.5
SIMANS_B = 0.0


def generator(seed: int, round: int, qid: str) -> np.random.Generator:  # noqa: A002
    """Make the source of randomness of one topic in one round of mining."""
    key = f"{seed}\0{round}\0{qid}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(key, digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def new_sampler(name: str, **params: float) -> Sampler:
    """Make a sampler.

    Args:
        name: ``uniform``, ``top`` or ``simans``.
        params: ``a`` and ``b`` of ``simans``; the others have none.

    Returns:
        The sampler.

    Raises:
        ValueError: There is no such sampler, it has no such parameter, or ``a`` or ``b`` is out of
            range.
    """
    if name not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, found {name!r}")
    sampler, defaults = SAMPLERS[name]
    unknown = sorted(params.keys() - defaults.keys())
    if unknown:
        raise ValueError(f"sampler {name} has no parameter {unknown[0]!r}")
    values = {**defaults, **params}
    for param, value in values.items():
        if not math.isfinite(value) or (param == "a" and value < 0):
            expected = "a number of at least 0" if param == "a" else "a finite number"
            raise ValueError(f"sampler_{param} must be {expected}, found {value}")
    return partial(sampler, **values) if values else sampler


def uniform(
    rng: np.random.Generator, scores: NDArray[np.float32], positive_score: float, count: int
) -> NDArray[np.int64]:
    """Draw without replacement, all candidates alike, as ANCE does."""
    return rng.permutation(len(scores))[:count]


def top(
    rng: np.random.Generator, scores: NDArray[np.float32], positive_score: float, count: int
) -> NDArray[np.int64]:
    """Take the first candidates; nothing is random."""
    return np.arange(min(len(scores), count), dtype=np.int64)


def simans(
    rng: np.random.Generator,
    scores: NDArray[np.float32],
    positive_score: float,
    count: int,
    *,
    a: float = SIMANS_A,
    b: float = SIMANS_B,
) -> NDArray[np.int64]:
    """Draw those most often that score about as the positive does: SimANS.

    Zhou et al. 2022, "SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval": the
    probability is proportional to exp(-a (s - s+ - b)^2). Each further draw is from what is left,
    by the same formula (the largest keys of log p plus Gumbel noise, so nothing underflows).
    """
    distance = scores.astype(np.float64) - positive_score - b
    keys = rng.gumbel(size=len(scores)) - a * distance**2
    return np.argsort(-keys, kind="stable")[:count]


SAMPLERS: dict[str, tuple[Callable[..., NDArray[np.int64]], dict[str, float]]] = {
    "uniform": (uniform, {}),
    "top": (top, {}),
    "simans": (simans, {"a": SIMANS_A, "b": SIMANS_B}),
}
"""name -> function and its parameters with their defaults."""

"""Which candidates are too likely to be relevant, though nobody judged them, to be negatives."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def keep_by_margin(scores: ArrayLike, positive_score: float, margin: float) -> NDArray[np.bool_]:
    """Say which candidates score below the positive by more than a share of its score.

    Moreira et al. 2024 (NV-Retriever) keep ``s < (1 - margin) * s+``, which for a negative ``s+``
    would keep what scores above it; here the share is of its magnitude.

    Args:
        scores: Shape (k,).
        positive_score: ``s+``, of the same encoder or searcher.
        margin: Share of ``|s+|``, at least 0; with 0 all below the positive are kept.

    Returns:
        Shape (k,): true where ``s < s+ - margin * |s+|``.
    """
    limit = positive_score - margin * abs(positive_score)
    return np.asarray(np.asarray(scores, dtype=np.float64) < limit)


def keep_by_teacher(teacher_scores: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Say which documents a cross-encoder does not take for relevant, as RocketQA denoises.

    Args:
        teacher_scores: Log-odds of relevance (the logit of a model that has one; the difference of
            the two of a model that has two), shape (k,).
        threshold: Probability, above 0 and at most 1.

    Returns:
        Shape (k,): true where the probability, the score's sigmoid, is not above the threshold.
    """
    limit = math.inf if threshold == 1 else math.log(threshold / (1 - threshold))
    return np.asarray(np.asarray(teacher_scores, dtype=np.float64) <= limit)

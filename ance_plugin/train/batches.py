"""Which topics, positives and negatives make up each step: a function of the seed and the step.

Nothing about the data is carried from step to step, so a resumed run and any number of ranks see
the same batches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of one step and how they belong together: b queries, m documents, x negatives.

    Attributes:
        queries: Token ids of each query.
        documents: Token ids of each distinct document, in one piece or in MaxP's chunks.
        positives: Column (into ``documents``) of each query's positive, shape (b,), int64.
        negatives: Columns of each query's own negatives, shape (b, x), int64; x may be 0.
        bias: Added to the scores, shape (b, m), float32: 0 for a query's own documents, the
            logarithm of the in-batch weight for those of others, minus infinity for what may not
            count, as another positive of the same query or a duplicate of one.
        teacher: Cross-encoder scores, the positive's first, shape (b, 1 + x), float32; None where
            there are none.
    """

    queries: list[NDArray[np.integer]]
    documents: list[list[NDArray[np.integer]]]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    bias: NDArray[np.float32]
    teacher: NDArray[np.float32] | None = None

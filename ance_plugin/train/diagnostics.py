"""What negatives and gradients look like: the analyses of the ANCE paper's figures 3 and 4."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.table import Negatives

if TYPE_CHECKING:
    from torch import nn

_LAYER = re.compile(r"\.(?:layers?|h|block)\.(\d+)\.")
THIRDS = ("lower", "middle", "upper")


def measure_overlap(
    negatives: Negatives, qids: Sequence[str], rows: NDArray[np.int64], corpus: Corpus
) -> float | None:
    """Find how many of the training negatives are among what the encoder ranks highest now.

    The paper's figure 3: negatives from elsewhere (BM25, random) overlap little with those that the
    encoder must tell from positives when it searches; ANCE's come to overlap wholly.

    Args:
        negatives: Those in use.
        qids: Topics that were searched.
        rows: Their hits, shape (q, k); -1 where there is none.
        corpus: The documents.

    Returns:
        The share over all topics, between 0 and 1; None where none has negatives.
    """
    shared = total = 0
    for qid, hits in zip(qids, rows, strict=True):
        if qid not in negatives:
            continue
        own = [corpus.rows.get(docid, -2) for docid in negatives.by_qid(qid).negatives]
        shared += int(np.isin(own, hits).sum())
        total += len(own)
    return shared / total if total else None


def describe_margins(
    positives: Sequence[NDArray[np.float32]], negatives: Sequence[NDArray[np.float32]]
) -> dict[str, Any]:
    """Describe by how much topics score their best positive above their best other document.

    Args:
        positives: Scores of each topic's positives.
        negatives: Scores of each topic's hits that are no positives.

    Returns:
        Quantiles of the margin (10, 50 and 90%), and the share of topics where it is above zero.
    """
    margins = [
        float(of_positives.max() - of_others.max())
        for of_positives, of_others in zip(positives, negatives, strict=True)
        if len(of_positives) and len(of_others)
    ]
    if not margins:
        return {}
    low, middle, high = np.quantile(margins, (0.1, 0.5, 0.9)).tolist()
    share = float(np.mean(np.array(margins) > 0))
    return {"quantile_10": low, "median": middle, "quantile_90": high, "share_won": share}


class GradientNorms:
    """Norms of the gradient, whole and by thirds of the body's layers, as in figure 4.

    Args:
        model: Whose parameters; sorted once.
    """

    def __init__(self, model: "nn.Module") -> None:
        self._groups: dict[str, list[nn.Parameter]] = {third: [] for third in THIRDS}
        self._others: list[nn.Parameter] = []
        named = list(model.named_parameters())
        layers = [int(match[1]) for name, _ in named if (match := _LAYER.search(name))]
        num_layers = max(layers, default=-1) + 1
        for name, parameter in named:
            match = _LAYER.search(name)
            if match is None:
                self._others.append(parameter)
            else:
                self._groups[THIRDS[int(match[1]) * 3 // num_layers]].append(parameter)

    def measure(self) -> dict[str, float]:
        """Measure the gradients that the parameters hold now.

        Returns:
            ``all``, and ``lower``, ``middle`` and ``upper`` for the thirds of the layers;
            embeddings and head count in the first alone.
        """
        squares = {name: _square(group) for name, group in self._groups.items()}
        whole = sum(squares.values()) + _square(self._others)
        return {"all": whole**0.5, **{name: value**0.5 for name, value in squares.items()}}


def _square(parameters: "Iterable[nn.Parameter]") -> float:
    """Sum the squares of gradients."""
    import torch

    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    norms = torch.stack(torch._foreach_norm(gradients))
    return float(norms.double().square().sum())

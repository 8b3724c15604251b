"""What training makes small: functions of the scores between a batch's queries and documents.

Scores are float32, (b, m), already divided by the temperature; a loss is the mean over queries.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ance_plugin.train.batches import Batch

type Loss = Callable[[Tensor, Batch], Tensor]


def score(queries: Tensor, documents: Tensor, chunk_mask: Tensor) -> Tensor:
    """Score documents by the inner product of their best chunk (MaxP).

    Args:
        queries: Query vectors, shape (b, d).
        documents: Vectors of each document's chunks, shape (m, c, d).
        chunk_mask: Where a document has a chunk, shape (m, c), bool; each has at least one.

    Returns:
        Scores, shape (b, m). Of equal chunks one alone has a gradient.
    """
    num_documents, num_chunks, _ = documents.shape
    products = queries @ documents.flatten(0, 1).T
    if num_chunks == 1:
        return products
    products = products.view(-1, num_documents, num_chunks).masked_fill(~chunk_mask, -torch.inf)
    return products.max(dim=2).values


def pairwise_nll(scores: Tensor, batch: Batch) -> Tensor:
    """Give the paper's loss: -log softmax over the positive and one negative (Xiong et al. 2021).

    The paper has one negative a query; of several, the mean is taken. In-batch documents and
    ``bias`` play no part.

    Args:
        scores: Shape (b, m).
        batch: What the scores are of.

    Returns:
        The mean over queries, a scalar.

    Raises:
        ValueError: The batch has no negatives.
    """
    positives, negatives = _own_scores(scores, batch)
    if negatives.shape[1] == 0:
        raise ValueError(_NO_NEGATIVES.format("pairwise_nll"))
    return functional.softplus(negatives - positives).mean()


def softmax(scores: Tensor, batch: Batch) -> Tensor:
    """Give the cross entropy of the positive among all documents of the batch, ``bias`` added.

    Args:
        scores: Shape (b, m).
        batch: What the scores are of; where its bias is minus infinity a document does not count.

    Returns:
        The mean over queries, a scalar.
    """
    bias = torch.as_tensor(batch.bias).to(scores)
    return functional.cross_entropy(scores + bias, _columns(batch.positives, scores))


def margin_mse(scores: Tensor, batch: Batch) -> Tensor:
    """Give the squared error of the margins s+ - s- against the teacher's (Hofstätter et al. 2020).

    Args:
        scores: Shape (b, m); with a temperature, the student's margins are divided by it.
        batch: What the scores are of.

    Returns:
        The mean over queries and negatives, a scalar.

    Raises:
        ValueError: The batch has no negatives, or no teacher's scores.
    """
    positives, negatives = _own_scores(scores, batch)
    teacher = _teacher(scores, batch, "margin_mse")
    if negatives.shape[1] == 0:
        raise ValueError(_NO_NEGATIVES.format("margin_mse"))
    return functional.mse_loss(positives - negatives, teacher[:, :1] - teacher[:, 1:])


def kl(scores: Tensor, batch: Batch) -> Tensor:
    """Give KL(teacher || student) between the softmaxes over a query's own documents.

    Args:
        scores: Shape (b, m); the teacher's scores are taken as they are, without temperature.
        batch: What the scores are of.

    Returns:
        The mean over queries, a scalar.

    Raises:
        ValueError: The batch has no negatives, or no teacher's scores.
    """
    own = torch.cat(_own_scores(scores, batch), dim=1)
    teacher = _teacher(scores, batch, "kl")
    if own.shape[1] == 1:
        raise ValueError(_NO_NEGATIVES.format("kl"))
    return functional.kl_div(
        own.log_softmax(dim=1), teacher.log_softmax(dim=1), log_target=True, reduction="batchmean"
    )


LOSSES: dict[str, Loss] = {
    "pairwise_nll": pairwise_nll,
    "softmax": softmax,
    "margin_mse": margin_mse,
    "kl": kl,
}
NEEDS_TEACHER = frozenset({"margin_mse", "kl"})
NEEDS_NEGATIVES = frozenset({"pairwise_nll", "margin_mse", "kl"})
_NO_NEGATIVES = "loss {} compares a positive with negatives, but there are none; use softmax"
_NO_TEACHER = "loss {} learns from a cross-encoder's scores, but the negatives have none"


def find_loss(name: str, *, num_negatives: int, has_teacher: bool) -> Loss:
    """Give the loss of a name, before training starts with data that it cannot use.

    Args:
        name: One of ``LOSSES``.
        num_negatives: Negatives a query.
        has_teacher: Whether batches carry a cross-encoder's scores.

    Returns:
        The loss.

    Raises:
        ValueError: There is no such loss, or it needs negatives or a teacher that are not there.
    """
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, found {name!r}")
    if name in NEEDS_NEGATIVES and num_negatives < 1:
        raise ValueError(_NO_NEGATIVES.format(name))
    if name in NEEDS_TEACHER and not has_teacher:
        raise ValueError(_NO_TEACHER.format(name))
    return LOSSES[name]


def _own_scores(scores: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Pick each query's positive, (b, 1), and its own negatives, (b, x)."""
    positives = _columns(batch.positives, scores).unsqueeze(1)
    return scores.gather(1, positives), scores.gather(1, _columns(batch.negatives, scores))


def _columns(columns: object, scores: Tensor) -> Tensor:
    return torch.as_tensor(columns, dtype=torch.int64, device=scores.device)


def _teacher(scores: Tensor, batch: Batch, name: str) -> Tensor:
    if batch.teacher is None:
        raise ValueError(_NO_TEACHER.format(name))
    return torch.as_tensor(batch.teacher).to(scores)

"""Losses against their formulas, written out in numpy."""

import numpy as np
import pytest
import torch

from ance_plugin.train.batches import Batch
from ance_plugin.train.losses import (
    LOSSES,
    NEEDS_NEGATIVES,
    NEEDS_TEACHER,
    find_loss,
    kl,
    margin_mse,
    pairwise_nll,
    score,
    softmax,
)

SCORES = np.array([[2.0, 1.0, -1.0, 0.5], [0.0, 3.0, 2.5, -4.0]])
POSITIVES, NEGATIVES = [0, 2], [[1, 3], [3, 1]]
TEACHER = np.array([[9.0, 2.0, -3.0], [1.0, 4.0, -2.0]], dtype=np.float32)


def make_batch(*, num_negatives=2, bias=None, teacher=None):
    """Two queries and four documents; only what a loss reads is filled in."""
    return Batch(
        queries=[],
        documents=[],
        positives=np.array(POSITIVES, dtype=np.int64),
        negatives=np.array(NEGATIVES, dtype=np.int64)[:, :num_negatives],
        bias=np.zeros((2, 4), dtype=np.float32) if bias is None else np.float32(bias),
        teacher=teacher,
    )


def log_softmax(row):
    row = np.asarray(row, dtype=float)
    return row - np.log(np.exp(row).sum())


def value(loss, batch):
    return float(loss(torch.tensor(SCORES, dtype=torch.float32), batch))


def test_pairwise_nll_of_one_negative_is_the_papers():
    """Its code: the first of log_softmax([q.d+, q.d-]), negated, mean over queries."""
    pairs = [[2.0, 1.0], [2.5, -4.0]]

    expected = np.mean([-log_softmax(pair)[0] for pair in pairs])
    assert value(pairwise_nll, make_batch(num_negatives=1)) == pytest.approx(expected, rel=1e-6)


def test_pairwise_nll_of_several_negatives_is_their_mean():
    """Over a query's negatives, then over queries; in-batch documents play no part."""
    pairs = [[[2.0, 1.0], [2.0, 0.5]], [[2.5, -4.0], [2.5, 3.0]]]

    expected = np.mean([np.mean([-log_softmax(pair)[0] for pair in query]) for query in pairs])
    masked = make_batch(bias=np.where(np.eye(2, 4, k=2), -np.inf, 0))
    assert value(pairwise_nll, make_batch()) == pytest.approx(expected, rel=1e-6)
    assert value(pairwise_nll, masked) == pytest.approx(expected, rel=1e-6)


def test_softmax_is_over_all_documents():
    """The cross entropy of the positive's column."""
    expected = -np.mean([log_softmax(SCORES[0])[0], log_softmax(SCORES[1])[2]])

    assert value(softmax, make_batch()) == pytest.approx(expected, rel=1e-6)


def test_softmax_works_without_negatives():
    """In-batch documents are enough."""
    assert value(softmax, make_batch(num_negatives=0)) == value(softmax, make_batch())


def test_masked_columns_do_not_count():
    """Minus infinity takes a document out of one query's sum, and leaves gradients finite."""
    bias = [[0, 0, -np.inf, 0], [-np.inf, 0, 0, 0]]
    scores = torch.tensor(SCORES, dtype=torch.float32, requires_grad=True)
    loss = softmax(scores, make_batch(bias=bias))
    loss.backward()

    expected = -np.mean(
        [log_softmax(SCORES[0][[0, 1, 3]])[0], log_softmax(SCORES[1][[1, 2, 3]])[1]]
    )
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    assert scores.grad.isfinite().all()
    assert scores.grad[0, 2] == scores.grad[1, 0] == 0


def test_in_batch_weights_multiply():
    """The logarithm of w beside a score is w beside its exponential."""
    weight = 0.25
    bias = np.log([[1, 1, weight, 1], [weight, 1, 1, 1]])
    powers = np.exp(SCORES)
    sums = [
        powers[0, [0, 1, 3]].sum() + weight * powers[0, 2],
        powers[1, [1, 2, 3]].sum() + weight * powers[1, 0],
    ]

    expected = -np.mean(np.log([powers[0, 0] / sums[0], powers[1, 2] / sums[1]]))
    assert value(softmax, make_batch(bias=bias)) == pytest.approx(expected, rel=1e-6)


def test_margin_mse_compares_margins():
    """Each of (s+ - s-) with the teacher's, squared, mean over queries and negatives."""
    student = [2.0 - 1.0, 2.0 - 0.5, 2.5 - -4.0, 2.5 - 3.0]
    teacher = [9.0 - 2.0, 9.0 - -3.0, 1.0 - 4.0, 1.0 - -2.0]

    expected = np.mean((np.array(student) - teacher) ** 2)
    assert value(margin_mse, make_batch(teacher=TEACHER)) == pytest.approx(expected, rel=1e-6)


def test_kl_compares_softmaxes_over_own_documents():
    """Sum of p log(p/q) over the positive and the query's own negatives, mean over queries."""
    own = [[2.0, 1.0, 0.5], [2.5, -4.0, 3.0]]
    sums = []
    for student, teacher in zip(own, TEACHER, strict=True):
        log_p, log_q = log_softmax(teacher), log_softmax(student)
        sums.append(np.sum(np.exp(log_p) * (log_p - log_q)))

    assert value(kl, make_batch(teacher=TEACHER)) == pytest.approx(np.mean(sums), rel=1e-5)


def test_kl_of_the_teachers_own_scores_is_zero():
    """And so is the squared error of its margins."""
    scores = torch.zeros(2, 4)
    batch = make_batch(teacher=TEACHER)
    scores.scatter_(1, torch.tensor([[0, 1, 3], [2, 3, 1]]), torch.tensor(TEACHER))

    assert float(kl(scores, batch)) == pytest.approx(0, abs=1e-6)
    assert float(margin_mse(scores, batch)) == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_of_large_scores_are_finite(name):
    """ANCE's inner products are in the hundreds; neither value nor gradient may overflow."""
    scores = torch.tensor(SCORES * 1000, dtype=torch.float32, requires_grad=True)
    loss = LOSSES[name](scores, make_batch(teacher=TEACHER))
    loss.backward()

    assert loss.isfinite()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(NEEDS_NEGATIVES))
def test_missing_negatives_are_an_error(name):
    """A mean over nothing would be NaN."""
    batch = make_batch(num_negatives=0, teacher=TEACHER[:, :1])

    with pytest.raises(ValueError, match=f"{name} compares a positive with negatives"):
        value(LOSSES[name], batch)
    with pytest.raises(ValueError, match=f"{name} compares a positive with negatives"):
        find_loss(name, num_negatives=0, has_teacher=True)


@pytest.mark.parametrize("name", sorted(NEEDS_TEACHER))
def test_missing_teacher_is_an_error(name):
    """Said before training, when the data are known, and again by the loss."""
    with pytest.raises(ValueError, match=f"{name} learns from a cross-encoder's scores"):
        value(LOSSES[name], make_batch())
    with pytest.raises(ValueError, match=f"{name} learns from a cross-encoder's scores"):
        find_loss(name, num_negatives=2, has_teacher=False)


def test_losses_are_found_by_name():
    """An unknown name lists the known ones."""
    assert find_loss("softmax", num_negatives=0, has_teacher=False) is softmax
    assert find_loss("kl", num_negatives=1, has_teacher=True) is kl
    with pytest.raises(ValueError, match="pairwise_nll, softmax, margin_mse, kl, found 'nll'"):
        find_loss("nll", num_negatives=1, has_teacher=True)


def test_score_is_the_best_chunks():
    """Worked out in a loop; a chunk that is masked does not count, however good."""
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(2, 5)), rng.normal(size=(3, 2, 5))
    documents[1, 1] = 100 * queries[0]
    mask = np.array([[True, True], [True, False], [True, True]])

    scores = score(torch.tensor(queries), torch.tensor(documents), torch.tensor(mask))

    expected = [
        [
            max(query @ piece for piece in pieces[kept])
            for pieces, kept in zip(documents, mask, strict=True)
        ]
        for query in queries
    ]
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-12)


def test_score_of_single_chunks_is_the_inner_product():
    """Nothing to take the maximum of."""
    queries, documents = torch.eye(2), torch.arange(6.0).view(3, 1, 2)

    scores = score(queries, documents, torch.ones(3, 1, dtype=torch.bool))

    assert scores.tolist() == [[0, 2, 4], [1, 3, 5]]


def test_masked_chunks_have_no_gradient():
    """What fills up may be any vector, and stays as it is."""
    documents = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    documents.requires_grad_()
    mask = torch.tensor([[True, False], [True, False]])
    score(torch.ones(1, 3), documents, mask).sum().backward()

    assert documents.grad[:, 1].tolist() == [[0.0] * 3] * 2
    assert documents.grad[:, 0].tolist() == [[1.0] * 3] * 2

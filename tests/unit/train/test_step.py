"""One step's gradients against the plain way, and what they do not depend on."""

import numpy as np
import pytest
import torch

from ance_plugin.encode.batching import pad
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.model import AnceHead
from ance_plugin.train.batches import Batch
from ance_plugin.train.losses import pairwise_nll, softmax
from ance_plugin.train.ranks import Ranks
from ance_plugin.train.step import EncodingStep, _judge

CPU = torch.device("cpu")


def make_batch(*, seed=0, num_pieces=1, num_negatives=2):
    """Four queries, each with its positive and its own negatives, of up to ``num_pieces``."""
    rng = np.random.default_rng(seed)
    num_documents = 4 * (1 + num_negatives)
    bias = np.full((4, num_documents), np.log(0.5), dtype=np.float32)
    columns = np.arange(num_documents).reshape(1 + num_negatives, 4).T
    np.put_along_axis(bias, columns, 0, axis=1)
    bias[0, 1] = -np.inf

    def draw_text(longest):
        return rng.integers(5, 60, rng.integers(3, longest))

    return Batch(
        queries=[draw_text(9) for _ in range(4)],
        documents=[
            [draw_text(30) for _ in range(rng.integers(1, num_pieces + 1))]
            for _ in range(num_documents)
        ],
        positives=columns[:, 0].copy(),
        negatives=columns[:, 1:].copy(),
        bias=bias,
    )


@pytest.fixture(scope="module")
def make_model(tiny_checkpoint):
    """A function that loads a tiny BERT with dropout on, the same weights each time."""

    def make(*, has_dropout=True, has_head=False):
        model = load_checkpoint(str(tiny_checkpoint)).model
        if has_head:
            with torch.random.fork_rng():
                torch.manual_seed(1)
                model.head = AnceHead(32, 24)
        return model.train(has_dropout)

    return make


def make_step(model, **settings):
    """A step of chunks small enough that there are several a side."""
    given = {
        "loss": softmax,
        "temperature": 0.5,
        "pad_id": 0,
        "device": CPU,
        "precision": "fp32",
        "chunk_tokens": 64,
        "grad_cache": False,
        "seed": 7,
        "ranks": Ranks(0, 1, CPU),
    }
    return EncodingStep(model, **given | settings)


def flat_gradient(model):
    """All gradients in one vector."""
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def run(model, batch, *, step=3, **settings):
    """Result and gradient of one step on fresh gradients."""
    model.zero_grad()
    result = make_step(model, **settings).run(batch, step)
    return result, flat_gradient(model)


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


def run_plainly(model, batch, loss):
    """One padded forward over all texts of a side, and autograd through everything."""

    def encode(rows):
        ids, mask = map(torch.from_numpy, pad(rows, 0))
        return model(ids, mask)

    model.zero_grad()
    queries = encode(batch.queries)
    documents = encode([piece for pieces in batch.documents for piece in pieces])
    counts = [len(pieces) for pieces in batch.documents]
    products = (queries @ documents.T).split(counts, dim=1)
    scores = torch.stack([product.amax(dim=1) for product in products], dim=1)
    value = loss(scores / 0.5, batch)
    value.backward()
    return float(value.detach()), scores.detach(), flat_gradient(model)


@pytest.mark.parametrize("grad_cache", [False, True])
@pytest.mark.parametrize("num_pieces", [1, 3])
@pytest.mark.parametrize("loss", [softmax, pairwise_nll])
def test_gradients_are_the_plain_ones(make_model, loss, num_pieces, grad_cache):
    """Chunks, padding, recomputed graphs and MaxP's maximum change nothing."""
    batch = make_batch(num_pieces=num_pieces)
    model = make_model(has_dropout=False).double()
    value, scores, expected = run_plainly(model, batch, loss)

    result, gradient = run(model, batch, loss=loss, grad_cache=grad_cache)
    assert distance(gradient, expected) < 1e-6
    assert result.loss == pytest.approx(value, rel=1e-6)
    margins = [
        scores[q, batch.positives[q]] - scores[q, batch.negatives[q]].max() for q in range(4)
    ]
    assert result.margin == pytest.approx(float(np.mean(margins)), rel=1e-5)


@pytest.mark.parametrize("chunk_tokens", [16, 64, 100_000])
@pytest.mark.parametrize("num_pieces", [1, 3])
def test_recomputed_graphs_have_the_same_dropout(make_model, num_pieces, chunk_tokens):
    """In float64 GradCache's gradients are the kept graphs', with dropout on."""
    batch, model = make_batch(num_pieces=num_pieces), make_model().double()

    kept, expected = run(model, batch, chunk_tokens=chunk_tokens)
    cached, gradient = run(model, batch, chunk_tokens=chunk_tokens, grad_cache=True)
    _, without = run(model.eval(), batch, chunk_tokens=chunk_tokens)
    assert distance(gradient, expected) < 1e-6
    assert cached == kept
    assert distance(without, expected) > 0.01, "there was no dropout"


def test_head_and_length_are_those_of_the_model(make_model):
    """ANCE's head gets gradients, and vectors of length one are the model's."""
    batch, model = make_batch(), make_model(has_dropout=False, has_head=True)
    model.is_normalized = True
    value, _, expected = run_plainly(model, batch, softmax)

    result, gradient = run(model, batch, grad_cache=True)
    assert result.loss == pytest.approx(value, rel=1e-5)
    assert distance(gradient, expected) < 1e-4
    assert model.head.embeddingHead.weight.grad.norm() > 0


@pytest.mark.parametrize("grad_cache", [False, True])
def test_same_seed_and_step_give_the_same_bits(make_model, grad_cache):
    """Whatever was drawn before; and the global generator goes on as if nothing was."""
    batch, model = make_batch(), make_model()
    first = run(model, batch, grad_cache=grad_cache)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        state = torch.get_rng_state()
        second = run(model, batch, grad_cache=grad_cache)

        assert torch.equal(torch.get_rng_state(), state)
    assert first[0] == second[0]
    assert torch.equal(first[1], second[1])


def test_dropout_differs_between_steps_seeds_and_micro_batches(make_model):
    """And between a step's chunks, though they hold the same texts."""
    batch, model = make_batch(), make_model()
    losses = [
        make_step(model).run(batch, 3).loss,
        make_step(model).run(batch, 4).loss,
        make_step(model, seed=8).run(batch, 3).loss,
        make_step(model).run(batch, 3, micro=1).loss,
    ]
    text = np.arange(5, 20)
    twice = Batch([text], [[text], [text]], np.array([0]), np.array([[1]]), np.zeros((1, 2)))

    assert len(set(losses)) == 4
    assert make_step(model, chunk_tokens=1).run(twice, 0).margin != 0


def test_micro_batches_add_up(make_model):
    """Two of weight 1/2 give the mean of two gradients; the loss is reported unweighted."""
    model, batches = make_model(), [make_batch(seed=1), make_batch(seed=2)]
    single = [run(model, batch) for batch in batches]
    model.zero_grad()
    step = make_step(model)
    results = [step.run(batch, 3, weight=0.5) for batch in batches]

    assert distance(flat_gradient(model), (single[0][1] + single[1][1]) / 2) < 1e-5
    assert results == [result for result, _ in single]


@pytest.mark.parametrize("grad_cache", [False, True])
def test_bf16_gradients_are_close_and_weights_stay_float32(make_model, grad_cache):
    """Autocast copies reach every weight; the head is never computed in bf16."""
    batch, model = make_batch(), make_model(has_dropout=False, has_head=True)
    _, expected = run(model, batch, grad_cache=grad_cache)
    seen = []
    model.head.register_forward_hook(lambda *args: seen.append(args[-1].dtype))

    _, gradient = run(model, batch, precision="bf16", grad_cache=grad_cache)
    cosine = torch.nn.functional.cosine_similarity(gradient, expected, dim=0)
    assert 0.99 < cosine < 1 - 1e-9
    assert {w.dtype for w in model.parameters()} == {w.grad.dtype for w in model.parameters()}
    assert {*seen, gradient.dtype} == {torch.float32}


def test_bf16_recomputed_graphs_reach_all_weights(make_model):
    """Copies of weights made without a graph must not be used with one."""
    batch, model = make_batch(), make_model()

    _, kept = run(model, batch, precision="bf16")
    _, cached = run(model, batch, precision="bf16", grad_cache=True)
    assert torch.equal(cached, kept)


def test_scores_are_judged_on_what_counts():
    """A document that is masked is no miss, equal scores are; margins are over own negatives."""
    scores = torch.tensor([[3.0, 5.0, 1.0, 2.0], [2.0, 4.0, 4.0, 0.0], [1.0, 9.0, 1.0, 3.0]])
    bias = np.zeros((3, 4), dtype=np.float32)
    bias[0, 1] = -np.inf
    positives, negatives = np.array([0, 1, 1]), np.array([[2, 3], [3, 0], [0, 2]])

    def judge(negatives):
        return _judge(scores, Batch([], [], positives, negatives, bias))

    assert judge(negatives) == (pytest.approx(((3 - 2) + (4 - 2) + (9 - 1)) / 3), 2 / 3)
    assert judge(negatives[:, :0]) == (pytest.approx(float("nan"), nan_ok=True), 2 / 3)


def test_tokens_are_counted_without_padding(make_model):
    """Of queries and of all pieces."""
    batch = make_batch(num_pieces=2)
    texts = [*batch.queries, *(piece for pieces in batch.documents for piece in pieces)]

    assert make_step(make_model()).run(batch, 0).num_tokens == sum(map(len, texts))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "fp16"}, "train in bf16 or fp32"),
        ({"temperature": 0.0}, "temperature must be above 0, found 0.0"),
        ({"chunk_tokens": 0}, "chunk_tokens must be at least 1, found 0"),
    ],
)
def test_wrong_settings_are_refused(make_model, settings, message):
    """Before anything is computed."""
    with pytest.raises(ValueError, match=message):
        make_step(make_model(), **settings)

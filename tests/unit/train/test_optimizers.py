"""Optimisers against plain loops, and the schedule at its corners."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from ance_plugin.train.optimizers import Lamb, learning_rate, new_optimizer


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_lamb(weight, gradients, *, lr, beta1, beta2, eps, decay, is_corrected):
    """The update of the paper's code, one tensor, float64."""
    weight = np.array(weight, dtype=float)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for number, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        m = mean / (1 - beta1**number) if is_corrected else mean
        v = square / (1 - beta2**number) if is_corrected else square
        step = m / (np.sqrt(v) + eps) + decay * weight
        weight_norm = min(np.sqrt((weight**2).sum()), 10)
        step_norm = np.sqrt((step**2).sum())
        ratio = 1 if weight_norm == 0 or step_norm == 0 else weight_norm / step_norm
        weight = weight - lr * ratio * step
    return weight


@pytest.mark.parametrize("is_corrected", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb_is_the_plain_loop(decay, is_corrected):
    """Over five steps, of tensors below and above the bound of the norm."""
    starts = [numbers(3, 4), 10 * numbers(5, seed=1), torch.zeros(2)]
    gradients = [[numbers(*start.shape, seed=s) for s in range(5)] for start in starts]
    weights = [nn.Parameter(start.clone()) for start in starts]
    optimizer = Lamb(
        weights, 0.1, betas=(0.8, 0.9), weight_decay=decay, has_bias_correction=is_corrected
    )
    for number in range(5):
        for weight, own in zip(weights, gradients, strict=True):
            weight.grad = own[number].clone()
        optimizer.step()

    settings = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 1e-6, "decay": decay}
    for start, own, weight in zip(starts, gradients, weights, strict=True):
        expected = plain_lamb(
            start.numpy(), [g.numpy() for g in own], **settings, is_corrected=is_corrected
        )
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def take_one_step(start, gradient, lr=0.1):
    weight = nn.Parameter(start.clone())
    weight.grad = gradient
    Lamb([weight], lr).step()
    return weight.detach() - start


def test_lambs_step_is_as_long_as_the_weights_allow():
    """Its length is the rate times the weights' norm, which counts as at most 10."""
    direction = numbers(50)
    short, long = direction / direction.norm() * 3, direction / direction.norm() * 300

    assert take_one_step(short, direction).norm() == pytest.approx(0.1 * 3, rel=1e-5)
    assert take_one_step(long, direction).norm() == pytest.approx(0.1 * 10, rel=1e-3)


def test_lamb_moves_weights_that_are_all_zero():
    """By Adam's step, (1-b1) g / (sqrt((1-b2) g^2) + eps), as the ratio of norms would be 0."""
    moved = take_one_step(torch.zeros(2), torch.tensor([1.0, -4.0]))

    expected = [-0.1 * 0.1 / (math.sqrt(0.001) + 1e-6), 0.1 * 0.4 / (math.sqrt(0.016) + 1e-6)]
    assert moved.tolist() == pytest.approx(expected, rel=1e-5)


def test_lamb_leaves_weights_without_step():
    """A gradient of zero changes nothing and divides by nothing; neither does none at all."""
    assert take_one_step(numbers(4), torch.zeros(4)).tolist() == [0.0] * 4
    assert take_one_step(numbers(4), None).tolist() == [0.0] * 4


def test_lamb_calls_a_closure():
    """With gradients on, as torch's optimisers do."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = Lamb([weight], 0.1)

    def closure():
        loss = weight.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert (weight < 1).all()


class Small(nn.Module):
    """What an encoder has: a matrix with a bias, an embedding, a LayerNorm, a frozen weight."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.dense = nn.Linear(4, 3)
        self.norm = nn.LayerNorm(3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        with torch.no_grad():
            for seed, weight in enumerate(self.parameters()):
                weight.copy_(numbers(*weight.shape, seed=seed))

    def forward(self, ids):
        return self.norm(self.dense(self.embedding(ids)))


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_biases_and_layer_norms_do_not_decay(name):
    """Two groups; what is frozen is in neither."""
    model = Small()
    decayed, plain = new_optimizer(model, name, lr=0.1, weight_decay=0.5).param_groups

    assert {id(w) for w in decayed["params"]} == {
        id(model.embedding.weight),
        id(model.dense.weight),
    }
    assert {id(w) for w in plain["params"]} == {
        *(id(model.dense.bias), id(model.norm.weight), id(model.norm.bias))
    }
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)


def test_shared_weights_are_trained_once():
    """Two names of one tensor must not take two steps."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight

    decayed, plain = new_optimizer(model, "adamw", lr=0.1).param_groups
    assert (len(decayed["params"]), len(plain["params"])) == (1, 2)


def train(model, optimizer, steps):
    for step in steps:
        optimizer.zero_grad()
        model(torch.tensor([[0, 1], [2, step % 5]])).pow(3).sum().backward()
        optimizer.step()


def test_adamw_is_torchs_own():
    """The fused form and the plain one agree."""
    model = Small()
    reference = copy.deepcopy(model)
    trained = [weight for weight in reference.parameters() if weight.requires_grad]
    train(reference, torch.optim.AdamW(trained, lr=0.01, weight_decay=0, foreach=False), range(3))

    train(model, new_optimizer(model, "adamw", lr=0.01, weight_decay=0.0), range(3))
    for weight, expected in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [("adamw", {}), ("lamb", {}), ("lamb", {"has_bias_correction": True})],
)
def test_state_survives_a_file_bit_for_bit(name, options, tmp_path):
    """Three steps, saved, loaded, two more: the same as five."""
    model = Small()
    optimizer = new_optimizer(model, name, lr=0.01, weight_decay=0.1, **options)
    train(model, optimizer, range(3))
    torch.save([model.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    train(model, optimizer, range(3, 5))

    resumed = Small()
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.load_state_dict(weights)
    second = new_optimizer(resumed, name, lr=0.5, weight_decay=0.1, **options)
    second.load_state_dict(state)
    train(resumed, second, range(3, 5))
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True)
    )


def test_unknown_optimizers_are_refused():
    """As is AdamW without what makes it Adam."""
    with pytest.raises(ValueError, match="must be one of adamw, lamb, found 'sgd'"):
        new_optimizer(Small(), "sgd", lr=0.1)
    with pytest.raises(ValueError, match="adamw always corrects"):
        new_optimizer(Small(), "adamw", lr=0.1, has_bias_correction=False)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (
            "cosine",
            [0.5, 1.0, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0, 0.0],
        ),
    ],
)
def test_rate_over_six_steps_with_two_of_ramp(schedule, expected):
    """The first and the last step move weights; steps after the last are there as well."""
    settings = {"num_steps": 6, "lr_warmup_steps": 2, "schedule": schedule}
    rates = [learning_rate(step, peak=3.0, **settings) / 3.0 for step in range(8)]

    assert rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "constant", "cosine"])
def test_rate_without_ramp_starts_at_the_peak(schedule):
    """Also of a training of one step."""
    assert learning_rate(0, peak=2e-5, num_steps=1, schedule=schedule) == pytest.approx(2e-5)
    assert learning_rate(0, peak=2e-5, num_steps=100, schedule=schedule) == pytest.approx(2e-5)


def test_ramp_longer_than_the_training_is_cut_off():
    """A smoke test of ten steps keeps the settings of a long training."""
    rates = [learning_rate(s, peak=1.0, num_steps=10, lr_warmup_steps=100) for s in (0, 9)]

    assert rates == pytest.approx([0.01, 0.1])


def test_wrong_schedules_are_refused():
    """Counts below 0 and unknown names."""
    with pytest.raises(ValueError, match="found step -1"):
        learning_rate(-1, peak=1.0, num_steps=10)
    with pytest.raises(ValueError, match="found 'step'"):
        learning_rate(0, peak=1.0, num_steps=10, schedule="step")

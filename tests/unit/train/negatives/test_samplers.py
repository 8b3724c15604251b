"""What is drawn, how often, and what a draw depends on."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import chisquare

from ance_plugin.train.negatives.samplers import generator, new_sampler

SCORES = np.array([3.0, 2.5, 2.0, 1.0, -1.0], dtype=np.float32)


def count_draws(sampler, *, positive_score=0.0, count=1, times=20_000):
    """Count how often each place is among the first ``count`` that are drawn."""
    rng = np.random.default_rng(5)
    draws = [sampler(rng, SCORES, positive_score, count) for _ in range(times)]
    return np.bincount(np.concatenate(draws), minlength=len(SCORES))


def test_uniform_draws_all_alike():
    """Each place is the first, and among the first two, equally often."""
    for count in (1, 2):
        counts = count_draws(new_sampler("uniform"), count=count)

        assert counts.sum() == 20_000 * count
        assert chisquare(counts).pvalue > 0.01


def test_uniform_orders_all_alike():
    """All 120 orders of five candidates come equally often."""
    rng, sampler = np.random.default_rng(6), new_sampler("uniform")
    orders = [tuple(sampler(rng, SCORES, 0.0, 5).tolist()) for _ in range(24_000)]

    _, counts = np.unique(orders, axis=0, return_counts=True)

    assert len(counts) == 120
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.0), (2.0, -1.0), (0.0, 0.0)])
def test_simans_follows_its_formula(a, b):
    """The first draw has p proportional to exp(-a (s - s+ - b)^2)."""
    weights = np.exp(-a * (SCORES.astype(float) - 2.25 - b) ** 2)
    expected = 20_000 * weights / weights.sum()

    counts = count_draws(new_sampler("simans", a=a, b=b), positive_score=2.25)

    assert chisquare(counts, expected).pvalue > 0.01


def test_simans_draws_the_second_from_what_is_left():
    """Given the first, the second follows the formula over the others."""
    rng, sampler = np.random.default_rng(7), new_sampler("simans")
    draws = np.array([sampler(rng, SCORES, 2.0, 2) for _ in range(20_000)])
    after = draws[draws[:, 0] == 2, 1]
    weights = np.exp(-0.5 * (np.delete(SCORES, 2).astype(float) - 2.0) ** 2)

    counts = np.delete(np.bincount(after, minlength=5), 2)

    assert chisquare(counts, len(after) * weights / weights.sum()).pvalue > 0.01


def test_simans_does_not_underflow():
    """Far from the positive, the nearest come first."""
    drawn = new_sampler("simans")(np.random.default_rng(0), SCORES * 1000, 1e6, 3)

    assert drawn.tolist() == [0, 1, 2]


def test_top_takes_the_first():
    """In order, whatever chance says."""
    assert new_sampler("top")(np.random.default_rng(0), SCORES, 0.0, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["uniform", "top", "simans"])
def test_draws_are_different_places(name):
    """No place twice; fewer where there are fewer, none where there are none."""
    sampler, rng = new_sampler(name), np.random.default_rng(0)

    assert sorted(sampler(rng, SCORES, 1.0, 9).tolist()) == [0, 1, 2, 3, 4]
    assert len(sampler(rng, SCORES, 1.0, 3)) == 3
    assert sampler(rng, SCORES[:0], 1.0, 3).tolist() == []
    assert sampler(rng, SCORES, 1.0, 3).dtype == np.int64


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("best", {}, "sampler must be one of uniform, top, simans, found 'best'"),
        ("uniform", {"a": 1.0}, "sampler uniform has no parameter 'a'"),
        ("simans", {"a": -1.0}, "sampler_a must be a number of at least 0, found -1.0"),
        ("simans", {"b": float("inf")}, "sampler_b must be a finite number, found inf"),
    ],
)
def test_a_sampler_that_is_not_is_refused(name, params, message):
    """The message names what was wrong."""
    with pytest.raises(ValueError, match=message):
        new_sampler(name, **params)


def test_each_of_seed_round_and_qid_counts():
    """Another one gives another stream; the three are not run together."""
    keys = [(1, 1, "1"), (2, 1, "1"), (1, 2, "1"), (1, 1, "2"), (11, 1, "1"), (1, 11, "1")]
    keys += [(1, 1, "11"), (1, 1, "é"), (1, 1, "\ud800")]

    first = {generator(*key).integers(1 << 60) for key in keys}

    assert len(first) == len(keys)


def test_another_process_draws_the_same():
    """With another hash seed and other draws before it."""
    code = (
        "from ance_plugin.train.negatives.samplers import generator as g\n"
        "g(0, 0, 'x').random(9); print(g(3, 7, 'q1').permutation(1000).tolist())"
    )
    drawn = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert drawn[0] == drawn[1] == f"{generator(3, 7, 'q1').permutation(1000).tolist()}\n"

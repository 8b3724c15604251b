"""How many negatives come from where, and which settings are refused."""

import dataclasses

import pytest

from ance_plugin.train.negatives.mining import MiningSettings


@pytest.mark.parametrize(
    ("num_negatives", "mix", "quotas"),
    [
        (20, {"ann": 1.0}, {"ann": 20}),
        (20, {"random": 0.25, "bm25": 0.25, "ann": 0.5}, {"ann": 10, "bm25": 5, "random": 5}),
        (7, {"ann": 2, "bm25": 1, "random": 1}, {"ann": 3, "bm25": 2, "random": 2}),
        (1, {"ann": 1, "bm25": 1}, {"ann": 1, "bm25": 0}),
        (10, {"bm25": 0.96, "random": 0.04}, {"bm25": 10, "random": 0}),
        (10, {"ann": 0.0, "random": 3}, {"random": 10}),
        (3, {"ann": 0.1, "bm25": 0.2, "random": 0.3}, {"ann": 1, "bm25": 1, "random": 1}),
    ],
)
def test_shares_are_divided_by_largest_remainder(num_negatives, mix, quotas):
    """The quotas add up; of equal remainders, ann's is rounded up before bm25's and random's."""
    found = MiningSettings(num_negatives=num_negatives, mix=mix).quotas()

    assert found == quotas
    assert list(found) == list(quotas)
    assert sum(found.values()) == num_negatives


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_negatives": 0}, "num_negatives must be at least 1, found 0"),
        ({"depth": 0}, "depth must be at least 1, found 0"),
        ({"sampler": "best"}, "sampler must be one of uniform, top, simans, found 'best'"),
        ({"sampler_a": -0.5}, "sampler_a must be a number of at least 0, found -0.5"),
        ({"margin": -0.1}, "margin must be a number of at least 0, found -0.1"),
        ({"margin": float("nan")}, "margin must be a number of at least 0, found nan"),
        ({"teacher_threshold": 0.0}, "above 0 and at most 1, found 0.0"),
        ({"teacher_threshold": 1.5}, "above 0 and at most 1, found 1.5"),
        ({"mix": {"dense": 1.0}}, "mix is of ann, bm25, random, found 'dense'"),
        ({"mix": {"ann": -1.0}}, "mix: share of ann must be at least 0, found -1.0"),
        ({"mix": {"ann": 0.0}}, "mix has no share above 0"),
        ({"mix": {}}, "mix has no share above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    """The message has the name and the value."""
    with pytest.raises(ValueError, match=message):
        MiningSettings(**settings)


def test_settings_become_json():
    """They can be recorded beside what they made."""
    assert dataclasses.asdict(MiningSettings())["mix"] == {"ann": 1.0}

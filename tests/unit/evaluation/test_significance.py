"""Tests and corrections agree with scipy and with values worked out by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from evaluation.significance import (
    compare_pairs,
    correct,
    fisher_p,
    mean_interval,
    negate,
    student_p,
    swap_sides,
)


def make_differences(seed, *, size=30, shift=0.05):
    return np.random.default_rng(seed).normal(shift, 0.2, size)


def compare_to_baseline(systems, baseline, **settings):
    """Test each system against a baseline, as ``pairs`` does where one is named."""
    pairs = [(name, "baseline") for name in systems]
    found = compare_pairs({**systems, "baseline": baseline}, pairs, **settings)
    return {name: difference for (name, _), difference in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_student_equals_scipy(seed):
    """The paired t-test gives scipy's p-value."""
    rng = np.random.default_rng(seed)
    first, second = rng.random(50), rng.random(50)

    assert student_p(first - second) == pytest.approx(stats.ttest_rel(first, second).pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_fisher_is_exact_where_all_signs_can_be_tried(seed):
    """Up to as many sign patterns as permutations, the p-value is scipy's exact one."""
    differences = make_differences(seed, size=10)
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )

    found = fisher_p(differences, np.random.default_rng(0), permutations=1024)

    assert found == pytest.approx(exact.pvalue, abs=1e-12)


def test_fisher_counts_every_sign_pattern():
    """Of the 8 sign patterns of 1, 2, 4 only the two with one sign reach their sum: p is 2/8."""
    patterns = itertools.product([1, -1], repeat=3)
    reaching = sum(abs(a * 1 + b * 2 + c * 4) >= 7 for a, b, c in patterns)

    found = fisher_p(np.array([1.0, 2.0, 4.0]), np.random.default_rng(0))

    assert found == reaching / 8


def test_drawn_signs_come_close_to_the_exact_p_value():
    """Drawing 20,000 patterns of 2**15 misses the exact value by sampling error only."""
    differences = make_differences(1, size=15)
    exact = fisher_p(differences, np.random.default_rng(0), permutations=2**15)

    drawn = fisher_p(differences, np.random.default_rng(0), permutations=20_000)

    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_drawn_signs_never_give_zero():
    """The observed pattern counts as one of the draws: the least p-value is 1/(N+1)."""
    differences = np.full(100, 0.5)

    assert fisher_p(differences, np.random.default_rng(0), permutations=999) == 1 / 1000


def test_fisher_depends_on_nothing_but_the_generator(monkeypatch):
    """The same seed gives the same p-value; small batches are counted whole, first to last."""
    differences = make_differences(2, size=40)
    whole = fisher_p(differences, np.random.default_rng(7), permutations=999)

    assert fisher_p(differences, np.random.default_rng(7), permutations=999) == whole

    few = make_differences(3, size=8)
    exact = fisher_p(few, np.random.default_rng(0), permutations=256)
    monkeypatch.setattr("evaluation.significance._BATCH_BYTES", 8 * 8 * 10)  # ten rows

    assert fisher_p(few, np.random.default_rng(0), permutations=256) == exact


@pytest.mark.parametrize("test", ["student", "fisher"])
def test_equal_runs_do_not_differ(test):
    """A run against itself has p 1, no effect size, and only ties."""
    values = np.array([0.1, 0.5, 0.9])

    found = compare_to_baseline({"same": values.copy()}, values, test=test, correction="holm")[
        "same"
    ]

    assert (found.p_value, found.p_corrected, found.cohens_dz) == (1.0, 1.0, None)
    assert (found.mean, found.ci_low, found.ci_high) == (0.0, 0.0, 0.0)
    assert (found.wins, found.ties, found.losses) == (0, 3, 0)


def test_a_constant_difference_is_certain():
    """Where every topic improves by the same, the t-test's p is 0 and there is no effect size."""
    values = np.array([0.1, 0.4, 0.6])

    found = compare_to_baseline(
        {"better": values + 0.2}, values, test="student", correction="none"
    )["better"]

    assert (found.p_value, found.cohens_dz, found.wins) == (0.0, None, 3)


def test_a_difference_is_described_as_scipy_describes_it():
    """Mean, 95% interval, effect size and wins are those of the differences."""
    rng = np.random.default_rng(3)
    baseline, system = rng.random(25), rng.random(25)
    system[:4] = baseline[:4]
    expected = stats.ttest_rel(system, baseline)
    interval = expected.confidence_interval(0.95)
    differences = system - baseline

    found = compare_to_baseline({"a": system}, baseline, test="student", correction="none")["a"]

    assert found.mean == pytest.approx(differences.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))
    assert found.cohens_dz == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert (found.wins, found.ties) == (int((differences > 0).sum()), 4)
    assert found.wins + found.ties + found.losses == 25


def test_holm_multiplies_by_the_hypotheses_that_are_left():
    """Sorted 0.01 0.02 0.03 0.5 times 4 3 2 1, never below the one before: 0.04 0.06 0.06 0.5."""
    assert correct([0.03, 0.01, 0.5, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_bonferroni_multiplies_by_all_hypotheses():
    """Each p-value times their number, at most 1."""
    assert correct([0.01, 0.4, 0.2], "bonferroni") == pytest.approx([0.03, 1.0, 0.6])


def test_corrections_leave_a_family_of_one_as_it_is():
    """One hypothesis, or none, or no correction changes nothing."""
    assert correct([0.2], "holm") == [0.2]
    assert correct([0.2], "bonferroni") == [0.2]
    assert correct([], "holm") == []
    assert correct([0.2, 0.1], "none") == [0.2, 0.1]


def test_the_family_is_the_systems_and_not_their_order():
    """Corrected p-values belong to their system in whatever order the systems come."""
    baseline = np.random.default_rng(4).random(40)
    systems = {
        name: baseline + make_differences(seed, size=40) for seed, name in enumerate("abc", 5)
    }

    forward = compare_to_baseline(systems, baseline, test="fisher", correction="holm")
    backward = compare_to_baseline(
        dict(reversed(systems.items())), baseline, test="fisher", correction="holm"
    )

    assert forward == backward
    assert list(forward) == ["a", "b", "c"]


def test_a_test_needs_the_same_topics_and_two_of_them():
    """One topic, or values of other topics, are refused."""
    with pytest.raises(ValueError, match="two or more of them; found 1 and 1"):
        compare_to_baseline({"a": np.ones(1)}, np.zeros(1), test="student", correction="holm")
    with pytest.raises(ValueError, match="found 3 and 2"):
        compare_to_baseline({"a": np.ones(3)}, np.zeros(2), test="student", correction="holm")


def test_the_pairs_are_the_family():
    """Three pairs of three systems: Bonferroni multiplies by three, and signs follow the pair."""
    rng = np.random.default_rng(6)
    systems = {name: rng.random(30) for name in "abc"}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]

    found = compare_pairs(systems, pairs, test="student", correction="bonferroni")

    for first, second in pairs:
        expected = stats.ttest_rel(systems[first], systems[second]).pvalue
        difference = found[first, second]
        assert difference.p_value == pytest.approx(expected)
        assert difference.p_corrected == pytest.approx(min(1, 3 * expected))
        assert difference.mean == pytest.approx(systems[first].mean() - systems[second].mean())


def test_tukey_is_not_corrected_twice():
    """A correction on top of Tukey's is refused, and none leaves its p-values as they are."""
    rng = np.random.default_rng(7)
    systems = {name: rng.random(12) for name in "abc"}

    with pytest.raises(ValueError, match="tukey holds the family-wise error itself"):
        compare_pairs(systems, [("a", "b")], test="tukey", correction="holm")
    (found,) = compare_pairs(systems, [("a", "b")], test="tukey", correction="none").values()

    assert found.p_corrected == found.p_value


def test_turning_a_difference_around_turns_its_numbers():
    """Second minus first has the signs, bounds and winners exchanged; p-values stay."""
    values = np.array([0.1, 0.5, 0.9, 0.4]), np.array([0.2, 0.4, 0.3, 0.4])
    systems = dict(zip("ab", values, strict=True))
    pairs = [("a", "b"), ("b", "a")]

    found = compare_pairs(systems, pairs, test="student", correction="none")

    assert negate(found["a", "b"]) == found["b", "a"]
    assert (found["a", "b"].wins, swap_sides(found["a", "b"]).wins) == (2, 1)


def test_the_interval_of_a_mean_is_scipys():
    """Student's t over topics; one topic has no width."""
    values = np.random.default_rng(8).random(25)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval(np.array([0.4])) == (0.4, 0.4)

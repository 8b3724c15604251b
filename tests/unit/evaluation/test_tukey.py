"""Tukey's tests agree with a linear model, with the t-test, and with shuffling by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from evaluation.tukey import randomised_tukey_p, tukey_p


def make_values(seed=3, *, topics=20, systems=4):
    """Topics that differ much, systems that differ a little."""
    rng = np.random.default_rng(seed)
    effects = np.linspace(0, 0.2, systems)
    return rng.random((topics, 1)) + rng.normal(0, 0.15, (topics, systems)) + effects


def test_the_error_is_that_of_a_two_way_model():
    """The studentised range is taken over the residuals of a regression on topics and systems."""
    values = make_values()
    topics, systems = values.shape
    design = np.array(
        [
            np.concatenate([np.eye(topics)[topic], np.eye(systems)[system][1:]])
            for topic in range(topics)
            for system in range(systems)
        ]
    )
    _, (squares,), rank, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    freedom = values.size - int(rank)
    means = values.mean(0)

    found = tukey_p(values)

    assert freedom == 57
    for one, other in itertools.combinations(range(systems), 2):
        q = abs(means[one] - means[other]) / np.sqrt(squares / freedom / topics)
        expected = stats.studentized_range.sf(q, systems, freedom)
        assert found[one, other] == found[other, one] == pytest.approx(expected, abs=1e-9)


def test_p_values_of_a_table_worked_out_by_hand():
    """Means 2, 3, 7; residuals 0 0 0, 0 1 -1, 0 -1 1: mean square 1 on 4, standard error 1/√3."""
    found = tukey_p(np.array([[1.0, 2, 6], [2, 4, 6], [3, 3, 9]]))

    assert found[0, 1] == pytest.approx(stats.studentized_range.sf(1 * 3**0.5, 3, 4))
    assert found[1, 2] == pytest.approx(stats.studentized_range.sf(4 * 3**0.5, 3, 4))
    assert found[0, 2] == pytest.approx(stats.studentized_range.sf(5 * 3**0.5, 3, 4))
    assert np.diag(found).tolist() == [1.0, 1.0, 1.0]


def test_two_systems_are_the_paired_t_test():
    """With one pair there is nothing to hold but its own error."""
    values = make_values(5, systems=2)

    expected = stats.ttest_rel(values[:, 0], values[:, 1]).pvalue

    assert tukey_p(values)[0, 1] == pytest.approx(expected, abs=1e-9)


def test_systems_without_error_are_equal_or_not():
    """A constant difference is certain, no difference is none."""
    column = np.linspace(0, 1, 5)
    values = np.column_stack([column, column, column + 0.1])

    assert tukey_p(values).tolist() == [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_shuffles_come_close_to_all_of_them():
    """Of two topics and three systems there are 36 tables; the p-values are their shares."""
    values = np.array([[0.1, 0.4, 0.9], [0.2, 0.3, 0.8]])
    tables = itertools.product(*(itertools.permutations(row) for row in values.tolist()))
    ranges = [np.ptp(np.mean(table, axis=0)) for table in tables]
    means = values.mean(0)

    found = randomised_tukey_p(values, np.random.default_rng(0), permutations=20_000)

    for one, other in itertools.combinations(range(3), 2):
        least = abs(means[one] - means[other])
        exact = np.mean([each >= least - 1e-12 for each in ranges])
        assert found[one, other] == pytest.approx(exact, abs=0.015)
        assert found[one, other] == found[other, one]


def test_shuffles_do_not_depend_on_batches(monkeypatch):
    """Small batches are counted whole, first to last, and the seed decides."""
    values = make_values(topics=6, systems=3)
    whole = randomised_tukey_p(values, np.random.default_rng(1), permutations=999)
    monkeypatch.setattr("evaluation.tukey._BATCH_BYTES", 8 * 6 * 3 * 10)  # ten tables

    found = randomised_tukey_p(values, np.random.default_rng(1), permutations=999)

    assert found.tolist() == whole.tolist()


def test_the_least_p_value_is_one_draw():
    """The table that was observed counts as one of the draws."""
    values = np.column_stack([np.zeros(60), np.ones(60)])

    found = randomised_tukey_p(values, np.random.default_rng(2), permutations=99)

    assert found[0, 1] == 1 / 100

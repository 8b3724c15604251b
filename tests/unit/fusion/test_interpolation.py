"""Interpolation of a sparse and a dense list."""

import pytest

from ance_plugin.fusion.fuse import fuse_hits
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.records import Hit

SPARSE = [Hit("a", 10.0), Hit("b", 6.0)]
DENSE = [Hit("b", 0.9), Hit("c", 0.5)]


def scores_of(params, sparse=SPARSE, dense=DENSE):
    return dict(fuse_hits([sparse, dense], params))


def test_alpha_weighs_the_first_run_and_missing_documents_have_the_lowest_score():
    """The dense list lacks a, so it has 0.5 there; the sparse list lacks c, so it has 6."""
    found = scores_of(FusionParams("interpolation", numbers={"alpha": 0.5}))

    assert found == {
        "a": pytest.approx(0.5 * 10 + 0.5),
        "b": pytest.approx(0.5 * 6 + 0.9),
        "c": pytest.approx(0.5 * 6 + 0.5),
    }


def test_default_alpha_is_pyserinis():
    """Without a setting the sparse score counts a tenth."""
    assert scores_of(FusionParams("interpolation"))["a"] == pytest.approx(1.0 + 0.5)


def test_weight_on_dense_weighs_the_second_run():
    """Sparse + alpha * dense."""
    params = FusionParams("interpolation", numbers={"alpha": 0.5}, weight_on_dense=True)

    assert scores_of(params)["b"] == pytest.approx(6 + 0.45)


def test_normalization_maps_each_list_to_half_below_and_above_zero():
    """The best of a list has 0.5, the worst -0.5, and so has a document it lacks."""
    params = FusionParams("interpolation", numbers={"alpha": 0.5}, normalization=True)

    assert scores_of(params) == {
        "a": pytest.approx(0.25 - 0.5),
        "b": pytest.approx(-0.25 + 0.5),
        "c": pytest.approx(-0.25 - 0.5),
    }


def test_list_of_equal_scores_is_normalised_to_zero():
    """Pyserini divides by zero here."""
    params = FusionParams("interpolation", normalization=True)

    found = scores_of(params, sparse=[Hit("a", 3.0), Hit("b", 3.0)])

    assert found == {"a": -0.5, "b": 0.5, "c": -0.5}


def test_interpolation_takes_two_runs():
    """Three lists are refused."""
    with pytest.raises(ValueError, match="takes two runs, sparse and dense, found 3"):
        fuse_hits([SPARSE, DENSE, []], FusionParams("interpolation"))

"""The settings of a method are checked and survive JSON."""

import json

import pytest

from ance_plugin.fusion.methods import METHODS, FusionParams


@pytest.mark.parametrize(
    "params",
    [
        FusionParams(),
        FusionParams("interpolation", depth=50, numbers={"alpha": 2}, weight_on_dense=True),
        FusionParams("wsum", "zmuv", weights=(0.25, 0.75)),
        FusionParams("logn_isr"),
        FusionParams("slidefuse", numbers={"w": 3}, trained=((0.5, 0.25), (0.1,))),
    ],
    ids=lambda params: params.method,
)
def test_params_survive_json(params):
    """What is written is what is read."""
    assert FusionParams.from_json(json.loads(json.dumps(params.to_json()))) == params


def test_json_holds_the_settings_of_the_method_and_no_others():
    """RRF has no norm, weights or alpha."""
    assert FusionParams().to_json() == {"method": "rrf", "depth": 1000, "rrf_k": 60}


def test_defaults_are_those_of_the_methods():
    """min-max where scores count, as in ranx; nothing where only ranks do."""
    assert FusionParams("sum").norm == "min-max"
    assert FusionParams("isr").norm == "none"
    assert FusionParams("interpolation").numbers == {"alpha": 0.1}
    assert FusionParams("logn_isr").numbers == {"sigma": 0.01}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "best"}, "unknown fusion method 'best'; there are rrf, interpolation, min"),
        ({"method": "sum", "norm": "l2"}, "unknown norm 'l2'; there are min-max, max"),
        ({"method": "isr", "norm": "max"}, "isr takes no norm, it looks at ranks only"),
        ({"method": "interpolation", "norm": "max"}, "it has its own normalization"),
        ({"depth": 0}, "depth must be at least 1, found 0"),
        ({"numbers": {"alpha": 1}}, "rrf has no parameter 'alpha'; it has rrf_k"),
        ({"method": "sum", "numbers": {"phi": 1}}, "sum has no parameter 'phi'; it has none"),
        ({"numbers": {"rrf_k": 1.5}}, "rrf_k must be a whole number of at least 0, found 1.5"),
        ({"method": "rbc", "numbers": {"phi": 2}}, "at least 0 and at most 1, found 2"),
        ({"method": "rbc"}, "rbc needs phi: give --param phi=VALUE, or tune it"),
        (
            {"method": "interpolation", "numbers": {"alpha": float("nan")}},
            "alpha must be a number of at least 0, found nan",
        ),
        ({"method": "wsum"}, "wsum needs weights"),
        ({"method": "wsum", "weights": (0, 0)}, "not all 0, found 0 0"),
        ({"method": "wsum", "weights": (-1, 1)}, "at least 0 and not all 0, found -1 1"),
        ({"weights": (1, 1)}, "rrf takes no weights"),
        ({"method": "mapfuse"}, "mapfuse must be trained on judged topics: run"),
        ({"trained": ((1,), (1,))}, "rrf is not trained"),
        ({"method": "mapfuse", "trained": ((float("inf"),),)}, "mapfuse must be finite"),
        ({"normalization": True}, "rrf has no normalization or weight_on_dense"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    """The message has what was wrong and what there is."""
    with pytest.raises(ValueError, match=message):
        FusionParams(**settings)


@pytest.mark.parametrize(
    "content", [{"method": "rrf", "speed": 9}, {"method": "wsum", "weights": 3}]
)
def test_unknown_json_is_refused(content):
    """A setting nobody knows is not dropped in silence."""
    with pytest.raises(ValueError, match="not the settings of a fusion method"):
        FusionParams.from_json(content)


def test_all_of_ranx_is_here():
    """The methods ranx 0.3.21 offers, by name, and the two of ours."""
    ranx = (
        "min max med sum anz mnz gmnz isr log_isr logn_isr bordafuse w_bordafuse condorcet "
        "w_condorcet mixed rbc rrf wmnz wsum bayesfuse mapfuse posfuse probfuse segfuse slidefuse"
    )

    assert set(METHODS) == {*ranx.split(), "interpolation"}

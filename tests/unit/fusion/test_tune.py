"""Tuning finds the best settings, the same ones every time."""

import pytest

from ance_plugin.fusion import tune as tune_module
from ance_plugin.fusion.fuse import fuse
from ance_plugin.fusion.grids import list_settings, list_weights
from ance_plugin.fusion.methods import METHODS
from ance_plugin.fusion.tune import tune
from ance_plugin.fusion.tuned import format_report
from ance_plugin.records import Hit

TUNABLE = [
    name
    for name, method in METHODS.items()
    if method.numbers or method.has_weights or method.trained
]


@pytest.fixture(autouse=True)
def _measure_without_ranx(monkeypatch):
    """Mean reciprocal rank in two lines, for ranx takes half a minute to compile."""

    def means(run, qrels, measures):
        values = []
        for qid, judged in qrels.items():
            ranks = [n for n, hit in enumerate(run.get(qid, []), 1) if judged.get(hit.docid, 0) > 0]
            values.append(1 / ranks[0] if ranks else 0.0)
        return dict.fromkeys(measures, sum(values) / len(values))

    monkeypatch.setattr(tune_module.measures, "means", means)


def plant(least, most):
    """Two runs in which the relevant document is first only for least < alpha < most.

    s beats r by 2 * alpha on one side and loses by 2 * most on the other; d the other way round.
    """
    sparse = [Hit("s", 12.0), Hit("r", 10.0), Hit("d", 8.0)]
    dense = [Hit("d", 700.0 + 2 * least), Hit("r", 700.0), Hit("s", 700.0 - 2 * most)]
    return {"q": sparse}, {"q": dense}


def test_interpolation_finds_a_planted_weight():
    """R wins where alpha * 10 + 700 beats 12 alpha + 700 - 2 most and 8 alpha + 700 + 2 least."""
    sparse, dense = plant(least=0.15, most=0.3)

    tuning = tune([sparse, dense], {"q": {"r": 1}}, method="interpolation", measure="mrr@10")

    assert tuning.best.value == 1.0
    assert tuning.best.params.numbers == {"alpha": 0.2}
    assert not tuning.best.params.weight_on_dense
    assert not tuning.best.params.normalization
    assert tuning.singles == [0.5, 0.5]
    won = {trial.value for trial in tuning.trials if trial.params.numbers["alpha"] in (0.1, 0.5)}
    assert won == {0.5}


def test_interpolation_refines_between_the_steps_of_the_grid():
    """From 0.32 to 0.39 there is no step of 1-2-5; 0.35 is 1.75 times the best of them."""
    narrow, wide = plant(least=0.32, most=0.39), plant(least=0.15, most=0.45)
    narrow[0]["q"].append(Hit("z", 0.0))  # so that normalised scores have no such window
    runs = [{"q": one["q"], "p": other["q"]} for one, other in zip(narrow, wide, strict=True)]
    qrels = {"q": {"r": 1}, "p": {"r": 1}}

    best = tune(runs, qrels, method="interpolation", measure="mrr@10").best

    assert best.value == 1.0
    assert best.params.numbers == {"alpha": 0.35}


def test_weights_find_the_run_that_is_right():
    """One run is right and the other wrong: the weight goes to the first."""
    right = {"q": [Hit("r", 2.0), Hit("x", 1.0), Hit("y", 0.0)]}
    wrong = {"q": [Hit("x", 2.0), Hit("y", 1.0), Hit("r", 0.0)]}

    best = tune([right, wrong], {"q": {"r": 1}}, method="wsum", measure="mrr@10").best

    assert best.value == 1.0
    assert best.params.weights[0] > best.params.weights[1]


def test_first_of_equal_settings_wins():
    """Where all settings are equal, the default of RRF and even weights are taken."""
    runs = [{"q": [Hit("r", 1.0)]}, {"q": [Hit("r", 1.0)]}]

    rrf = tune(runs, {"q": {"r": 1}}, method="rrf", measure="mrr@10")
    wsum = tune(runs, {"q": {"r": 1}}, method="wsum", measure="mrr@10")

    assert rrf.best.params.numbers == {"rrf_k": 60}
    assert wsum.best.params.weights == (0.5, 0.5)


@pytest.mark.parametrize("method", TUNABLE)
def test_tuning_is_deterministic_and_its_value_is_what_fusing_gives(method):
    """The best value is that of the fused run, and a second tuning finds the same."""
    runs = [
        {"q1": [Hit("a", 3.0), Hit("b", 2.0)], "q2": [Hit("c", 5.0), Hit("a", 1.0)]},
        {"q1": [Hit("b", 0.9), Hit("c", 0.2)], "q2": [Hit("a", 0.7), Hit("c", 0.6)], "q3": []},
    ]
    qrels = {"q1": {"b": 1}, "q2": {"c": 1}, "q9": {"a": 1}}

    tuning = tune(runs, qrels, method=method, measure="mrr@10")

    assert tuning == tune(runs, qrels, method=method, measure="mrr@10")
    assert tuning.qids == ["q1", "q2"]
    fused = fuse(runs, tuning.best.params)
    judged = {qid: qrels[qid] for qid in tuning.qids}
    assert tune_module.measures.means(fused, judged, ["mrr@10"])["mrr@10"] == tuning.best.value


def test_topics_without_judgments_or_hits_do_not_count():
    """A run's topic outside the qrels, and a judged one without hits, are left out."""
    run = {"q1": [Hit("r", 1.0)], "q2": [Hit("x", 1.0)], "q3": []}

    tuning = tune([run, run], {"q1": {"r": 1}, "q3": {"r": 1}}, method="rrf", measure="mrr@10")

    assert tuning.qids == ["q1"]
    assert tuning.best.value == 1.0


def test_mistakes_are_named_before_any_work():
    """Unknown measure, nothing to tune, nothing judged, too many runs."""
    run = {"q": [Hit("a", 1.0)]}
    qrels = {"q": {"a": 1}}

    with pytest.raises(ValueError, match="'beauty' is unknown"):
        tune([run, run], qrels, method="rrf", measure="beauty")
    with pytest.raises(ValueError, match="sum has no setting to tune; fuse with --method sum"):
        tune([run, run], qrels, method="sum", measure="mrr@10")
    with pytest.raises(ValueError, match="no topic of the runs is judged"):
        tune([run, run], {"p": {}}, method="rrf", measure="mrr@10")
    with pytest.raises(ValueError, match="for 6 runs at most, found 7"):
        tune([run] * 7, qrels, method="wsum", measure="mrr@10")
    with pytest.raises(ValueError, match="interpolation takes two runs"):
        tune([run] * 3, qrels, method="interpolation", measure="mrr@10")
    with pytest.raises(ValueError, match="less is better of hole_rate@10"):
        tune([run, run], qrels, method="rrf", measure="hole_rate@10")


@pytest.mark.parametrize(("num_runs", "count"), [(2, 21), (3, 66), (4, 56)])
def test_weight_grid_is_complete(num_runs, count):
    """All weights in steps of 0.05, 0.1 or 0.2 that add up to one; ranx loses four of 66."""
    weights = list_weights(num_runs)

    assert len(weights) == len(set(weights)) == count
    assert all(sum(found) == pytest.approx(1) for found in weights)
    assert min(max(found) - min(found) for found in weights) == max(weights[0]) - min(weights[0])


def test_interpolation_grid_covers_both_sides_and_both_normalizations():
    """Each weight is there once, from 0.0001 to 10,000 of one side to the other."""
    settings = list_settings("interpolation", None, 1000, 2)

    ratios = {
        (1 / params.numbers["alpha"] if params.weight_on_dense else params.numbers["alpha"])
        for params in settings
        if not params.normalization
    }
    assert min(ratios) == 1e-4
    assert max(ratios) == 1e4
    assert len(ratios) == 25
    assert sum(params.normalization for params in settings) == 13


def test_report_has_best_neighbours_and_single_runs():
    """The neighbours are the next smaller and the next larger setting."""
    sparse, dense = plant(least=0.15, most=0.3)
    tuning = tune([sparse, dense], {"q": {"r": 1}}, method="interpolation", measure="mrr@10")

    lines = format_report(tuning, ["bm25.trec", "dense.trec"]).splitlines()

    assert lines[0].startswith("interpolation on 1 topics, ")
    assert lines[1].startswith('  best mrr@10 = 1.0000 with {"alpha": 0.2, ')
    assert [line.split('"alpha": ')[1].split(",")[0] for line in lines[2:4]] == ["0.18", "0.23"]
    assert lines[4:] == [
        "  alone mrr@10 = 0.5000 bm25.trec",
        "  alone mrr@10 = 0.5000 dense.trec",
    ]


def test_report_says_when_fusion_does_not_win():
    """A run that is right alone is not beaten."""
    run = {"q": [Hit("r", 1.0)]}
    tuning = tune([run, run], {"q": {"r": 1}}, method="mapfuse", measure="mrr@10")

    lines = format_report(tuning, ["a.trec", "b.trec"]).splitlines()

    assert lines[1] == "  best mrr@10 = 1.0000 with nothing to set"
    assert lines[-1] == "  fusion does not win: a.trec alone has 1.0000"

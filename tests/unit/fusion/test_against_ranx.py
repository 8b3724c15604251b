"""Every method and norm that carries a ranx name gives ranx's scores."""

import warnings

import numpy as np
import pytest

from ance_plugin.fusion.fuse import fuse
from ance_plugin.fusion.methods import METHODS, NORMS, FusionParams
from ance_plugin.fusion.tune import tune
from ance_plugin.ranking import rank

pytestmark = [
    pytest.mark.slow,  # ranx compiles each function it is asked for
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),  # ranx's report.py has "\c" in strings
    pytest.mark.filterwarnings("ignore:unsafe cast from uint64"),  # numba, compiling ranx
]

TOPICS = ["10", "9", "a"]
SETTINGS = {
    "gmnz": {"numbers": {"gamma": 0.7}},
    "logn_isr": {"numbers": {"sigma": 0.3}},
    "rbc": {"numbers": {"phi": 0.8}},
    **{name: {"weights": (0.2, 0.5, 0.4)} for name in METHODS if METHODS[name].has_weights},
}
PLAIN = [
    name
    for name, method in METHODS.items()
    if name not in ("interpolation", "condorcet", "w_condorcet") and not method.trained
]
TRAINED = [name for name, method in METHODS.items() if method.trained]


@pytest.fixture(scope="module")
def ranx():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ranx
        import ranx.fusion

        return ranx


def make_runs(seed=0, num_docs=60, num_hits=40):
    """Three runs on the same topics, without ties, each lacking a third of the documents."""
    rng = np.random.default_rng(seed)
    return [
        {
            qid: rank(
                [f"d{number}" for number in rng.permutation(num_docs)[:num_hits]],
                rng.permutation(1000)[:num_hits] / scale + offset,
            )
            for qid in TOPICS
        }
        for scale, offset in ((50, 5), (300, 700), (1000, -0.5))
    ]


def make_qrels(runs):
    """Two documents of each topic that all runs have in common, and one that none has."""
    qrels = {}
    for qid in TOPICS:
        shared = set.intersection(*({hit.docid for hit in run[qid]} for run in runs))
        qrels[qid] = {**dict.fromkeys(sorted(shared)[:5], 1), "nowhere": 2}
    return qrels


def to_ranx(ranx, runs):
    return [ranx.Run({qid: dict(hits) for qid, hits in run.items()}) for run in runs]


def assert_same_scores(ours, theirs):
    for qid in TOPICS:
        expected = dict(theirs.run[qid])
        found = dict(ours[qid])
        assert found.keys() == expected.keys()
        for docid, score in expected.items():
            assert found[docid] == pytest.approx(score, rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("method", PLAIN)
def test_method_gives_ranx_scores(ranx, method):
    """Each method, with its default norm, scores as ranx does, ranx's own ``rrf`` included."""
    runs = make_runs()
    params = FusionParams(method, **SETTINGS.get(method, {}))
    settings = {name: value for name, value in params.numbers.items() if name != "rrf_k"}
    if params.weights:
        settings["weights"] = list(params.weights)
    norm = None if params.norm == "none" else params.norm

    expected = ranx.fuse(to_ranx(ranx, runs), norm=norm, method=method, params=settings)

    assert_same_scores(fuse(runs, params), expected)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", ["sum", "anz"])
def test_norm_gives_ranx_scores(ranx, method, norm):
    """Each norm gives ranx's values, added and averaged."""
    runs = make_runs(seed=1)
    theirs = None if norm == "none" else norm

    expected = ranx.fuse(to_ranx(ranx, runs), norm=theirs, method=method)

    assert_same_scores(fuse(runs, FusionParams(method, norm)), expected)


@pytest.mark.parametrize("method", ["condorcet", "w_condorcet"])
def test_condorcet_is_ranx_where_it_is_defined(ranx, method):
    """With a majority for one of every two documents and no cycle, the order is ranx's."""
    docids = [f"d{number:02d}" for number in range(12)]
    swapped = [docids[1], docids[0], *docids[2:]]
    runs = [
        {qid: rank(names, range(len(names), 0, -1)) for qid in TOPICS}
        for names in (docids, swapped, docids)
    ]
    params = FusionParams(method, **SETTINGS.get(method, {}))
    settings = {"weights": list(params.weights)} if params.weights else {}

    expected = ranx.fuse(to_ranx(ranx, runs), norm=None, method=method, params=settings)

    assert_same_scores(fuse(runs, params), expected)


@pytest.mark.parametrize("method", TRAINED)
def test_trained_method_learns_and_scores_as_ranx_does(ranx, method):
    """What is learned, and what it gives on other topics' lists, is ranx's."""
    runs, others = make_runs(), make_runs(seed=2)
    qrels = make_qrels(runs)
    tuning = tune(runs, qrels, method=method, measure="map")
    ranx_qrels = ranx.Qrels(qrels)
    theirs = to_ranx(ranx, runs)
    name = METHODS[method].trained

    for trial in tuning.trials:
        params = trial.params
        if method == "probfuse":
            n_segments = params.numbers["n_segments"]
            learned = {"probs": ranx.fusion.probfuse_train(ranx_qrels, theirs, n_segments)}
        elif method == "slidefuse":
            learned = {"probs": ranx.fusion.slidefuse_train(ranx_qrels, theirs)}
            learned["w"] = params.numbers["w"]
        else:
            norm = None if params.norm == "none" else params.norm
            learned = ranx.optimize_fusion(ranx_qrels, theirs, norm=norm, method=method)
        for ours, expected in zip(params.trained, learned[name], strict=True):
            assert np.atleast_1d(expected) == pytest.approx(np.array(ours))
        norm = None if params.norm == "none" else params.norm
        fused = ranx.fuse(to_ranx(ranx, others), norm=norm, method=method, params=learned)
        assert_same_scores(fuse(others, params), fused)

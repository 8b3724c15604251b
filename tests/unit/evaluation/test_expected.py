"""Published figures: the form they are kept in, and that none is printed for another setting."""

import json

import pytest

from ance_plugin.errors import FormatError
from evaluation.benchmarks.table import list_benchmarks
from evaluation.expected import EXPECTED_DIR, ExpectedFigure, match_figures, read_figures

FIGURES = read_figures()
NAMES = {benchmark.name for benchmark in list_benchmarks()}
BM25 = {"kind": "bm25", "k1": 0.9, "b": 0.4, "index_text": "title and text", "hits": 1000}


def make_figure(**changes):
    values = {
        "benchmark": "beir/scifact",
        "system": "BM25",
        "measure": "ndcg@10",
        "value": 0.6789,
        "tolerance": 0.0005,
        "source": "somewhere",
        "conditions": {"kind": "bm25", "k1": 0.9},
    }
    return ExpectedFigure(**{**values, **changes})


def test_every_figure_has_a_known_benchmark():
    """No figure is lost because its benchmark is spelt otherwise in the table."""
    assert len(FIGURES) > 300
    assert {figure.benchmark for figure in FIGURES} <= NAMES


def test_no_figure_is_there_twice_with_two_values():
    """One system, source and setting has one value of a measure on a benchmark."""
    found = {}
    for figure in FIGURES:
        key = (figure.benchmark, figure.system, figure.measure, figure.source, figure.setting)
        assert found.setdefault(key, figure.value) == figure.value


def test_tolerances_are_small():
    """A figure never passes for one that differs by a percent of the scale."""
    assert all(0 < figure.tolerance <= 0.005 for figure in FIGURES)


def test_figures_on_scifact_are_those_of_the_published_table():
    """BM25's three values, read once more from Pyserini's reproduction of BEIR."""
    found = match_figures("beir/scifact", {"ours": BM25})

    assert {figure.measure: figure.value for figure in found} == {
        "ndcg@10": 0.6789,
        "recall@100": 0.9253,
        "recall@1000": 0.9767,
    }
    assert {figure.system for figure in found} == {"ours"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "dense"),
        ("k1", 0.82),
        ("b", 0.68),
        ("index_text", "text"),
        ("index_text", "title and text as two fields"),
        ("hits", 100),
    ],
)
def test_another_setting_has_no_figure(name, value):
    """Other parameters, other text of a document or another depth: nothing is printed."""
    assert match_figures("beir/nfcorpus", {"ours": BM25}) != []
    assert [
        figure
        for figure in match_figures("beir/nfcorpus", {"ours": {**BM25, name: value}})
        if figure.conditions == BM25
    ] == []


def test_what_a_run_does_not_say_does_not_fit():
    """A figure that names a setting is not printed for a run that is silent about it."""
    figure = make_figure(conditions={"kind": "dense", "feedback": None})

    assert not figure.fits({"kind": "dense"})
    assert figure.fits({"kind": "dense", "feedback": None, "more": 1})


def test_ance_is_expected_of_its_own_checkpoint_alone():
    """The figures of ANCE stand beside its checkpoint on passages without titles."""
    setting = {
        "kind": "dense",
        "encoder": "castorini/ance-msmarco-passage",
        "factory": "Flat",
        "index_text": "text",
        "hits": 1000,
    }
    name = "msmarco-passage/dev/small"

    found = match_figures(name, {"ance": setting})
    assert {(figure.measure, figure.value) for figure in found} == {
        ("mrr@10", 0.3301),
        ("recall@1000", 0.9587),
    }
    assert match_figures(name, {"ance": {**setting, "encoder": "ckpt/ance"}}) == []
    assert match_figures(name, {"ance": {**setting, "index_text": "title and text"}}) == []


def test_topics_decide_which_figures_of_questions_fit():
    """BM25 on two tokenizations of the same questions has two published values."""
    setting = {"kind": "bm25", "k1": 0.9, "b": 0.4, "index_text": "title and text"}
    name = "dpr-w100/natural-questions/test"

    for topics, value in (("nq-test", 0.6399), ("dpr-nq-test", 0.6294)):
        found = match_figures(name, {"bm25": {**setting, "topics": topics}})
        assert [one.value for one in found if one.measure == "answer@20"] == [value]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": 67.89}, "value must be a number from 0 to 1"),
        ({"value": -0.1}, "value must be a number from 0 to 1"),
        ({"value": "0.6"}, "value must be a number from 0 to 1"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"measure": "ndgc@10"}, "measure 'ndgc@10' is unknown"),
        ({"source": " "}, "source must be a text"),
        ({"conditions": {"k1": 0.9}}, "setting must have a kind"),
    ],
)
def test_a_figure_out_of_form_is_refused(change, problem):
    """Ranges, names, source and setting are checked as a figure is made."""
    with pytest.raises(ValueError, match=problem):
        make_figure(**change)


def test_a_file_out_of_form_is_named(tmp_path):
    """The message has the file and the group."""
    group = {"system": "BM25", "source": "s", "setting": {"kind": "bm25"}, "tolerance": 0.001}
    (tmp_path / "x.json").write_text(json.dumps({"figures": [group]}))

    with pytest.raises(FormatError, match=r"x\.json: group 1: expected system, source, setting"):
        read_figures(tmp_path)


def test_a_value_holds_within_its_tolerance():
    """Ours counts to four digits, as the published value does."""
    figure = make_figure(value=0.6789, tolerance=0.0005)

    assert figure.holds(0.67936)
    assert figure.holds(0.6784)
    assert not figure.holds(0.6783)


def test_files_are_kept_readable():
    """Every file is JSON with one list of groups."""
    files = sorted(EXPECTED_DIR.glob("*.json"))

    assert [file.stem for file in files] == [
        "beir",
        "msmarco-document",
        "msmarco-passage-papers",
        "msmarco-passage-toolkits",
        "open-qa",
    ]

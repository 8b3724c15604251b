"""Measures agree with trec_eval, ties, gaps and odd judgments included."""

import copy
import logging

import numpy as np
import pytest
import pytrec_eval

from ance_plugin import measures
from ance_plugin.records import Hit

TREC_EVAL_NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "ndcg": "ndcg",
    "mrr": "recip_rank",
    "recall@5": "recall_5",
    "recall@1000": "recall_1000",
    "recall": "set_recall",
    "map": "map",
    "map@10": "map_cut_10",
    "precision@10": "P_10",
    "precision": "set_P",
    "hit_rate@5": "success_5",
    "r-precision": "Rprec",
    "bpref": "bpref",
    "f1": "set_F",
    "hits": "num_rel_ret",
}
GRADED = {"ndcg@10", "ndcg"}


def make_judged(rng, *, topics=40, documents=60):
    """Random topics full of ties, gaps and odd judgments."""
    docids = [f"d{number}" for number in range(documents)]
    run, qrels = {}, {}
    for topic in range(topics):
        qid = f"q{topic}"
        num_judged = int(rng.integers(1, 30))
        judged = rng.choice(docids, num_judged, replace=False).tolist()
        grades = [[-1, 0, 1, 2, 3], [0, -1], [1, 2], [2, 3, 1]][topic % 4]
        qrels[qid] = {docid: int(rng.choice(grades)) for docid in judged}
        if topic % 7 != 3:
            retrieved = rng.choice(docids, int(rng.integers(1, documents)), replace=False)
            run[qid] = [Hit(docid, float(rng.integers(0, 6)) / 4) for docid in retrieved.tolist()]
    run["unjudged"] = [Hit("d1", 1.0)]
    return run, qrels


def ask_trec_eval(run, qrels, names, *, level=1):
    """trec_eval -c: what a run lacks counts zero."""
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(names), relevance_level=level)
    found = evaluator.evaluate({qid: dict(hits) for qid, hits in run.items()})
    return {name: {qid: found.get(qid, {}).get(name, 0.0) for qid in qrels} for name in names}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_every_measure_equals_trec_eval_on_runs_full_of_ties(seed, level):
    """Each value equals trec_eval's to 1e-6, for each topic and each level of relevance."""
    run, qrels = make_judged(np.random.default_rng(seed))
    suffix = "" if level == 1 else f"-l{level}"
    names = {
        name: known for name, known in TREC_EVAL_NAMES.items() if not (suffix and name in GRADED)
    }

    ours = measures.per_topic(run, qrels, [name + suffix for name in names])
    expected = ask_trec_eval(run, qrels, names.values(), level=level)

    assert {
        name: ours[name + suffix] == pytest.approx(expected[known], abs=1e-6)
        for name, known in names.items()
    } == dict.fromkeys(names, True)


def test_mrr_with_a_cutoff_is_trec_eval_on_a_shorter_run():
    """mrr@3 is the reciprocal rank over the first three hits by score, then docid descending."""
    run, qrels = make_judged(np.random.default_rng(4))
    shorter = {
        qid: sorted(hits, key=lambda hit: (hit.score, hit.docid), reverse=True)[:3]
        for qid, hits in run.items()
    }

    ours = measures.per_topic(run, qrels, ["mrr@3"])["mrr@3"]

    assert ours == pytest.approx(ask_trec_eval(shorter, qrels, ["recip_rank"])["recip_rank"])


def test_levels_and_cutoffs_mix_in_one_call():
    """Values do not depend on which measures are asked for together."""
    run, qrels = make_judged(np.random.default_rng(5))
    names = ["map-l2", "ndcg@10", "recall@5", "recall@5-l2", "map"]

    together = measures.per_topic(run, qrels, names)

    assert together == {name: measures.per_topic(run, qrels, [name])[name] for name in names}
    assert list(together) == names


def test_equal_scores_are_ordered_by_docid_descending():
    """Of two hits with equal scores the one with the greater docid is first, whatever the input."""
    qrels = {"q": {"a": 1}}

    assert measures.means({"q": [Hit("a", 1.0), Hit("b", 1.0)]}, qrels, ["mrr"]) == {"mrr": 0.5}
    assert measures.means({"q": [Hit("b", 1.0), Hit("a", 1.0)]}, qrels, ["mrr"]) == {"mrr": 0.5}


def test_every_topic_of_the_qrels_counts_in_their_order():
    """A topic without hits, or absent, or without relevant documents is zero and in the mean."""
    qrels = {"z": {"a": 1}, "empty": {"a": 1}, "absent": {"a": 1}, "b": {"a": 0}, "a": {}}
    run = {"a": [Hit("a", 1.0)], "b": [Hit("a", 1.0)], "empty": [], "z": [Hit("a", 1.0)]}

    values = measures.per_topic(run, qrels, ["ndcg@10"])["ndcg@10"]

    assert list(values.items()) == [("z", 1.0), ("empty", 0), ("absent", 0), ("b", 0), ("a", 0)]
    assert measures.means(run, qrels, ["ndcg@10"]) == {"ndcg@10": 1 / 5}


def test_a_run_that_can_only_be_zero_is_zero():
    """No topic in common, and no hits at all, are zeros; not errors."""
    qrels = {"q": {"a": 1}}

    assert measures.per_topic({}, qrels, ["mrr"]) == {"mrr": {"q": 0.0}}
    assert measures.per_topic({"q": []}, qrels, ["mrr"]) == {"mrr": {"q": 0.0}}
    assert measures.per_topic({"p": [Hit("a", 1.0)]}, qrels, ["mrr"]) == {"mrr": {"q": 0.0}}


def test_the_callers_data_stays_as_it_was():
    """Neither run nor qrels change."""
    run, qrels = make_judged(np.random.default_rng(6))
    before = copy.deepcopy((run, qrels))

    measures.per_topic(run, qrels, ["ndcg@10"])

    assert (run, qrels) == before
    assert [list(hits) for hits in run.values()] == [list(hits) for hits in before[0].values()]


def test_numba_keeps_its_threads():
    """A call with under ten topics leaves numba's number of threads as it was."""
    import numba

    before = numba.get_num_threads()

    measures.means({"q": [Hit("a", 1.0)]}, {"q": {"a": 1}}, ["mrr"])

    assert numba.get_num_threads() == before


def test_docids_of_another_length_compile_nothing():
    """Numba compiles ranx once, not once for each length of the longest docid."""
    measures.compile_measures()
    from ranx.metrics.reciprocal_rank import _reciprocal_rank_parallel

    before = len(_reciprocal_rank_parallel.signatures)

    for docid in ("d", "d" * 37, "d" * 200):
        found = measures.means({"q": [Hit(docid, 1.0)]}, {"q": {docid: 1}}, ["mrr"])

        assert found == {"mrr": 1.0}
    assert len(_reciprocal_rank_parallel.signatures) == before == 1


def test_a_document_that_is_there_twice_counts_once():
    """Where its higher score puts it; files with doubles are refused when they are read."""
    hits = [Hit("u", 5.0), Hit("a", 4.0), Hit("u", 3.0), Hit("a", 2.0), Hit("b", 1.0)]

    found = measures.means({"q": hits}, {"q": {"a": 1, "b": 1}}, ["recall", "map", "precision@3"])

    assert found == pytest.approx({"recall": 1, "map": (1 / 2 + 2 / 3) / 2, "precision@3": 2 / 3})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("foo@10", "'foo@10' is unknown; there are .*bpref"),
        ("", "'' is unknown"),
        ("ndcg@0", "is unknown"),
        ("ndcg@ten", "is unknown"),
        ("ndcg10", "is unknown"),
        ("rbp.95", "is unknown"),
        ("map@10-l0", "is unknown"),
        ("bpref@10", "takes no cutoff; write 'bpref'"),
        ("ndcg@10-l2", "takes no relevance level, its gain is the grade; leave out -l2"),
    ],
)
def test_an_unknown_measure_is_refused_by_name(name, problem):
    """The message has the measure and what to write instead."""
    with pytest.raises(ValueError, match=problem):
        measures.check_measures(["ndcg@10", name])


def test_known_measures_pass():
    """Every name compared with trec_eval is known; no name at all is an error."""
    measures.check_measures([*TREC_EVAL_NAMES, "map@1000-l2", "r-precision-l2", "mrr@10"])

    with pytest.raises(ValueError, match="name at least one measure"):
        measures.check_measures([])


def test_judged_and_holes_are_shares_of_the_top_hits():
    """Judged is a grade of zero or more; a short list is divided by its length, none is zero."""
    run = {
        "q": [Hit("a", 4.0), Hit("b", 3.0), Hit("c", 2.0), Hit("d", 1.0)],
        "short": [Hit("a", 1.0)],
        "none": [],
    }
    qrels = {"q": {"a": 0, "b": 2, "c": -1}, "short": {"a": 1}, "none": {"a": 1}, "absent": {}}

    found = measures.per_topic(run, qrels, ["judged@2", "judged@3", "hole_rate@4", "hole_rate"])

    assert found == {
        "judged@2": {"q": 1.0, "short": 1.0, "none": 0.0, "absent": 0.0},
        "judged@3": {"q": 2 / 3, "short": 1.0, "none": 0.0, "absent": 0.0},
        "hole_rate@4": {"q": 0.5, "short": 0.0, "none": 0.0, "absent": 0.0},
        "hole_rate": {"q": 0.5, "short": 0.0, "none": 0.0, "absent": 0.0},
    }


def test_judged_is_precision_that_takes_every_judgment_for_relevant():
    """Over at least k hits it is trec_eval's P_k on qrels in which all judged are relevant."""
    run, qrels = make_judged(np.random.default_rng(7))
    run = {qid: hits for qid, hits in run.items() if len(hits) >= 5}
    all_relevant = {
        qid: {docid: int(grade >= 0) for docid, grade in judged.items()}
        for qid, judged in qrels.items()
    }

    found = measures.per_topic(run, qrels, ["judged@5", "hole_rate@5"])

    expected = ask_trec_eval(run, all_relevant, ["P_5"])["P_5"]
    assert found["judged@5"] == pytest.approx(expected)
    assert {qid: 1 - found["judged@5"][qid] for qid in qrels if qid in run} == pytest.approx(
        {qid: value for qid, value in found["hole_rate@5"].items() if qid in run}
    )


def test_names_tell_cutoff_level_and_direction():
    """What a report needs of a measure is in its name."""
    assert (measures.find_cutoff("recall@100-l2"), measures.find_level("recall@100-l2")) == (100, 2)
    assert (measures.find_cutoff("map"), measures.find_level("map")) == (None, 1)
    assert measures.is_lower_better("hole_rate@10")
    assert not measures.is_lower_better("judged@10")
    with pytest.raises(ValueError, match="takes no relevance level, every grade is a judgment"):
        measures.check_measures(["judged@10-l2"])


def test_means_need_topics():
    """There is no mean over nothing."""
    with pytest.raises(ValueError, match="qrels have no topics"):
        measures.means({}, {}, ["mrr"])


def test_compiled_measures_are_found_in_the_cache():
    """After compiling, the cache that numba uses holds the default measures."""
    measures.compile_measures()

    assert measures.is_compiled()


def test_an_empty_cache_is_announced_once(tmp_path, monkeypatch, caplog):
    """With a named cache that holds nothing, one line says that ranx compiles."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    measures._import_ranx.cache_clear()

    with caplog.at_level(logging.INFO, "ance_plugin"):
        measures._import_ranx()
        measures._import_ranx()

    assert not measures.is_compiled()
    assert [record.message for record in caplog.records] == [
        "compiling ranx (once per environment)"
    ]


def test_a_cache_of_another_numba_does_not_count(tmp_path, monkeypatch):
    """An index of another numba version is compiled anew, so it is not current."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for content, is_current in ((b"0.1.0", False), (measures.version("numba").encode(), True)):
        for kernel in measures._KERNELS:
            index = (
                tmp_path
                / "ranx"
                / f"{kernel}-1.py312.nbi".replace(
                    "312", f"{measures.sys.version_info.major}{measures.sys.version_info.minor}"
                )
            )
            index.parent.mkdir(exist_ok=True)
            index.write_bytes(b"\x80\x04" + content)

        assert measures.is_compiled() is is_current

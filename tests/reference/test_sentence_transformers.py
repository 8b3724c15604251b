"""Our encoder gives the vectors that sentence-transformers gives for the same folder."""

import numpy as np
import pytest

from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.records import Document

WORDS = [
    "dense",
    "retrieval",
    "learns",
    "from",
    "negatives",
    "an",
    "index",
    "of",
    "whole",
    "corpora",
]
TEXTS = [
    "",
    " ",
    "\n\t",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "the quick brown fox jumps over the lazy dog.",
    "WHAT IS THE CAPITAL OF FRANCE?",
    "  white   space \n around\tand within  ",
    "Müller's café, naïve coöperation; Ærøskøbing",
    "Mu\u0308ller's cafe\u0301",
    "日本語の文章と中文文本",
    "Привет, мир! Как дела?",
    "مرحبا بالعالم",
    "😀 emoji 🚀🚀 and a flag 🇫🇷",
    "zero\u200bwidth, soft\u00adhyphen, no\u00a0break",
    "control\x00 and \ufffd replacement",
    "[CLS] special [SEP] tokens [MASK] in [PAD] text",
    "1234567890 3.14159 1e-10 2024-02-29",
    "https://example.org/a/b?c=d&e=f#g",
    "x" * 150,
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "don't won't I'm they'll",
    "C++ / C# / .NET; a->b != c[0]; {x: 1}",
    "<html><body>markup</body></html>",
    *(" ".join(WORDS[: length % 13 + 1] * (length // 13 + 1)) for length in range(5, 120, 15)),
    *(" ".join(WORDS * times) for times in (18, 19, 20, 40, 200)),
    "日本語" * 200,
    "😀" * 300,
]
TITLES = ["", "Title", "A LONGER TITLE with capitals", "Überschrift 標題"]


@pytest.fixture(scope="module")
def encoder(minilm):
    return Encoder.load(minilm, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def reference(minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(str(find_checkpoint(minilm)), device="cpu")


def encode(reference, texts):
    return reference.encode(texts, batch_size=8, show_progress_bar=False)


@pytest.mark.slow
def test_queries_have_the_same_vectors(encoder, reference):
    """Short, long, empty, non-ASCII: every component agrees to 1e-5, and every vector is finite."""
    found = encoder.encode_queries(TEXTS)

    assert found.shape == (len(TEXTS), 384)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, encode(reference, TEXTS), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_documents_have_the_same_vectors(encoder, reference):
    """Title and text are joined by a space; without a title there is the text alone."""
    documents = [
        Document(f"d{place}", text, TITLES[place % len(TITLES)]) for place, text in enumerate(TEXTS)
    ]

    found = encoder.encode_documents(documents)

    expected = encode(reference, [f"{document.title} {document.text}" for document in documents])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_vectors_do_not_depend_on_the_batch(encoder, minilm):
    """One by one, in twos, or all at once: the same vectors to 1e-6, in the order of the texts."""
    together = encoder.encode_queries(TEXTS)
    by_two = Encoder.load(minilm, device="cpu", precision="fp32", batch_size=2)

    alone = np.stack([encoder.encode(text) for text in TEXTS])

    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(together, by_two.encode_queries(TEXTS), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_settings_are_those_of_the_folder(encoder, reference):
    """Length, pooling and normalisation are read, not guessed."""
    settings = encoder.settings

    assert settings.max_query_tokens == settings.max_document_tokens == reference.max_seq_length
    assert settings.pooling == "mean"
    assert settings.is_normalized

"""What holds for the encoder: texts in, vectors out."""

import numpy as np
import pytest

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.records import Document

ANIMALS = "ant bear cat dog elk fox goat hare ibis jay kite lynx mole newt owl pig"
WORDS = ANIMALS.split()
TEXTS = [" ".join(WORDS[: 1 + 5 * number % 11]) + f" {number}" for number in range(23)]
DOCUMENTS = [Document(f"d{number}", text, "The Title") for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def load(tiny_checkpoint):
    """Return a function that loads the tiny encoder in fp32 on the CPU, unless said otherwise."""

    def load_encoder(overrides=None, **options):
        chosen = {"device": "cpu", "precision": "fp32", **options}
        return Encoder.load(str(tiny_checkpoint), overrides=overrides, **chosen)

    return load_encoder


@pytest.fixture(scope="module")
def encoder(load):
    """The tiny encoder as it is."""
    return load()


def test_rows_are_in_the_order_of_the_texts(encoder):
    """Whatever order they were batched in."""
    together = encoder.encode_queries(TEXTS)
    alone = np.stack([encoder.encode(text) for text in TEXTS])

    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)
    assert len(np.unique(together.round(3), axis=0)) == len(TEXTS)


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_batch_size_does_not_change_vectors(load, encoder, batch_size):
    """Beyond the last digits of float32."""
    other = load(batch_size=batch_size)

    found, expected = other.encode_documents(DOCUMENTS), encoder.encode_documents(DOCUMENTS)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_batches_are_no_larger_than_asked(load, monkeypatch):
    """23 texts in batches of 10."""
    encoder = load(batch_size=10)
    sizes = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda rows: sizes.append(len(rows)) or forward(rows))
    encoder.encode_queries(TEXTS)

    assert sizes == [10, 10, 3]


def test_progress_counts_every_document_once(load):
    """Batch by batch, whatever their sizes."""
    advances = []
    load(batch_size=10).encode_documents(DOCUMENTS, on_progress=advances.append)

    assert advances == [10, 10, 3]


def test_vectors_are_float32_of_the_dimension(encoder):
    """One row a text."""
    vectors = encoder.encode_queries(TEXTS)

    assert vectors.dtype == np.float32
    assert vectors.shape == (23, encoder.dimension) == (23, 32)


def test_one_query_is_one_flat_vector(encoder):
    """As Pyserini's query encoders give it."""
    assert encoder.encode("the cat").shape == (32,)


def test_no_text_gives_no_row(encoder):
    """Of the right width, so that it can be stacked."""
    assert encoder.encode_queries([]).shape == encoder.encode_documents([]).shape == (0, 32)


def test_empty_text_is_encoded_as_special_tokens_alone(encoder):
    """Its vector is finite, and other texts beside it stay as they are."""
    empty, cat = encoder.encode_queries(["", "cat"])

    assert np.isfinite(empty).all()
    np.testing.assert_allclose(empty, encoder.encode("   "), atol=1e-5, rtol=0)
    np.testing.assert_allclose(cat, encoder.encode("cat"), atol=1e-5, rtol=0)
    np.testing.assert_allclose(encoder.encode_documents([Document("d", "")])[0], empty, atol=1e-5)


def test_document_is_title_and_text(encoder):
    """Joined by one space, as a query of both would be."""
    [found] = encoder.encode_documents([Document("d", "sees a dog", "the cat")])

    np.testing.assert_allclose(found, encoder.encode("the cat sees a dog"), atol=1e-5, rtol=0)


def test_template_decides_what_of_a_document_is_encoded(load):
    """Here the text alone."""
    encoder = load({"template": "{text}"})
    [found] = encoder.encode_documents([Document("d", "sees a dog", "the cat")])

    np.testing.assert_allclose(found, encoder.encode("sees a dog"), atol=1e-5, rtol=0)


def test_texts_are_cut_to_their_own_lengths(encoder):
    """16 tokens for a query, 32 for a document, two of which are special."""
    words = (WORDS * 3)[:40]
    long, document = " ".join(words), Document("d", " ".join(words))

    query = encoder.encode(" ".join(words[:14]))
    np.testing.assert_allclose(encoder.encode(long), query, atol=1e-5, rtol=0)
    cut = Document("d", " ".join(words[:30]))
    found, expected = encoder.encode_documents([document]), encoder.encode_documents([cut])
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_text_is_lowercased_where_the_settings_say_so(roberta_folder):
    """For a tokenizer that tells cases apart."""
    lengths = {"pooling": "cls", "max_query_tokens": 16, "max_document_tokens": 32}
    vectors = {}
    for is_lowercased in (False, True):
        encoder = Encoder.load(
            str(roberta_folder),
            overrides={**lengths, "is_lowercased": is_lowercased},
            device="cpu",
            precision="fp32",
        )
        queries = encoder.encode_queries(["The CAT", "the cat"])
        documents = encoder.encode_documents([Document("d", "CAT", "The")])
        vectors[is_lowercased] = np.concatenate([queries, documents])

    cased, lowercased = vectors[False], vectors[True]
    assert abs(cased[0] - cased[1]).max() > 0.01
    np.testing.assert_allclose(lowercased, np.stack([cased[1]] * 3), atol=1e-5, rtol=0)


def test_normalised_vectors_have_length_one(load):
    """And the direction of the others."""
    raw = load().encode_queries(TEXTS)
    found = load({"is_normalized": True}).encode_queries(TEXTS)

    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_bf16_vectors_point_where_fp32_ones_do(load, encoder):
    """Close enough to rank by."""
    half, full = load(precision="bf16").encode_queries(TEXTS), encoder.encode_queries(TEXTS)
    cosines = (half * full).sum(1) / np.linalg.norm(half, axis=1) / np.linalg.norm(full, axis=1)

    assert half.dtype == np.float32
    assert cosines.min() > 0.99
    assert not np.array_equal(half, full)


def test_identity_is_the_checkpoints_whatever_the_precision(load, tiny_checkpoint):
    """An index made in bf16 is searched in fp32."""
    expected = load_checkpoint(str(tiny_checkpoint)).identify()

    assert load(precision="bf16").identity == load().identity == expected


def test_what_was_chosen_can_be_read(load, tiny_checkpoint):
    """It goes into the metadata of what is made."""
    encoder = load({"is_normalized": True}, batch_size=7)

    assert encoder.name == str(tiny_checkpoint)
    assert encoder.overrides == {"is_normalized": True}
    assert (encoder.device.type, encoder.precision, encoder.batch_size) == ("cpu", "fp32", 7)


def test_precision_that_the_device_lacks_is_refused(load):
    """Before anything is encoded."""
    with pytest.raises(ValueError, match="fp16 is slow and imprecise on a CPU"):
        load(precision="fp16")


def test_more_tokens_than_positions_are_refused(encoder):
    """Of documents before any is tokenized, of ready tokens before any is encoded."""
    with pytest.raises(ValueError, match=r"65 tokens are too many for .*, which has 64 positions"):
        encoder.encode_documents(DOCUMENTS, max_tokens=65)
    with pytest.raises(ValueError, match="65 tokens are too many"):
        encoder.encode_tokens([[5], [5] * 65])
    assert encoder.encode_tokens([[5] * 64]).shape == (1, encoder.dimension)


def test_text_with_half_a_surrogate_pair_does_not_stop_a_batch(encoder):
    r"""Half an emoji, as JSON's ``\ud83d`` gives it; tokenizers take Unicode only."""
    vectors = encoder.encode_queries(["cut \ud83d", "cat"])

    assert np.isfinite(vectors).all()

"""The encoder's two ways through the body, packed and padded, give the same vectors."""

import numpy as np
import pytest
import torch

from ance_plugin.encode import encoder as encoder_module
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.maxp import tokenize_passages
from ance_plugin.encode.model import AnceHead
from ance_plugin.records import Document

WORDS = ["ant", "bear", "cat", "dog", "elk", "fox", "goat", "hare", "ibis", "jay", "kite", "lynx"]
RNG = np.random.default_rng(0)
TEXTS = ["", *(" ".join(RNG.choice(WORDS, RNG.integers(1, 40))) for _ in range(60)), "", "cat"]
DOCUMENTS = [Document(f"d{place}", text, "owl" * (place % 2)) for place, text in enumerate(TEXTS)]


@pytest.fixture(params=["cls", "mean", "cls, head", "mean, normalised", "cls, head, normalised"])
def settings(request):
    """How vectors are made of states."""
    return request.param


@pytest.fixture
def checkpoint(plain_folder, settings):
    """A tiny BERT and a tiny RoBERTa with each of them."""
    chosen = {"max_query_tokens": 16, "max_document_tokens": 32}
    loaded = load_checkpoint(str(plain_folder), pooling=settings.split(",")[0], **chosen)
    loaded.model.is_normalized = "normalised" in settings
    if "head" in settings:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loaded.model.head = AnceHead(32, 24)
    loaded.model.requires_grad_(requires_grad=False)
    return loaded


@pytest.fixture
def encode(checkpoint, monkeypatch):
    """A function that encodes one way; the checkpoint may be encoded from once in a precision."""

    def encode_one_way(make, *, is_packed, **options):
        with monkeypatch.context() as patch:
            if not is_packed:
                patch.setattr(encoder_module, "is_supported", lambda _: False)
            encoder = Encoder(checkpoint, device="cpu", **options)
            vectors = make(encoder)
        assert (encoder._packed is not None) == is_packed
        return vectors

    return encode_one_way


def both_sides(encoder):
    queries, documents = encoder.encode_queries(TEXTS), encoder.encode_documents(DOCUMENTS)
    return np.concatenate([queries, documents])


def test_fp32_is_the_same_both_ways(encode):
    """To five digits; empty texts and texts that are cut included."""
    expected = encode(both_sides, is_packed=False, precision="fp32")
    scale = max(1.0, float(np.abs(expected).max()))

    for batch_size in (1, 7, 256):
        found = encode(both_sides, is_packed=True, precision="fp32", batch_size=batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-5 * scale, rtol=0)


def test_bf16_points_where_fp32_does(encode):
    """Cosine above 0.9995, batch by batch or one by one."""
    expected = encode(both_sides, is_packed=False, precision="fp32")
    found = encode(both_sides, is_packed=True, precision="bf16")
    alone = encode(lambda encoder: encoder.encode(TEXTS[5]), is_packed=True, precision="bf16")

    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / norms).min() > 0.9995
    np.testing.assert_allclose(alone, found[5], atol=0.02 * np.abs(found).max(), rtol=0)


@pytest.mark.parametrize("settings", ["cls", "mean"], indirect=True)
def test_chunks_are_the_same_both_ways(encode):
    """Chunks have no special tokens of their own, and the last of a document may be one token."""
    documents = [Document(f"d{count}", " ".join(WORDS * count)) for count in range(7)]

    def make(encoder):
        return encoder.encode_tokens(tokenize_passages(encoder, documents, "chunks")[1])

    expected = encode(make, is_packed=False, precision="fp32")
    found = encode(make, is_packed=True, precision="fp32")
    assert len(found) > len(documents)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("is_fused", [False, True])
def test_an_encoder_follows_the_training_of_its_model(tiny_checkpoint, is_fused):
    """An encoder of a model that is being trained does not give yesterday's vectors."""
    checkpoint = load_checkpoint(str(tiny_checkpoint))
    encoder = Encoder(checkpoint, device="cpu", precision="fp32")
    before = encoder.encode("cat")
    weights = list(checkpoint.model.body.parameters())
    sum(weight.square().sum() for weight in weights).backward()
    torch.optim.AdamW(weights, lr=0.1, fused=is_fused).step()
    changed = Encoder(checkpoint, device="cpu", precision="fp32").encode("cat")

    assert np.abs(before - changed).max() > 0.01
    np.testing.assert_array_equal(encoder.encode("cat"), changed)


def test_weights_that_changed_are_laid_out_anew(tiny_checkpoint):
    """Fixed weights are packed; a change in place is seen."""
    checkpoint = load_checkpoint(str(tiny_checkpoint))
    checkpoint.model.requires_grad_(requires_grad=False)
    encoder = Encoder(checkpoint, device="cpu", precision="fp32")
    before = encoder.encode("cat")
    with torch.no_grad():
        for weight in checkpoint.model.body.parameters():
            weight.mul_(1.5)
    changed = Encoder(checkpoint, device="cpu", precision="fp32").encode("cat")

    assert np.abs(before - changed).max() > 0.01
    np.testing.assert_array_equal(encoder.encode("cat"), changed)


def test_encoder_loads_in_inference_mode(tiny_checkpoint):
    """Weights made there have no count of their changes."""
    with torch.inference_mode():
        encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")
        found = encoder.encode("cat")
    expected = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32").encode("cat")

    np.testing.assert_array_equal(found, expected)


def test_other_bodies_take_their_own_way(mpnet_folder):
    """MPNet's relative positions are not ours; its vectors do not depend on the batch either."""
    settings = {"pooling": "mean", "max_query_tokens": 16, "max_document_tokens": 32}
    encoder = Encoder.load(str(mpnet_folder), overrides=settings, device="cpu", precision="fp32")
    together = encoder.encode_queries(TEXTS[:5])

    assert encoder._packed is None
    np.testing.assert_allclose(together[2], encoder.encode(TEXTS[2]), atol=1e-5, rtol=0)

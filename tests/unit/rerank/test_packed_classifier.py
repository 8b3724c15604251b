"""Scores without padding are those of the model itself; what may change is left to it."""

import threading

import numpy as np
import pytest
import torch

from ance_plugin.records import Document
from ance_plugin.rerank import cross_encoder
from ance_plugin.rerank.classifier import Classifier, autocast_body, load_classifier
from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.rerank.packed_classifier import can_pack

TEXTS = ["the cat", "", "a red fox and a green lynx", "the dog eats the red cat " * 9, "a fox", "x"]
QUERIES = ["red fox", "", "the cat sees a dog", "red", "the dog " * 9, "fox"]


def documents():
    return [Document(f"d{number}", text) for number, text in enumerate(TEXTS)]


def load(folder):
    return CrossEncoder.load(str(folder), device="cpu", precision="fp32")


def score_with_padding(model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cross_encoder, "can_pack", lambda _: False)
        return model.score(QUERIES, documents())


@pytest.mark.parametrize("num_labels", [1, 2])
def test_scores_are_those_with_padding(make_classifier, monkeypatch, num_labels):
    """Short, empty and cut texts, one output or two."""
    model = load(make_classifier(num_labels=num_labels))

    found = model.score(QUERIES, documents())

    assert can_pack(model._model)
    expected = score_with_padding(model, monkeypatch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert np.ptp(expected) > 0.5


def test_roberta_has_its_own_head_and_positions(tokenizer, monkeypatch):
    """Its classifier reads the first token's state itself; positions start after the padding's."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=2,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        body = RobertaForSequenceClassification(config).requires_grad_(requires_grad=False)
    classifier = Classifier("r", body, tokenizer)
    model = CrossEncoder(classifier, device="cpu", precision="fp32")

    found = model.score(QUERIES, documents())

    assert can_pack(model._model)
    expected = score_with_padding(model, monkeypatch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-5), ("bf16", 0.05)])
def test_scores_are_the_same_on_any_number_of_cores(classifier, monkeypatch, precision, tolerance):
    """Each pair's score in its place, batches side by side or not; progress counts every pair."""
    model = CrossEncoder.load(str(classifier), device="cpu", precision=precision, batch_size=4)
    queries, texts = QUERIES * 6, [*TEXTS[1:], TEXTS[0]] * 6
    pairs = [Document(str(number), text) for number, text in enumerate(texts)]
    progress, threads = [], set()
    forward = model._forward_packed

    def watch(batch):
        threads.add((threading.get_ident(), torch.get_num_threads()))
        return forward(batch)

    monkeypatch.setattr(model, "_forward_packed", watch)
    expected = model.score(queries, pairs)
    alone = set(threads)
    threads.clear()
    torch.set_num_threads(2)
    try:
        found = model.score(queries, pairs, on_progress=progress.append)
    finally:
        torch.set_num_threads(1)

    assert alone == {(threading.get_ident(), 1)}
    assert threading.get_ident() not in {thread for thread, _ in threads}
    assert {number for _, number in threads} == {1}
    assert sum(progress) == len(pairs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_what_computes_otherwise_is_left_to_the_model(classifier):
    """Weights that may change, dropout, and a body in another type than its weights."""
    model = load(classifier)._model
    trained = load_classifier(str(classifier)).model.eval()
    is_packed = [can_pack(model), can_pack(trained)]
    is_packed += [can_pack(model.train()), can_pack(model.eval())]
    autocast_body(model, torch.device("cpu"), torch.bfloat16)

    assert [*is_packed, can_pack(model)] == [True, False, False, True, False]

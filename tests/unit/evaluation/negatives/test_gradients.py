"""Losses and gradient norms of triples, against PyTorch alone."""

import math

import numpy as np
import pytest
import torch

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics
from ance_plugin.train.corpus import tokenize_corpus
from ance_plugin.train.topics import TrainingTopics
from evaluation.negatives.gradients import TripleMeter, choose_topics, take


@pytest.fixture(scope="module")
def inputs(world, tmp_path_factory):
    """The tokenized collection and the dev topics."""
    encoder = Encoder.load(world.init, device="cpu", precision="fp32")
    output = tmp_path_factory.mktemp("tokens") / "tokens"
    corpus = tokenize_corpus(Collection(world.collection), encoder, output, max_tokens=16)
    topics = read_topics(world.topics("dev"))
    return corpus, TrainingTopics.load(topics, read_qrels(world.qrels("dev")), corpus, encoder)


def compute(world, tokens, temperature):
    """Compute loss, bound and the whole gradient's norm of (query, positive, negative)."""
    model = load_checkpoint(world.init).model.eval()
    rows = [torch.tensor(np.asarray(row, np.int64))[None] for row in tokens]
    query, positive, negative = (model(row, torch.ones_like(row))[0] for row in rows)
    margin = (query @ positive - query @ negative) / temperature
    loss = torch.nn.functional.softplus(-margin)
    loss.backward()
    squares = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
    return loss.item(), 1 / (1 + math.exp(margin.item())), math.sqrt(squares)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_triples_are_measured_one_by_one(world, inputs, temperature):
    """Of three topics with one negative each; nothing of one is left in the next."""
    corpus, topics = inputs
    chosen = take(topics, [0, 1, 2])
    negatives = [np.array([(rows[0] + 7) % 200]) for rows in chosen.positives]
    meter = TripleMeter(
        load_checkpoint(world.init),
        corpus,
        device="cpu",
        precision="fp32",
        temperature=temperature,
        is_chunked=False,
    )

    empty = [np.empty(0, np.int64)] * 3
    found = meter.measure(chosen, {"one": negatives, "none": empty}, seed=0)

    expected = [
        compute(world, [query, corpus.tokens(own[0]), corpus.tokens(other[0])], temperature)
        for query, own, other in zip(chosen.tokens, chosen.positives, negatives, strict=True)
    ]
    assert list(found) == ["one"]
    losses, bounds, norms = (np.array(column) for column in zip(*expected, strict=True))
    told = found["one"]
    assert told.num_triples == 3
    assert told.loss.mean == pytest.approx(losses.mean(), rel=1e-4)
    assert told.loss.median == pytest.approx(np.median(losses), rel=1e-4)
    assert told.bound.mean == pytest.approx(bounds.mean(), rel=1e-4)
    assert told.norms["all"].mean == pytest.approx(norms.mean(), rel=1e-3)
    assert told.norms["all"].quantile_90 == pytest.approx(np.quantile(norms, 0.9), rel=1e-3)
    assert 0 < told.norms["lower"].mean < told.norms["all"].mean


def test_topics_without_a_negative_are_left_out(world, inputs):
    """No other topic comes twice in their place."""
    corpus, topics = inputs
    chosen = take(topics, [0, 1])
    meter = TripleMeter(
        load_checkpoint(world.init),
        corpus,
        device="cpu",
        precision="fp32",
        temperature=None,
        is_chunked=False,
    )

    found = meter.measure(chosen, {"one": [np.array([3, 4]), np.empty(0, np.int64)]}, seed=0)

    assert found["one"].num_triples == 1


def test_topics_are_drawn_by_seed(inputs):
    """Ascending, none twice; all where there are no more."""
    _, topics = inputs

    drawn = choose_topics(topics, 10, seed=0)
    assert drawn == sorted(set(drawn)) == choose_topics(topics, 10, seed=0)
    assert drawn != choose_topics(topics, 10, seed=1)
    assert choose_topics(topics, 99, seed=0) == list(range(50))

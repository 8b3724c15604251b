"""The teacher: log-odds of relevance, whatever the classifier gives."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from ance_plugin.formats.collection import Collection
from ance_plugin.records import Document, Topic
from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings
from ance_plugin.train.teacher import load_teacher, new_teacher

DOCUMENTS = {docid: Document(docid, text) for docid, text in {"a": "xx", "b": "x"}.items()}


def make_model(num_labels, transform):
    """Make a model that scores a document by its length."""
    asked = []

    def score(queries, documents):
        asked.append((list(queries), [document.docid for document in documents]))
        return np.array([transform(len(d.text)) for d in documents], np.float32)

    return SimpleNamespace(num_labels=num_labels, score=score, asked=asked)


def test_one_logit_is_taken_as_it_is():
    """The topic's query stands before each of its documents."""
    model = make_model(1, lambda length: length * 1.5)
    teacher = new_teacher(model, {"q": "the query"}, DOCUMENTS.__getitem__)

    assert teacher("q", ["b", "a"]).tolist() == [1.5, 3.0]
    assert model.asked == [(["the query"] * 2, ["b", "a"])]


def test_log_probability_becomes_log_odds():
    """Of a probability of 0.8 the odds are four to one; of one they are finite."""
    probabilities = {1: 0.8, 2: 1.0}
    model = make_model(2, lambda length: math.log(probabilities[length]))
    teacher = new_teacher(model, {"q": "the query"}, DOCUMENTS.__getitem__)

    found = teacher("q", ["b", "a"])

    assert found[0] == pytest.approx(math.log(4), rel=1e-5)
    assert 20 < found[1] < 40
    assert found.dtype == np.float32


def test_no_documents_need_no_model():
    """A topic whose candidates were all dropped is not asked about."""
    model = make_model(1, float)

    assert new_teacher(model, {}, DOCUMENTS.__getitem__)("q", []).tolist() == []
    assert model.asked == []


def test_run_without_a_teacher_has_none():
    """No collection is read for it."""
    data = Data("C", "T", "Q")
    settings = TrainSettings(data, Start("E"), Optimization(), MiningSettings(), Refresh())

    assert load_teacher(settings, None) is None


@pytest.mark.parametrize(("named", "expected"), [(None, "cpu"), ("cuda:1", "cuda:1")])
def test_teacher_reads_the_collection(world, monkeypatch, named, expected):
    """It computes where the trainer does, unless --refresh-device says otherwise."""
    model, loaded = make_model(1, float), []

    def load(name, *, device):
        loaded.append((name, device))
        return model

    monkeypatch.setattr(CrossEncoder, "load", load)
    data = Data(world.collection, "T", "Q", teacher="M")
    refresh = Refresh(device=named)
    settings = TrainSettings(data, Start("E"), Optimization(), MiningSettings(), refresh)
    inputs = SimpleNamespace(topics=SimpleNamespace(topics=[Topic("q", "the query")]))

    teacher = load_teacher(settings, inputs, device="cpu")
    lengths = teacher("q", ["d0-0", "d9-19"]).tolist()

    texts = {document.docid: document.text for document in Collection(world.collection)}
    assert lengths == [len(texts["d0-0"]), len(texts["d9-19"])]
    assert loaded == [("M", expected)]

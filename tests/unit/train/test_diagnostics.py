"""The paper's analyses: overlap of negatives, margins of positives, gradients by layer."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ance_plugin.train.diagnostics import GradientNorms, describe_margins, measure_overlap
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.table import read_negatives, write_negatives


def test_overlap_is_of_all_topics_together(make_corpus, tmp_path):
    """Of two and one negatives two are among the hits; unknown topics and documents count not."""
    rows = [
        TopicNegatives("a", ("d0",), (None,), ("d1", "d2"), (1.0, 0.5), (1, 2), ("ann",) * 2),
        TopicNegatives("b", ("d0",), (None,), ("gone",), (1.0,), (1,), ("ann",)),
        TopicNegatives("c", ("d0",), (None,), ("d3",), (1.0,), (1,), ("ann",)),
    ]
    write_negatives(tmp_path / "negatives", rows, {})
    negatives = read_negatives(tmp_path / "negatives")
    corpus = make_corpus({f"d{row}": f"text {row}" for row in range(4)})
    hits = np.array([[1, 0], [3, -1], [2, 1], [0, 1]])

    assert measure_overlap(negatives, ["a", "c", "b", "other"], hits, corpus) == 2 / 4
    assert measure_overlap(negatives, ["other"], hits[:1], corpus) is None


def test_margins_are_of_the_best_positive_and_the_best_other():
    """Topics without either are left out; a margin of zero is not won."""
    positives = [np.array(v, np.float32) for v in ([3, 5], [1], [2], [], [7])]
    others = [np.array(v, np.float32) for v in ([4, 1], [3], [2], [1], [])]

    found = describe_margins(positives, others)

    # 1, -2 and 0: sorted -2, 0, 1.
    assert found["median"] == 0
    assert found["quantile_10"] == pytest.approx(-1.6)
    assert found["quantile_90"] == pytest.approx(0.8)
    assert found["share_won"] == pytest.approx(1 / 3)


def test_no_topics_have_no_margins():
    """There is nothing to describe."""
    assert describe_margins([], []) == {}


class Body(nn.Module):
    """Six layers, named as BERT's are, and embeddings and a head beside them."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Linear(1, 1, bias=False)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(6))
        self.head = nn.Linear(1, 1, bias=False)


def test_gradients_are_measured_by_thirds():
    """Two layers each; embeddings and head count in the whole alone; no gradient is 0."""
    model = Body()
    norms = GradientNorms(model)
    assert norms.measure() == {"all": 0.0, "lower": 0.0, "middle": 0.0, "upper": 0.0}
    for number, layer in enumerate(model.encoder.layer):
        layer.weight.grad = torch.full((1, 1), float(number))
    model.head.weight.grad = torch.full((1, 1), 10.0)

    found = norms.measure()

    assert found["lower"] == pytest.approx(1.0)
    assert found["middle"] == pytest.approx(math.sqrt(4 + 9))
    assert found["upper"] == pytest.approx(math.sqrt(16 + 25))
    assert found["all"] == pytest.approx(math.sqrt(155))


def test_model_without_layers_has_a_whole():
    """A body whose names are not known is measured as one."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, 4.0]])

    assert GradientNorms(model).measure()["all"] == pytest.approx(5.0)

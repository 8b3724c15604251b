"""An ANCE encoder that was trained here searches in stock Pyserini as it does here."""

import numpy as np
import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.formats.runs import read_run
from ance_plugin.index.__main__ import main as index
from ance_plugin.search.__main__ import main as search
from ance_plugin.train.__main__ import main as train
from tests.synthetic import make_world

K = 50
TOLERANCE = 1e-4  # of scores near 50

pytestmark = [pytest.mark.java, pytest.mark.slow]


def test_a_trained_checkpoint_gives_stock_pyserini_the_same_run(tmp_path, random_ance, run_stock):
    """Trained, exported and searched with stock Pyserini: the hits and scores of our own search."""
    world = make_world(tmp_path)
    words = [*world.flags(), "--no-lowercase", "--precision", "fp32", "--num-steps", "6"]
    words[words.index(world.init)] = str(random_ance)
    words += ["--refresh-steps", "3", "--batch-size", "8", "--depth", "20", "--temperature", "10"]
    assert train(["ance", *words, "--output", f"{tmp_path}/run"]) == 0
    trained = ["--encoder", f"{tmp_path}/run"]
    assert encode(["export", *trained, "--to", "pyserini", "--output", f"{tmp_path}/export"]) == 0
    words = ["--collection", world.collection, "--precision", "fp32"]
    assert encode([*trained, *words, "--output", f"{tmp_path}/vectors"]) == 0
    words = ["--vectors", f"{tmp_path}/vectors", "--output", f"{tmp_path}/index"]
    assert index(["dense", *words]) == 0

    words = ["--index", f"{tmp_path}/index", "--topics", world.topics("dev"), "--hits", str(K)]
    ours = [*trained, "--precision", "fp32", "--output", f"{tmp_path}/ours.trec"]
    assert search([*words, *ours]) == 0
    theirs = ["--encoder", f"{tmp_path}/export", "--encoder-class", "ance"]
    run_stock(["search.faiss", *words, *theirs, "--output", f"{tmp_path}/theirs.trec"])

    ours, theirs = (read_run(tmp_path / f"{name}.trec") for name in ("ours", "theirs"))
    assert len(ours) == 50
    assert ours.keys() == theirs.keys()
    for qid, hits in ours.items():
        scores, expected = ([h.score for h in found] for found in (hits, theirs[qid]))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE)
        known = dict(theirs[qid])
        assert all(abs(known.get(h.docid, expected[-1]) - h.score) <= TOLERANCE for h in hits)

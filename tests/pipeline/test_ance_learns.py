"""What ANCE is for: negatives from the encoder's own index teach what BM25's cannot."""

import pytest

from ance_plugin.train.folder import CHECKPOINT, TrainingFolder
from ance_plugin.train.log import read_log
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.plan import plan_new
from ance_plugin.train.run import train
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings
from tests.synthetic import make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of tests/synthetic.py."""
    return make_world(tmp_path_factory.mktemp("world"))


def run(world, output, *, init, mix, num_steps, mode="sync"):
    """Train on the world; give the folder and its refreshes, first to last."""
    settings = TrainSettings(
        Data(
            world.collection,
            world.topics("train"),
            world.qrels("train"),
            world.topics("dev"),
            world.qrels("dev"),
            bm25_negatives=world.bm25,
        ),
        Start(str(init)),
        Optimization(
            num_steps=num_steps,
            batch_size=16,
            negatives_per_topic=1,
            loss="pairwise-nll",
            in_batch_weight=0.0,
            learning_rate=3e-3,
            lr_warmup_steps=5,
            schedule="constant",
            precision="fp32",
        ),
        MiningSettings(num_negatives=8, depth=20, mix=mix),
        Refresh(mode=mode, refresh_steps=40, precision="fp32", device="cpu"),
    )
    folder = TrainingFolder(output)
    assert train(plan_new(output, settings), device="cpu")
    return folder, [event for event in read_log(folder) if event["event"] == "refresh"]


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """From one warm-up, as many steps again with BM25's, random and ANN negatives."""
    root = tmp_path_factory.mktemp("trained")
    warm, _ = run(world, root / "warm", init=world.init, mix={"bm25": 1.0}, num_steps=80)
    start = warm.checkpoint(warm.steps(CHECKPOINT)[-1])
    return {
        source: run(world, root / source, init=start, mix={source: 1.0}, num_steps=160)[1]
        for source in ("bm25", "random", "ann")
    }


def test_ance_beats_bm25_negatives(trained):
    """At equal steps from one warm-up, ANN negatives lead far ahead of BM25's and random ones."""
    final = {source: refreshes[-1]["dev"]["ndcg@10"] for source, refreshes in trained.items()}

    assert final["ann"] > final["bm25"] + 0.3
    assert final["ann"] > final["random"] + 0.3
    assert {refreshes[0]["dev"]["ndcg@10"] for refreshes in trained.values()} == {
        trained["ann"][0]["dev"]["ndcg@10"]
    }


def test_overlap_rises(trained):
    """ANN negatives become those that search returns; BM25's stay apart from them (figure 3)."""
    overlap = {source: [r["overlap"] for r in found[1:]] for source, found in trained.items()}

    assert overlap["ann"][-1] > 0.6
    assert overlap["ann"][-1] > overlap["ann"][1]
    assert max(overlap["bm25"]) < 0.3


def test_margins_widen(trained):
    """The share of training topics whose positive is ranked first grows with ANN negatives."""
    won = [refresh["margins"]["share_won"] for refresh in trained["ann"]]

    assert won[-1] > 0.8 > won[0]

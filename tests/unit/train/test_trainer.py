"""The training loop where ranks see other files, weights diverge, or topics have no negatives."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.train.__main__ import main
from ance_plugin.train.batches import BatchSampler
from ance_plugin.train.folder import STATE, TrainingFolder
from ance_plugin.train.negatives.table import read_negatives
from ance_plugin.train.state import Progress, find_state, save_state
from ance_plugin.train.trainer import Trainer

FLAGS = [
    *("--device", "cpu", "--precision", "fp32", "--refresh-precision", "fp32", "--depth", "20"),
    *("--num-negatives", "2", "--negatives-per-topic", "1", "--mix", "random=1"),
]


class Rank:
    """One of two ranks; the first answers as it was told to."""

    world_size = 2

    def __init__(self, rank, first):
        self.is_main, self._first = rank == 0, first

    def broadcast(self, obj=None):
        return obj if self.is_main else self._first

    def barrier(self):
        pass


def make_trainer(folder, ranks):
    """Make a trainer that can do no more than restore itself."""
    trainer = Trainer.__new__(Trainer)
    trainer._folder, trainer._ranks, trainer._progress = folder, ranks, Progress()
    trainer._model = nn.Linear(2, 2)
    trainer._optimizer = torch.optim.AdamW(trainer._model.parameters())
    trainer._selection = SimpleNamespace(restore=lambda step: None)
    return trainer


def read_error(capsys):
    """Give the one line that says what was wrong."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    assert sum(": error: " in line for line in lines) == 1
    return lines[-1].partition(": error: ")[2]


def test_first_rank_says_where_to_go_on(tmp_path):
    """A state that it did not see is not restored by another, which came later; else both are."""
    folder = TrainingFolder(tmp_path)
    model = nn.Linear(2, 2)
    progress = Progress(40, round=3)
    save_state(folder, progress, model, torch.optim.AdamW(model.parameters()))
    late = make_trainer(folder, Rank(1, None))
    others = [make_trainer(folder, Rank(rank, asdict(progress))) for rank in (0, 1)]

    for trainer in (late, *others):
        trainer._restore()

    assert late._progress == Progress()
    assert not torch.equal(late._model.weight, model.weight)
    for trainer in others:
        assert trainer._progress == progress
        assert torch.equal(trainer._model.weight, model.weight)


def test_diverged_run_stops(world, tmp_path, capsys):
    """One line names the step and the flag; the newest state is from before the weights broke."""
    words = ["ance", *world.flags(dev=False), *FLAGS, "--batch-size", "4", "--num-steps", "20"]
    words += ["--learning-rate", "1e30", "--max-grad-norm", "0", "--save-steps", "1"]

    assert main([*words, "--output", str(tmp_path / "run")]) == 1

    message = read_error(capsys)
    folder = TrainingFolder(tmp_path / "run")
    (last,) = folder.steps(STATE)
    assert message.startswith("step ")
    assert "train again into another --output with a lower --learning-rate" in message
    assert f"its state of step {last} is from before it" in message
    assert find_state(folder).step == last
    state = torch.load(folder.state(last) / "state.pt", weights_only=True)
    assert all(weights.isfinite().all() for weights in state["model"].values())
    assert not folder.finished.exists()


@pytest.mark.parametrize("loss", ["softmax", "margin-mse"])
def test_topics_whose_negatives_were_filtered_are_not_trained(
    world, encoder, tmp_path, monkeypatch, loss
):
    """A teacher that takes all documents for relevant to cluster 0 leaves its topics none."""

    def score(queries, documents):
        return np.array([9.0 if "qc0 " in query else -9.0 for query in queries], np.float32)

    model = SimpleNamespace(num_labels=1, score=score)
    monkeypatch.setattr(CrossEncoder, "load", lambda *_, **__: model)
    batches, draw = [], BatchSampler.draw

    def draw_and_keep(sampler, number, pool):
        batches.append(draw(sampler, number, pool))
        return batches[-1]

    monkeypatch.setattr(BatchSampler, "draw", draw_and_keep)
    words = ["ance", *world.flags(dev=False), *FLAGS, "--batch-size", "50", "--num-steps", "3"]
    words += ["--teacher", "M", "--teacher-threshold", "0.5", "--loss", loss]

    assert main([*words, "--output", str(tmp_path / "run")]) == 0

    rows = list(read_negatives(TrainingFolder(tmp_path / "run").refresh(0)))
    assert all(bool(row.negatives) != row.qid.startswith("q0-") for row in rows)
    _, cluster, _ = encoder.tokenize_queries(["qc0"])[0]
    shown = [tokens.tolist() for batch in batches for tokens in batch.queries]
    assert len(shown) == 150
    assert not any(cluster in tokens for tokens in shown)


@pytest.fixture
def three(world, tmp_path):
    """Return a function that writes 3 documents and judgments (qid -> docids); gives flags."""

    def make(qrels):
        texts = {"a": "dc0 dm0", "b": "dc1 dm1", "c": "dc2 dm2"}
        lines = [json.dumps({"id": docid, "contents": text}) for docid, text in texts.items()]
        (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
        topics = "".join(f"{qid}\tqc0 {qid}\n" for qid in qrels)
        (tmp_path / "topics.tsv").write_text(topics)
        judged = [f"{qid} 0 {docid} 1\n" for qid, docids in qrels.items() for docid in docids]
        (tmp_path / "qrels").write_text("".join(judged))
        words = ["ance", "--collection", str(tmp_path / "docs.jsonl"), "--init", world.init]
        words += ["--topics", str(tmp_path / "topics.tsv"), "--qrels", str(tmp_path / "qrels")]
        words += [*FLAGS, "--batch-size", "2", "--num-steps", "2"]
        return [*words, "--output", str(tmp_path / "run")]

    return make


def test_topic_to_which_all_is_relevant_is_left_out(three, capsys):
    """The others are trained, and a warning names it."""
    assert main(three({"all": "abc", "one": "a"})) == 0

    expected = "1 of 2 topics have no negatives, as all; others are visited in their place"
    assert expected in capsys.readouterr().err


def test_run_in_which_all_is_relevant_is_an_error(three, capsys):
    """Nothing can be trained: one line, and exit code 1."""
    assert main(three({"all": "abc", "both": "cba"})) == 1

    assert "the refresh of step 0 left no topic any negatives" in read_error(capsys)

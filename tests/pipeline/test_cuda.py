"""The same commands on a GPU: what the CPU computes, in another place."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.packed_attention import can_attend_to_any_lengths
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.vectors import Vectors
from ance_plugin.records import Document
from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.search.__main__ import main as search
from ance_plugin.train.__main__ import main as train
from ance_plugin.train.folder import STATE, TrainingFolder
from ance_plugin.train.log import read_log
from tests.synthetic import make_world

pytestmark = pytest.mark.gpu

ON_GPU = ["--device", "cuda"]
FLAGS = [
    *("--num-steps", "240", "--refresh-steps", "40", "--batch-size", "32", "--depth", "20"),
    *("--num-negatives", "8", "--learning-rate", "3e-3", "--lr-warmup-steps", "5"),
    *("--negatives-per-topic", "1", "--schedule", "constant", "--mix", "ann=1", "in-batch=1"),
]
RNG = np.random.default_rng(0)
TEXTS = ["", *(" ".join(RNG.choice(["cat", "dog", "elk"], RNG.integers(1, 30))) for _ in range(99))]
DOCUMENTS = [Document(str(number), text) for number, text in enumerate(TEXTS)]


LEAST_COSINE = {"fp32": 0.999999, "bf16": 0.995, "fp16": 0.9999}


def cosines(found, expected):
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return np.vecdot(found, expected) / norms


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of tests/synthetic.py, with dropout."""
    return make_world(tmp_path_factory.mktemp("world"), dropout=0.1)


def test_attention_to_texts_of_any_lengths_is_there():
    """PyTorch's kernel for it, found right; without it encoding is slower, not wrong."""
    assert can_attend_to_any_lengths(torch.device("cuda"))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_vectors_are_those_of_the_cpu(make_tiny_checkpoint, pooling, precision):
    """Of random lengths, empty texts among them, and of single texts."""
    folder = str(make_tiny_checkpoint(pooling=pooling))
    ours = Encoder.load(folder, device="cuda", precision=precision)
    expected = Encoder.load(folder, device="cpu", precision="fp32").encode_documents(DOCUMENTS)

    found = ours.encode_documents(DOCUMENTS)
    alone = np.concatenate([ours.encode_documents([one]) for one in DOCUMENTS[:9]])

    assert cosines(found, expected).min() > LEAST_COSINE[precision]
    assert cosines(alone, expected[:9]).min() > LEAST_COSINE[precision]


def test_encoding_and_searching_give_the_run_of_the_cpu(made, tiny_checkpoint, tmp_path):
    """Vectors, hits and scores; the flat index is held by the GPU."""
    words = ["--collection", f"{made}/docs.jsonl", "--encoder", str(tiny_checkpoint)]
    words += ["--block-size", "7", "--precision", "fp32", "--output", f"{tmp_path}/vectors"]
    assert encode([*words, *ON_GPU]) == 0
    pairs = zip(
        Vectors(tmp_path / "vectors").iter_blocks(),
        Vectors(made / "vectors").iter_blocks(),
        strict=True,
    )
    for (docids, found), (expected_docids, expected) in pairs:
        assert docids == expected_docids
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    words = ["--topics", f"{made}/topics.tsv", "--index", f"{made}/Flat", "--precision", "fp32"]
    assert search([*words, *ON_GPU, "--output", f"{tmp_path}/run.trec"]) == 0
    found, expected = read_run(tmp_path / "run.trec"), read_run(made / "dense.trec")
    for qid, hits in expected.items():
        assert [hit.docid for hit in found[qid]] == [hit.docid for hit in hits]
        scores = [hit.score for hit in found[qid]]
        assert scores == pytest.approx([hit.score for hit in hits], abs=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_reranking_scores_are_those_of_the_cpu(classifier, precision):
    """Pairs of random lengths."""
    queries = ["red fox"] * len(DOCUMENTS)
    expected = CrossEncoder.load(str(classifier), device="cpu", precision="fp32")
    ours = CrossEncoder.load(str(classifier), device="cuda", precision=precision)

    both = np.stack([ours.score(queries, DOCUMENTS), expected.score(queries, DOCUMENTS)])
    [found, wanted] = both - both.mean(axis=1, keepdims=True)

    assert cosines(found[None], wanted[None]).item() > LEAST_COSINE[precision]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_training_learns(world, tmp_path, mode):
    """Trainer and refresher on one GPU; the dev topics are found better at the end."""
    words = ["ance", *world.flags(), *FLAGS, *ON_GPU, "--refresh", mode]
    assert train([*words, "--output", str(tmp_path / "run")]) == 0

    events = read_log(TrainingFolder(tmp_path / "run"))
    dev = [event["dev"]["ndcg@10"] for event in events if event["event"] == "refresh"]
    assert dev[0] < 0.2
    assert dev[-1] > 0.8
    assert all(np.isfinite(event["loss"]) for event in events if event["event"] == "step")


def test_losses_are_those_of_the_cpu(world, tmp_path):
    """Without dropout, whose masks differ from device to device, and in float32."""
    folder = make_world(tmp_path)
    losses = []
    for device in ("cpu", "cuda"):
        words = ["ance", *folder.flags(), *FLAGS, "--device", device, "--precision", "fp32"]
        words += ["--refresh-precision", "fp32", "--num-steps", "10", "--mix", "random=1"]
        assert train([*words, "--output", str(tmp_path / device)]) == 0
        events = read_log(TrainingFolder(tmp_path / device))
        losses.append([event["loss"] for event in events if event["event"] == "step"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)


def test_a_killed_run_goes_on(world, tmp_path):
    """Each step is there, and the first of those after the kill have the losses of a whole run."""
    words = ["ance", *world.flags(), *FLAGS, *ON_GPU, "--save-steps", "5", "--precision", "fp32"]
    words += ["--refresh-steps", "120"]
    assert train([*words, "--output", str(tmp_path / "whole")]) == 0
    folder = TrainingFolder(tmp_path / "killed")
    command = [sys.executable, "-m", "ance_plugin.train", *words, "--output", str(folder.path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while max(folder.steps(STATE), default=0) < 45 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert train(["ance", "--output", str(folder.path), "--resume", *ON_GPU]) == 0

    losses = [
        {event["step"]: event["loss"] for event in read_log(run) if event["event"] == "step"}
        for run in (TrainingFolder(tmp_path / "whole"), folder)
    ]
    assert list(losses[1]) == list(range(240))
    assert [losses[1][step] for step in range(100)] == pytest.approx(
        [losses[0][step] for step in range(100)], abs=0.02
    )


def test_gradients_of_chunks_are_those_of_the_whole(world, tmp_path):
    """GradCache: a chunk encoded again has the dropout it had."""
    losses = []
    for extra in ([], ["--grad-cache", "--chunk-tokens", "64"]):
        output = tmp_path / f"run{len(extra)}"
        words = ["ance", *world.flags(dev=False), *FLAGS, *ON_GPU, "--num-steps", "10"]
        words += ["--mix", "random=1", "--chunk-tokens", "64", "--precision", "fp32", *extra]
        assert train([*words, "--output", str(output)]) == 0
        events = read_log(TrainingFolder(output))
        losses.append([event["loss"] for event in events if event["event"] == "step"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_a_cross_encoder_is_trained(world, classifier, tmp_path):
    """From a classifier, with negatives made before."""
    words = ["cross-encoder", "--collection", world.collection, *ON_GPU]
    words += ["--topics", world.topics("train"), "--qrels", world.qrels("train")]
    words += ["--negatives", world.bm25, "--init", str(classifier), "--batch-size", "2"]
    words += ["--max-length", "32", "--num-steps", "3"]
    assert train([*words, "--output", str(tmp_path / "ce")]) == 0
    scorer = CrossEncoder.load(str(tmp_path / "ce"), device="cuda")
    assert np.isfinite(scorer.score(["ant"], DOCUMENTS[1:2])).all()

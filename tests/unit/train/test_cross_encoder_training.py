"""A cross-encoder learns a rule, goes on where it was killed, and is loaded by other libraries."""

import json
from contextlib import suppress

import numpy as np
import pytest

from ance_plugin.cli.run import run
from ance_plugin.cli.train_cross_encoder import new_cross_encoder_parser, start_cross_encoder
from ance_plugin.errors import ArtifactError, LeakError, MismatchError
from ance_plugin.formats.runs import write_run
from ance_plugin.records import Document, Hit
from ance_plugin.rerank.cross_encoder import CrossEncoder
from ance_plugin.train import cross_encoder as training
from ance_plugin.train.cross_encoder import train_cross_encoder
from ance_plugin.train.cross_encoder_files import training_path
from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings, Dev
from ance_plugin.train.groups import make_groups
from ance_plugin.train.negatives.table import write_negatives
from tests.unit.train.cats import ANIMALS, COLOURS, FILLERS, make_data

SETTINGS = {
    "num_steps": 60,
    "batch_size": 8,
    "negatives_per_topic": 3,
    "learning_rate": 3e-3,
    "lr_warmup_steps": 10,
    "max_length": 24,
    "precision": "fp32",
}
SHORT = {**SETTINGS, "num_steps": 7, "save_steps": 2}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A plain BERT body, its weights at random; it has no classifier."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("body")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *COLOURS, *ANIMALS]
    pieces = list(dict.fromkeys([*pieces, *FILLERS, *letters, *(f"##{c}" for c in letters)]))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertModel(config).save_pretrained(folder)
    return folder


def train(body, output, settings, *, resume=False, **options):
    topics, documents, rows = make_data()
    train_cross_encoder(
        make_groups(rows, topics),
        {document.docid: document for document in documents},
        output,
        init=str(body),
        settings=CrossEncoderSettings(**settings),
        device="cpu",
        is_resumed=resume,
        **options,
    )
    return output


def measure_held_out(folder):
    """Say for which share of other topics the positives score above all negatives."""
    model = CrossEncoder.load(str(folder), device="cpu", precision="fp32")
    topics, documents, rows = make_data(seed=9, prefix="h")
    by_docid = {document.docid: document for document in documents}
    is_right = []
    for topic, row in zip(topics, rows, strict=True):
        texts = [by_docid[docid] for docid in (*row.positives, *row.negatives)]
        scores = model.score([topic.text] * len(texts), texts)
        is_right.append(scores[:2].min() > scores[2:].max())
    return np.mean(is_right)


def read_losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(body, tmp_path_factory):
    return train(body, tmp_path_factory.mktemp("trained") / "ce", SETTINGS)


def test_loss_falls_and_held_out_pairs_are_ranked(trained, body):
    """From a quarter's guess to the rule, on documents that were not seen."""
    losses = read_losses(trained)

    assert len(losses) == 60
    assert np.mean(losses[:5]) > 1.2  # log 4 = 1.39 is a guess among four
    assert np.mean(losses[-10:]) < 0.1
    assert measure_held_out(trained) > 0.9


def test_binary_cross_entropy_learns_too(body, tmp_path):
    """The same rule from single pairs."""
    folder = train(body, tmp_path / "ce", {**SETTINGS, "loss": "bce"})

    assert measure_held_out(folder) > 0.9


def test_bf16_learns_too(body, tmp_path):
    """The body computes in bf16; weights are written in float32."""
    folder = train(body, tmp_path / "ce", {**SETTINGS, "precision": "bf16"})

    assert measure_held_out(folder) > 0.9


def test_other_libraries_load_it(trained):
    """Transformers and sentence-transformers give our scores, with our length."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    documents = [Document("a", "the cat sees a lynx"), Document("b", "dog " * 60)]
    ours = CrossEncoder.load(str(trained), device="cpu", precision="fp32")

    scores = ours.score(["the red"] * 2, documents)

    tokenizer = AutoTokenizer.from_pretrained(trained)
    model = AutoModelForSequenceClassification.from_pretrained(trained).eval()
    texts = [document.text for document in documents]
    inputs = tokenizer(["the red"] * 2, texts, truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits[:, 0].numpy()
    assert ours.max_length == tokenizer.model_max_length == 24
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_metadata_says_how_it_was_made(trained, body):
    """Settings, data and weights to start from by their hashes, and the step."""
    metadata = json.loads((trained / "metadata.json").read_text())

    assert metadata["kind"] == "cross-encoder"
    assert metadata["settings"]["negatives_per_topic"] == 3
    assert metadata["init"]["name"] == str(body)
    assert len(metadata["data_sha256"]) == len(metadata["init"]["weights_sha256"]) == 64
    assert (metadata["step"], metadata["num_topics"], metadata["dev"]) == (60, 48, None)
    assert "model.safetensors" in metadata["files"]


def read_all(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def die_at(monkeypatch, step):
    """Let the trainer die in a step, as a process that is killed there would."""
    take = training.GroupStep.run

    def run_or_die(self, groups, number):
        if number == step:
            raise KeyboardInterrupt
        return take(self, groups, number)

    monkeypatch.setattr(training.GroupStep, "run", run_or_die)


def kill(body, output, monkeypatch, step, **options):
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        die_at(patched, step)
        train(body, output, SHORT, **options)


@pytest.mark.parametrize("step", [0, 1, 2, 5, 6])
def test_a_resumed_training_ends_with_the_same_bytes(body, tmp_path, monkeypatch, step):
    """Weights, log and metadata, wherever it stopped: before a state, at one, after one."""
    calm = train(body, tmp_path / "calm", SHORT)
    kill(body, tmp_path / "ce", monkeypatch, step)
    assert not (tmp_path / "ce").exists()

    resumed = train(body, tmp_path / "ce", SHORT, resume=True)

    assert read_all(resumed) == read_all(calm)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["calm", "ce"]


def test_an_unfinished_training_is_not_overwritten(body, tmp_path, monkeypatch):
    """Without --resume it is an error that names the flag."""
    kill(body, tmp_path / "ce", monkeypatch, 5)

    with pytest.raises(ArtifactError, match=r"unfinished training stands there; give --resume"):
        train(body, tmp_path / "ce", SHORT)


def test_resuming_leaves_what_it_did_not_make(body, tmp_path, monkeypatch):
    """A folder of that name that is something else does not end the training that stands there."""
    kill(body, tmp_path / "ce", monkeypatch, 5)
    (tmp_path / "ce").mkdir()

    with pytest.raises(ArtifactError, match=r"it is not a cross-encoder"):
        train(body, tmp_path / "ce", SHORT, resume=True)

    (tmp_path / "ce").rmdir()
    assert read_all(train(body, tmp_path / "ce", SHORT, resume=True))


def test_resuming_what_is_finished(body, tmp_path, monkeypatch):
    """Nothing is done, and what a kill after publishing left is removed; others are refused."""
    finished = train(body, tmp_path / "ce", SHORT)
    before = read_all(finished)
    training_path(finished).mkdir()

    train(body, finished, SHORT, resume=True)

    assert read_all(finished) == before
    assert not training_path(finished).exists()
    with pytest.raises(MismatchError, match="settings is"):
        train(body, finished, {**SHORT, "loss": "bce"}, resume=True)
    with pytest.raises(MismatchError, match="init is"):
        train("other", finished, SHORT, resume=True)
    with pytest.raises(ArtifactError, match="exists already; name another --output or remove it"):
        train(body, finished, SHORT)


def test_other_settings_do_not_go_on(body, tmp_path, monkeypatch):
    """The result would be of neither."""
    kill(body, tmp_path / "ce", monkeypatch, 5)

    with pytest.raises(MismatchError, match="settings is"):
        train(body, tmp_path / "ce", {**SHORT, "loss": "bce"}, resume=True)


def test_another_seed_is_another_model(body, tmp_path):
    """The new classifier, the order and the dropout are drawn from it."""
    first, second = (train(body, tmp_path / str(seed), {**SHORT, "seed": seed}) for seed in (0, 1))

    assert read_losses(first)[0] != read_losses(second)[0]


# Which weights are kept


def make_dev(*, measure="mrr@10"):
    topics, documents, rows = make_data(num_topics=9, seed=4, prefix="v")
    first = {
        row.qid: [Hit(d, 9.0 - n) for n, d in enumerate((*row.negatives, *row.positives))]
        for row in rows
    }
    qrels = {row.qid: dict.fromkeys(row.positives, 1) for row in rows}
    queries = {topic.qid: topic.text for topic in topics}
    return Dev(first, queries, {document.docid: document for document in documents}, qrels, measure)


def test_weights_that_are_best_on_dev_are_kept(body, tmp_path):
    """The step with the highest measure, the first of equals; it is what its folder measures."""
    folder = train(body, tmp_path / "ce", {**SETTINGS, "save_steps": 15}, dev=make_dev())

    metadata = json.loads((folder / "metadata.json").read_text())
    measured = metadata["dev_measured"]
    assert list(measured) == [str(step) for step in range(15, 61, 15)]
    assert metadata["step"] == int(max(measured, key=measured.get))
    assert max(measured.values()) > 0.9
    assert metadata["dev"]["measure"] == "mrr@10"
    assert len(read_losses(folder)) == 60


def test_dev_does_not_change_what_is_learned(body, tmp_path):
    """Measuring draws nothing and leaves dropout on."""
    without = train(body, tmp_path / "without", SHORT)
    with_dev = train(body, tmp_path / "with", SHORT, dev=make_dev())

    assert read_losses(with_dev) == read_losses(without)


def test_a_resumed_training_keeps_the_same_best(body, tmp_path, monkeypatch):
    """What was measured before it was killed counts."""
    calm = train(body, tmp_path / "calm", SHORT, dev=make_dev())
    kill(body, tmp_path / "ce", monkeypatch, 5, dev=make_dev())

    resumed = train(body, tmp_path / "ce", SHORT, dev=make_dev(), resume=True)

    assert read_all(resumed) == read_all(calm)


def test_dev_topics_that_are_trained_on_are_refused(body, tmp_path):
    """They would choose what remembers best."""
    dev = make_dev()
    leaking = Dev({**dev.run, "q3": []}, dev.queries, dev.documents, dev.qrels, "mrr@10")

    with pytest.raises(LeakError, match="1 dev topics are trained on, q3"):
        train(body, tmp_path / "ce", SHORT, dev=leaking)


# The command


def start(folder, body, *words):
    inputs = ["--collection", f"{folder}/docs.jsonl", "--topics", f"{folder}/topics.tsv"]
    inputs += ["--negatives", f"{folder}/negatives", "--init", str(body), "--device", "cpu"]
    settings = ["--num-steps", "4", "--max-length", "24", "--batch-size", "2"]
    words = [*inputs, *settings, "--output", f"{folder}/ce", *words]
    return run(new_cross_encoder_parser(), start_cross_encoder, words)


def test_command_trains_from_files(body, tmp_path):
    """Collection, topics, negatives and a dev run in; a folder that reranks out."""
    data, dev = make_data(), make_data(num_topics=6, seed=4, prefix="v")
    topics, documents = data[0] + dev[0], data[1] + dev[1]
    lines = [json.dumps({"id": d.docid, "contents": d.text}) + "\n" for d in documents]
    (tmp_path / "docs.jsonl").write_text("".join(lines))
    (tmp_path / "topics.tsv").write_text("".join(f"{t.qid}\t{t.text}\n" for t in topics))
    write_negatives(tmp_path / "negatives", data[2], {})
    hits = {row.qid: [Hit(d, 1.0) for d in row.negatives + row.positives] for row in dev[2]}
    write_run(tmp_path / "dev.trec", hits, tag="t")
    judged = [f"{row.qid} 0 {row.positives[0]} 1\n" for row in dev[2]]
    (tmp_path / "dev.qrels").write_text("".join(judged))
    words = ["--dev-run", f"{tmp_path}/dev.trec", "--dev-qrels", f"{tmp_path}/dev.qrels"]
    assert start(tmp_path, body, *words, "--dev-topics", f"{tmp_path}/topics.tsv") == 0

    metadata = json.loads((tmp_path / "ce" / "metadata.json").read_text())
    assert metadata["dev"]["measure"] == "ndcg@10"
    assert list(metadata["dev_measured"]) == ["1", "2", "3", "4"]
    assert CrossEncoder.load(f"{tmp_path}/ce", device="cpu").max_length == 24
    assert start(tmp_path, body) == 1


WRONG = ["--num-steps 0", "--loss hinge", "--learning-rate 0", "--dev-run R", "--dev-depth 3"]


@pytest.mark.parametrize("words", [*WRONG, "--precision fp16"])
def test_wrong_usage_is_exit_code_2(tmp_path, words):
    """Before any file is opened."""
    assert start(tmp_path, "no-body", *words.split()) == 2
    assert list(tmp_path.iterdir()) == []

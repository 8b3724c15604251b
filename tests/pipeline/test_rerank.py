"""The rerank command: the run it writes, killed and continued, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.ranking import rank
from ance_plugin.rerank.__main__ import main as rerank

ON_CPU = ["--device", "cpu", "--precision", "fp32"]


def flags(made, classifier, output, *words):
    words = ["--model", str(classifier), *ON_CPU, "--output", str(output), *words]
    inputs = ["--topics", f"{made}/topics.tsv", "--collection", f"{made}/docs.jsonl"]
    return ["--run", f"{made}/dense.trec", *inputs, *words]


def read_manifest(path):
    return json.loads(path.with_name(f"{path.name}.json").read_text())


def test_run_is_ordered_by_the_cross_encoder(made, classifier, tmp_path):
    """The top ten by its scores, the other twenty under them as they were."""
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    assert rerank(flags(made, classifier, tmp_path / "run", "--depth", "10")) == 0

    model = CrossEncoder.load(str(classifier), device="cpu", precision="fp32")
    documents = {document.docid: document for document in Collection(f"{made}/docs.jsonl")}
    first, found = read_run(made / "dense.trec"), read_run(tmp_path / "run")
    assert list(found) == list(first)
    for topic in read_topics(f"{made}/topics.tsv"):
        docids = [hit.docid for hit in first[topic.qid]]
        top = [documents[docid] for docid in docids[:10]]
        expected = rank(docids[:10], model.score([topic.text] * 10, top))
        names = [hit.docid for hit in found[topic.qid]]
        assert names == [hit.docid for hit in expected] + docids[10:]
        np.testing.assert_allclose(
            [hit.score for hit in found[topic.qid][:10]],
            [hit.score for hit in expected],
            rtol=1e-6,
        )
    assert not list(tmp_path.glob(".*"))


def test_run_json_says_how_it_was_made(made, classifier, tmp_path):
    """Command, model and its hash, depth, and what it took."""
    words = flags(made, classifier, tmp_path / "run", "--depth", "10", "--hits", "12")
    assert rerank(words) == 0

    manifest = read_manifest(tmp_path / "run")
    assert manifest["kind"] == "rerank"
    assert manifest["tag"] == "dense-rerank"
    assert manifest["command"].startswith("python -m ance_plugin.rerank --run ")
    assert manifest["run"]["path"] == f"{made}/dense.trec"
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["run"]["sha256"])
    assert manifest["model"]["name"] == str(classifier)
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["model"]["weights_sha256"])
    assert manifest["model"]["max_length"] == 64
    assert (manifest["model"]["precision"], manifest["model"]["device"]) == ("fp32", "cpu")
    assert (manifest["rerank_depth"], manifest["hits"], manifest["passages"]) == (10, 12, "first")
    assert (manifest["num_topics"], manifest["num_pairs"]) == (6, 60)
    assert manifest["seconds"] > 0
    assert manifest["pairs_per_second"] > 0
    assert {len(hits) for hits in read_run(tmp_path / "run").values()} == {12}


def test_flags_reach_the_model(made, classifier, tmp_path):
    """Lengths, template and windows are as given."""
    lengths = ["--max-length", "20", "--max-query-length", "6", "--template", "{title}: {text}"]
    windows = ["--passages", "best", "--passage-tokens", "8", "--passage-stride", "4"]
    words = [*lengths, *windows, "--batch-size", "7", "--tag", "mine"]

    assert rerank(flags(made, classifier, tmp_path / "run.gz", *words)) == 0

    manifest = read_manifest(tmp_path / "run.gz")
    model = manifest["model"]
    assert (model["max_length"], model["max_query_tokens"], model["batch_size"]) == (20, 6, 7)
    assert model["template"] == "{title}: {text}"
    assert (manifest["passage_tokens"], manifest["passage_stride"]) == (8, 4)
    assert manifest["tag"] == "mine"
    assert len(read_run(tmp_path / "run.gz")["q0"]) == 30


def test_best_passage_of_short_documents_is_their_beginning(made, classifier, tmp_path):
    """Where every document fits into one window, both ways give the same run."""
    assert rerank(flags(made, classifier, tmp_path / "first", "--max-length", "64")) == 0
    words = ["--passages", "best", "--max-length", "64"]
    assert rerank(flags(made, classifier, tmp_path / "best", *words)) == 0

    first, best = ((tmp_path / name).read_bytes() for name in ("first", "best"))
    assert first == best


# What a killed run leaves


def write_larger(folder, *, num_topics=60):
    """Write topics and a run in which each has all thirty documents, in an order of its own."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(num_topics):
        for place, row in enumerate(rng.permutation(30)):
            lines.append(f"t{number} Q0 d{row} {place + 1} {30 - place} first\n")
    (folder / "first.trec").write_text("".join(lines))
    topics = [
        f"t{number}\tthe red {'fox ' * (number % 5)}{number}\n" for number in range(num_topics)
    ]
    (folder / "larger.tsv").write_text("".join(topics))


def start(made, classifier, folder):
    command = [sys.executable, "-m", "ance_plugin.rerank", "--run", f"{folder}/first.trec"]
    command += ["--topics", f"{folder}/larger.tsv", "--collection", f"{made}/docs.jsonl"]
    command += ["--model", str(classifier), *ON_CPU, "--output", f"{folder}/run"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def count_scored(folder):
    journal = folder / ".run.scored"
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(made, classifier, tmp_path):
    """Killed three times after some topics: none is scored twice, and the run is the same."""
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    for folder in (calm, disturbed):
        folder.mkdir()
        write_larger(folder)
    undisturbed = start(made, classifier, calm)
    assert undisturbed.wait(timeout=120) == 0
    undisturbed.stderr.close()

    counts = []
    for _ in range(3):
        process = start(made, classifier, disturbed)
        goal = count_scored(disturbed) + 5
        while count_scored(disturbed) < goal and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (disturbed / "run").exists()
        counts.append(count_scored(disturbed))
    last = start(made, classifier, disturbed)
    _, log = last.communicate(timeout=120)

    assert last.returncode == 0, log
    assert counts == sorted(counts)
    assert f"{counts[-1] * 30} of 1800 are there already" in log
    assert (disturbed / "run").read_bytes() == (calm / "run").read_bytes()
    assert sorted(file.name for file in disturbed.iterdir()) == [
        "first.trec", "larger.tsv", "run", "run.json",
    ]  # fmt: skip
    manifests = [read_manifest(folder / "run") for folder in (calm, disturbed)]
    for manifest in manifests:
        for name in ("command", "run", "seconds", "pairs_per_second"):
            manifest.pop(name)
        manifest.pop("topics")
    assert manifests[0] == manifests[1]


def test_a_run_started_with_other_settings_is_not_continued(made, classifier, tmp_path, caplog):
    """What another depth left behind is dropped, and the log says so."""
    assert rerank(flags(made, classifier, tmp_path / "expected", "--depth", "9")) == 0
    journal = tmp_path / ".run.scored"
    journal.write_text('{"rerank_depth": 8}\n{"qid": "q0", "scores": [1.0], "seconds": 1.0}\n')

    assert rerank(flags(made, classifier, tmp_path / "run", "--depth", "9")) == 0

    assert (tmp_path / "run").read_bytes() == (tmp_path / "expected").read_bytes()


# What is refused


def test_topics_the_run_has_and_the_file_lacks_are_named(made, classifier, tmp_path, read_problem):
    """Before the model is loaded."""
    words = flags(made, "no-model", tmp_path / "run", "--topics", f"{made}/first.tsv")

    assert rerank(words) == 1
    assert "has no topic q3, q4, q5, but the run has" in read_problem()


def test_documents_the_run_has_and_the_collection_lacks_are_named(
    made, classifier, tmp_path, read_problem
):
    """Before anything is scored."""
    lines = Path(made, "docs.jsonl").read_text().splitlines()
    (tmp_path / "docs.jsonl").write_text("\n".join(lines[2:]))
    words = flags(made, classifier, tmp_path / "run", "--collection", f"{tmp_path}/docs.jsonl")

    assert rerank(words) == 1
    assert "has no document d0, d1, but the run has" in read_problem()
    assert not (tmp_path / "run").exists()


def test_an_encoder_is_no_reranker(made, tiny_checkpoint, tmp_path, read_problem):
    """Its folder has no classifier, and none is made up."""
    assert rerank(flags(made, tiny_checkpoint, tmp_path / "run")) == 1
    assert "has no classifier" in read_problem()


def test_an_empty_run_is_refused(made, classifier, tmp_path, read_problem):
    """There is nothing to rerank."""
    (tmp_path / "empty").write_text("")

    assert rerank(flags(made, classifier, tmp_path / "run", "--run", f"{tmp_path}/empty")) == 1
    assert "the run has no hits" in read_problem()


WRONG = {
    "depth 0": ["--depth", "0"],
    "depth -1": ["--depth=-1"],
    "hits 0": ["--hits", "0"],
    "batch size 0": ["--batch-size", "0"],
    "max length 0": ["--max-length", "0"],
    "unknown passages": ["--passages", "last"],
    "window without best": ["--passage-tokens", "9"],
    "stride without best": ["--passage-stride", "9"],
    "stride over window": ["--passages", "best", "--passage-tokens", "4", "--passage-stride", "5"],
    "tag of two words": ["--tag", "two words"],
    "unknown precision": ["--precision", "int8"],
    "abbreviated flag": ["--dep", "3"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=list(WRONG))
def test_wrong_usage_is_exit_code_2(tmp_path, words, read_problem):
    """One line, before any file is opened."""
    code = rerank(flags("nowhere", "no-model", tmp_path / "run", *words))

    assert (code, bool(read_problem())) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left_out", ["--run", "--topics", "--collection", "--model", "--output"])
def test_what_cannot_be_guessed_is_required(tmp_path, monkeypatch, left_out, read_problem):
    """Each of the five names something that nothing else does."""
    monkeypatch.chdir(tmp_path)
    names = ["--run", "--topics", "--collection", "--model", "--output"]
    words = [word for name in names if name != left_out for word in (name, "X")]

    assert rerank(words) == 2
    assert left_out in read_problem()

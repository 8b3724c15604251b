"""The whole analysis of a real training run: figures, tables and files."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from evaluation.__main__ import main
from evaluation.negatives.findings import Settings
from evaluation.negatives.strategies import BM25, IN_BATCH, OWN, RANDOM, REFRESHED, STATIC

DEPTH = 10


@pytest.fixture(scope="module")
def analysed(world, trained, bm25_run, tmp_path_factory):
    """The output folder of the command, and its JSON."""
    output = tmp_path_factory.mktemp("reports") / "negatives"
    words = ["--checkpoint", str(trained), "--topics", world.topics("dev"), "--depth", str(DEPTH)]
    words += ["--bm25-run", str(bm25_run), "--num-topics", "12", "--device", "cpu"]
    words += ["--num-checkpoints", "3", "--precision", "fp32", "--output", str(output)]
    assert main(["negatives", *words]) == 0
    return output, json.loads((output / "negatives.json").read_text()), words


def find_top(world, checkpoint):
    """Rank all documents for the dev topics with NumPy; positives left out, and with them."""
    encoder = Encoder.load(str(checkpoint), device="cpu", precision="fp32")
    documents = list(Collection(world.collection))
    docids = [document.docid for document in documents]
    topics, qrels = read_topics(world.topics("dev")), read_qrels(world.qrels("dev"))
    scores = encoder.encode_queries([topic.text for topic in topics])
    scores = scores @ encoder.encode_documents(documents).T
    others, whole = {}, {}
    for topic, row in zip(topics, scores, strict=True):
        ranked = [docids[place] for place in np.argsort(-row, kind="stable")]
        whole[topic.qid] = ranked[:DEPTH]
        others[topic.qid] = [docid for docid in ranked if docid not in qrels[topic.qid]][:DEPTH]
    return others, whole


def share(lists, tops):
    shared = sum(len(set(lists[qid]) & set(tops[qid])) for qid in tops)
    return shared / sum(len(lists[qid]) for qid in tops)


def test_overlaps_are_those_of_plain_rankings(world, trained, bm25_run, analysed):
    """Static negatives are the first checkpoint's, refreshed ones those of the one before."""
    _, content, _ = analysed
    tops = {
        step: find_top(world, trained / "checkpoints" / f"step-{step:08d}") for step in (0, 30, 45)
    }
    hits = {qid: [hit.docid for hit in found] for qid, found in read_run(bm25_run).items()}
    positives = read_qrels(world.qrels("dev"))
    bm25 = {q: [d for d in found if d not in positives[q]][:DEPTH] for q, found in hits.items()}

    last = content["findings"][-1]

    overlaps = {name: found["overlap"] for name, found in last["strategies"].items()}
    near, whole = tops[45]
    assert last["label"] == "step 45"
    assert overlaps[STATIC] == pytest.approx(share(tops[0][0], near), abs=0.005)
    assert overlaps[REFRESHED] == pytest.approx(share(tops[30][0], near), abs=0.005)
    assert overlaps[OWN] == 1.0
    assert overlaps[BM25] == pytest.approx(share(bm25, near), abs=0.005)
    first_hits = {qid: found[:DEPTH] for qid, found in hits.items()}
    assert last["bm25_overlap"] == pytest.approx(share(whole, first_hits), abs=0.005)
    assert overlaps[RANDOM] == pytest.approx(DEPTH / 200, abs=0.04)
    assert overlaps[REFRESHED] > overlaps[STATIC] > overlaps[BM25]


def test_fresh_negatives_teach_most(analysed):
    """As figure 4 has it: losses and norms of random and BM25's negatives vanish with training."""
    _, content, _ = analysed

    told = {name: s["gradients"] for name, s in content["findings"][-1]["strategies"].items()}
    for name in (BM25, RANDOM, IN_BATCH):
        assert told[OWN]["loss"]["mean"] > 2 * told[name]["loss"]["mean"]
        assert told[OWN]["norms"]["all"]["mean"] > 2 * told[name]["norms"]["all"]["mean"]
    assert {found["num_triples"] for found in told.values()} == {12}


def test_first_checkpoint_has_none_before_it(analysed):
    """Static and refreshed negatives begin with the second."""
    _, content, _ = analysed

    assert [found["step"] for found in content["findings"]] == [0, 30, 45]
    assert set(content["findings"][0]["strategies"]) == {BM25, RANDOM, IN_BATCH, OWN}
    assert set(content["findings"][1]["strategies"]) >= {STATIC, REFRESHED}


def test_holes_and_logs_are_in_the_report(analysed):
    """One document of each topic is judged; the log's curves are those of the run."""
    _, content, _ = analysed

    for found in content["findings"]:
        assert found["measures"]["hole_rate@10"] >= 0.9
        assert found["measures"]["hole_rate@10"] + found["measures"]["judged@10"] == pytest.approx(
            1.0
        )
    steps = [event["step"] for event in content["logs"]["ance"] if event["event"] == "step"]
    assert steps == list(range(45))


def test_files_are_whole_and_need_nothing_else(analysed):
    """SVG that parses and loads nothing; Markdown with every checkpoint; no scratch left."""
    output, _, _ = analysed

    names = {"overlap.svg", "gradients.svg", "training.svg"}
    assert {path.name for path in output.glob("*.svg")} == names
    for name in names:
        links = [
            value
            for element in ET.parse(output / name).iter()
            for key, value in element.attrib.items()
            if key.endswith("href")
        ]
        assert all(link.startswith("#") for link in links)
    text = (output / "report.md").read_text()
    assert text.count("| ance, step 30 |") == 8  # one row of two tables, six of the other
    assert [path.name for path in output.parent.iterdir()] == ["negatives"]


def test_the_same_command_gives_the_same_numbers(analysed, capsys):
    """Draws depend on the seed alone; an output is replaced on request only."""
    output, content, words = analysed
    before = (output / "overlap.svg").read_bytes()

    assert main(["negatives", *words]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["negatives", *words, "--overwrite"]) == 0

    again = json.loads((output / "negatives.json").read_text())
    assert again["findings"] == content["findings"]
    assert (output / "overlap.svg").read_bytes() == before
    assert "ance, step 45" in capsys.readouterr().out


def test_a_pair_of_encoders_needs_no_training_run(world, trained, tmp_path):
    """The second is compared with what the first one finds; no log, no BM25."""
    pair = [world.init, str(trained / "checkpoints" / "step-00000015")]
    words = [word for name in pair for word in ("--checkpoint", name)]
    words += ["--topics", world.topics("dev"), "--qrels", world.qrels("dev"), "--depth", "5"]
    words += ["--collection", world.collection, "--num-topics", "2", "--device", "cpu"]

    assert main(["negatives", *words, "--output", f"{tmp_path}/out"]) == 0

    content = json.loads((tmp_path / "out" / "negatives.json").read_text())
    assert set(content["findings"][1]["strategies"]) == {RANDOM, IN_BATCH, STATIC, REFRESHED, OWN}
    assert content["findings"][1]["bm25_overlap"] is None
    assert content["logs"] == {}
    assert not (tmp_path / "out" / "training.svg").exists()


@pytest.mark.parametrize("field", ["depth", "num_topics", "batch_size", "seed"])
def test_settings_are_checked(field):
    """Each names itself."""
    with pytest.raises(ValueError, match=f"{field} must be at least"):
        Settings(**{field: -1})

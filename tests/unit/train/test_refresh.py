"""A refresh: which negatives it publishes, from where, and what it measures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ance_plugin import measures
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.layouts.folder import Parts
from ance_plugin.encode.layouts.own import save_own
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.train.candidates import with_candidates
from ance_plugin.train.findings import Findings
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.negatives.mining import Miner, MiningSettings
from ance_plugin.train.negatives.table import TABLE, read_negatives
from ance_plugin.train.refresh import DEV_RUN, Refresher, Task
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

NUM_NEGATIVES, DEPTH, NUM_TOPICS = 5, 20, 150


@pytest.fixture(scope="module")
def make_run(world, tmp_path_factory):
    """Return a function that makes a run's folder with a checkpoint, and its refresher."""

    def make(mix, *, dev=True, source=None, maxp=None, steps=(0,), topics=None, **refresh):
        splits = ("train", "dev") if dev else ("train",)
        names = [name(split) for split in splits for name in (world.topics, world.qrels)]
        data = Data(world.collection, *names, tokens=str(world.root / "tokens"), **source or {})
        if maxp:
            data = replace(data, tokens=None)
        if topics is not None:
            data = replace(data, topics=topics)
        overrides = {"max_document_tokens": 4, "pooling": "cls"} if maxp else {}
        settings = TrainSettings(
            data,
            Start(world.init, overrides=overrides, maxp=maxp),
            Optimization(num_steps=100, negatives_per_topic=1),
            MiningSettings(num_negatives=NUM_NEGATIVES, depth=DEPTH, mix=mix),
            Refresh(precision="fp32", device="cpu", dev_depth=10, **refresh),
        )
        folder = TrainingFolder(tmp_path_factory.mktemp("run"))
        checkpoint = load_checkpoint(world.init, **overrides)
        for step in steps:
            folder.checkpoint(step).mkdir(parents=True)
            parts = Parts(checkpoint.model, checkpoint.tokenizer, checkpoint.settings, None)
            save_own(parts, folder.checkpoint(step), {})
        encoder = Encoder(checkpoint, device="cpu", precision="fp32")
        inputs = with_candidates(settings, folder, Inputs.load(settings, folder, encoder))
        miner = Miner(inputs.corpus, inputs.qrels, settings.negatives, seed=0)
        return Refresher(folder, settings, inputs, miner), inputs, folder

    return make


@pytest.fixture(scope="module")
def ann(make_run):
    """A run with ANN negatives, and its first refresh."""
    refresher, inputs, folder = make_run({"ann": 1.0}, steps=(0, 10))
    return refresher, inputs, folder, refresher.run(Task(0, 0))


def read_metadata(path):
    return json.loads((path / "metadata.json").read_text())


def count_sources(path):
    """Count the negatives of each source, as the table itself has them."""
    sources = [source for row in read_negatives(path) for source in row.sources]
    return {source: sources.count(source) for source in sorted(set(sources))}


def search_by_hand(encoder, inputs, topics):
    """Rank the whole collection for each topic with one product of matrices."""
    documents = encoder.encode_tokens(
        [inputs.corpus.tokens(row).tolist() for row in range(inputs.corpus.num_documents)]
    )
    queries = encoder.encode_tokens([tokens.tolist() for tokens in topics.tokens])
    return queries @ documents.T


def test_same_checkpoint_gives_the_same_bytes(ann, make_run):
    """A killed refresh that is repeated publishes what it would have published."""
    path = ann[3]
    other, _, _ = make_run({"ann": 1.0})

    again = other.run(Task(0, 0))

    for name in (TABLE, DEV_RUN):
        assert (again / name).read_bytes() == (path / name).read_bytes()


def test_refresh_that_is_there_is_not_made_again(ann):
    """It is found, with whatever round is asked for; no vectors are left of it."""
    refresher, _, folder, path = ann
    stages = []

    assert refresher.run(Task(0, 7), on_stage=stages.append) == path
    assert stages == []
    assert read_metadata(path)["round"] == 0
    assert folder.steps_of_vectors() == []


def test_negatives_are_among_the_nearest(ann, encoder):
    """Each is one of the topic's 20 best documents, with its score and its rank there."""
    _, inputs, _, path = ann
    scores = search_by_hand(encoder, inputs, inputs.topics)
    order = np.argsort(-scores, axis=1)

    for topic, row in enumerate(read_negatives(path)):
        assert len(set(row.negatives)) == NUM_NEGATIVES
        for docid, score, rank in zip(row.negatives, row.scores, row.ranks, strict=True):
            document = inputs.corpus.rows[docid]
            assert document in order[topic, : DEPTH + 1]
            assert score == pytest.approx(float(scores[topic, document]), abs=1e-3)
            assert 1 <= rank <= DEPTH
        (positive,) = inputs.topics.positives[topic]
        assert row.positive_scores[0] == pytest.approx(float(scores[topic, positive]), abs=1e-3)


@pytest.mark.parametrize("mix", [{"ann": 1.0}, {"bm25": 1.0}, {"random": 1.0}], ids=str)
def test_positive_is_never_a_negative(make_run, world, mix):
    """Whatever the source; every topic gets its number of negatives, all from there."""
    source = {"bm25_negatives": world.bm25} if "bm25" in mix else None
    refresher, inputs, _ = make_run(mix, source=source, dev=False)

    path = refresher.run(Task(0, 0))

    qrels = read_qrels(world.qrels("train"))
    table = read_negatives(path)
    assert table.qids == [topic.qid for topic in inputs.topics.topics]
    assert len(table) == NUM_TOPICS
    assert not any(set(row.negatives) & qrels[row.qid].keys() for row in table)
    assert count_sources(path) == {next(iter(mix)): NUM_TOPICS * NUM_NEGATIVES}
    assert read_metadata(path)["num_negatives"] == count_sources(path)


def test_mix_divides_the_negatives(make_run, world):
    """Of five negatives with shares 2, 2 and 1 each topic has two, two and one."""
    mix = {"ann": 0.4, "bm25": 0.4, "random": 0.2}
    refresher, _, _ = make_run(mix, source={"bm25_negatives": world.bm25}, dev=False)

    path = refresher.run(Task(0, 0))

    expected = {"ann": 2, "bm25": 2, "random": 1}
    assert all(
        {source: row.sources.count(source) for source in expected} == expected
        for row in read_negatives(path)
    )


def test_triples_are_a_source(make_run, world, tmp_path):
    """MS MARCO's file of ids is read once; its documents are the candidates of ``bm25``."""
    lines = [
        f"q{cluster}-{member}\td{cluster}-{member}\td{cluster}-{(member + offset) % 20}\n"
        for cluster in range(10)
        for member in range(20)
        for offset in range(1, 7)
    ]
    trained = {topic.qid for topic in read_topics(world.topics("train"))}
    kept = [line for line in lines if line.split("\t")[0] in trained]
    (tmp_path / "qidpidtriples.tsv").write_text("".join(kept))
    triples = {"triples": str(tmp_path / "qidpidtriples.tsv")}
    refresher, _, folder = make_run({"bm25": 1.0}, source=triples, dev=False)

    path = refresher.run(Task(0, 0))

    assert folder.bm25_negatives.is_dir()
    for row in read_negatives(path):
        cluster, member = row.qid[1:].split("-")
        near = {f"d{cluster}-{(int(member) + offset) % 20}" for offset in range(1, 7)}
        assert set(row.negatives) < near
        assert len(row.negatives) == NUM_NEGATIVES


def test_nothing_is_encoded_where_nothing_is_searched(make_run, world):
    """With BM25 negatives and no dev topics the encoder is not even loaded."""
    refresher, _, folder = make_run(
        {"bm25": 1.0}, source={"bm25_negatives": world.bm25}, dev=False, steps=()
    )
    stages = []

    path = refresher.run(Task(0, 0), on_stage=stages.append)

    assert not refresher.needs_vectors
    assert stages == ["mine"]
    assert sorted(file.name for file in path.iterdir()) == ["metadata.json", TABLE]
    assert {"dev", "overlap", "margins"}.isdisjoint(read_metadata(path))
    assert folder.steps_of_vectors() == []


def test_measures_are_those_of_the_dev_run(ann, world, encoder):
    """What is published agrees with evaluating the published file, and with ranking by hand."""
    _, inputs, _, path = ann
    run, qrels = read_run(path / DEV_RUN), read_qrels(world.qrels("dev"))

    found = read_metadata(path)["dev"]

    assert found == measures.means(run, qrels, ["ndcg@10", "mrr@10", "recall@10"])
    scores = search_by_hand(encoder, inputs, inputs.dev)
    ranks = []
    for topic, row in zip(inputs.dev.topics, scores, strict=True):
        positive = inputs.corpus.rows[f"d{topic.qid[1:]}"]
        ranks.append(1 + int((row > row[positive]).sum()))
    reciprocal = [1 / rank if rank <= 10 else 0.0 for rank in ranks]
    assert found["mrr@10"] == pytest.approx(sum(reciprocal) / len(reciprocal), abs=1e-6)


def test_other_measure_is_measured_too(make_run):
    """The one that checkpoints are compared by stands beside the usual ones."""
    refresher, _, _ = make_run({"random": 1.0}, dev_measure="map@5")

    assert list(read_metadata(refresher.run(Task(0, 0)))["dev"]) == [
        *("map@5", "ndcg@10", "mrr@10", "recall@10")
    ]


def test_dev_alone_mines_nothing(ann):
    """After the last step there is a dev run and no table, measured against those in use."""
    refresher, _, _, previous = ann

    path = refresher.run(Task(10, 1, mines=False, previous=previous))

    assert not (path / TABLE).exists()
    assert read_metadata(path)["dev"] == read_metadata(previous)["dev"]  # the same checkpoint
    assert 0 < read_metadata(path)["overlap"] <= 1


def test_overlap_is_the_share_of_negatives_that_search_returns(make_run, world, encoder):
    """Counted by hand, over BM25's negatives and the 20 best documents of each topic."""
    refresher, inputs, _ = make_run({"bm25": 1.0}, source={"bm25_negatives": world.bm25})

    path = refresher.run(Task(0, 0))

    order = np.argsort(-search_by_hand(encoder, inputs, inputs.topics), axis=1)[:, :DEPTH]
    shared = sum(
        inputs.corpus.rows[docid] in order[topic]
        for topic, row in enumerate(read_negatives(path))
        for docid in row.negatives
    )
    assert read_metadata(path)["overlap"] == pytest.approx(shared / (NUM_TOPICS * NUM_NEGATIVES))


def test_share_renews_the_topics_that_are_due(make_run):
    """With a share of 0.25 each fourth topic is mined anew; others keep their rows."""
    refresher, inputs, _ = make_run({"ann": 1.0}, steps=(0, 10, 20), refresh_share=0.25)
    paths = [refresher.run(Task(0, 0))]
    for number in (1, 2):
        paths.append(refresher.run(Task(10 * number, number, previous=paths[-1])))
    tables = [list(read_negatives(path)) for path in paths]

    assert all((row.round, row.step) == (0, 0) for row in tables[0])
    for number in (1, 2):
        for topic, row in enumerate(tables[number]):
            if topic % 4 == number:
                assert (row.round, row.step) == (number, 10 * number)
                assert row.negatives != tables[number - 1][topic].negatives
            else:
                assert row == tables[number - 1][topic]
        assert len(tables[number]) == len(inputs.topics)


@pytest.mark.parametrize("dev", [True, False], ids=["dev", "no dev"])
def test_share_without_a_due_topic_changes_nothing(make_run, world, tmp_path, dev):
    """Of two topics a share of 0.25 is none in two rounds of four."""
    lines = Path(world.topics("train")).read_text().splitlines(keepends=True)[:2]
    (tmp_path / "two.tsv").write_text("".join(lines))
    refresher, _, _ = make_run(
        {"ann": 1.0}, steps=(0, 10), refresh_share=0.25, topics=str(tmp_path / "two.tsv"), dev=dev
    )
    first = refresher.run(Task(0, 0))

    second = refresher.run(Task(10, 2, previous=first))

    assert list(read_negatives(second)) == list(read_negatives(first))
    assert ("dev" in read_metadata(second)) == dev


def test_long_documents_are_searched_by_their_best_chunk(make_run):
    """With MaxP negatives are documents of the collection, no chunks."""
    refresher, inputs, _ = make_run({"ann": 1.0}, maxp="chunks")

    path = refresher.run(Task(0, 0))

    docids = {docid for row in read_negatives(path) for docid in row.negatives}
    assert docids <= inputs.corpus.rows.keys()
    assert count_sources(path) == {"ann": NUM_TOPICS * NUM_NEGATIVES}


def test_refresher_computes_where_the_trainer_does(make_run, monkeypatch):
    """Unless --refresh-device says otherwise."""
    refresher, inputs, folder = make_run({"ann": 1.0})
    settings, devices = refresher._settings, []

    def load(name, *, device, precision):
        devices.append(device)
        raise KeyboardInterrupt

    monkeypatch.setattr(Encoder, "load", load)
    for named in ("cuda:1", None):
        changed = replace(settings, refresh=replace(settings.refresh, device=named))
        other = Refresher(folder, changed, inputs, refresher._miner, device="cuda:3")
        with pytest.raises(KeyboardInterrupt):
            other.run(Task(0, 0))

    assert devices == ["cuda:1", "cuda:3"]


def test_findings_of_nothing(ann):
    """Where nothing was searched there are neither hits nor scores."""
    found = Findings()

    assert found.list_candidates(0, ann[1]) is None
    assert found.score_positives(0, ann[1]) is None
    assert found.score_others(ann[1]) == []

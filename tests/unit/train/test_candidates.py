"""BM25 candidates of a run: given, or made once and kept in its folder."""

import pytest

from ance_plugin.errors import MismatchError
from ance_plugin.train.candidates import load_candidates, with_candidates
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.negatives.table import write_negatives
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings


@pytest.fixture
def folder(tmp_path):
    return TrainingFolder(tmp_path / "run")


@pytest.fixture
def make(world):
    """Return a function that makes the settings of a run with a source of BM25 negatives."""

    def make(*, depth=9, **source):
        return TrainSettings(
            Data(
                world.collection,
                world.topics("train"),
                world.qrels("train"),
                tokens=str(world.root / "input-tokens"),
                **source,
            ),
            Start(world.init),
            Optimization(negatives_per_topic=1),
            MiningSettings(num_negatives=3, depth=depth, mix={"bm25" if source else "ann": 1.0}),
            Refresh(),
        )

    return make


@pytest.fixture
def inputs(make, folder, encoder):
    return Inputs.load(make(), folder, encoder)


def test_run_without_a_source_has_none(make, folder, inputs):
    """Nothing is read or made."""
    assert load_candidates(make(), folder, inputs) is None
    assert not folder.bm25_negatives.exists()


def test_artifact_is_read_where_it_stands(make, folder, inputs, world):
    """It is neither copied nor cut."""
    found = with_candidates(make(bm25_negatives=world.bm25), folder, inputs).bm25

    assert len(found) == 150
    assert len(found.by_qid(inputs.topics.topics[0].qid).negatives) == 20
    assert not folder.bm25_negatives.exists()


def test_triples_are_kept_to_the_full_depth(make, folder, inputs, tmp_path):
    """They are read once; refreshes and resumed runs find them in the folder."""
    file = tmp_path / "triples.tsv"
    qids = [topic.qid for topic in inputs.topics.topics]
    lines = [
        f"{qid}\td{qid[1:]}\td{qid[1:].split('-')[0]}-{member}\n"
        for qid in qids
        for member in range(20)
        if f"q{qid[1:].split('-')[0]}-{member}" != qid
    ]
    file.write_text("".join(lines))
    settings = make(depth=7, triples=str(file))
    first = load_candidates(settings, folder, inputs)
    file.unlink()

    second = load_candidates(settings, folder, inputs)

    assert list(first) == list(second)
    assert {len(row.negatives) for row in first} == {7}
    assert {source for row in first for source in row.sources} == {"triples"}


@pytest.mark.parametrize(
    ("qid", "source"), [("q0-0", "random"), ("other", "bm25")], ids=["random", "other topics"]
)
def test_artifact_without_a_use_is_refused(make, folder, inputs, tmp_path, qid, source):
    """One of other topics or sources would leave every topic to random negatives."""
    qid = inputs.topics.topics[0].qid if qid == "q0-0" else qid
    row = TopicNegatives(qid, ("d0-0",), (None,), ("d1-1",), (None,), (None,), (source,))
    write_negatives(tmp_path / "negatives", [row], {})

    with pytest.raises(MismatchError, match="has no BM25 negatives for any of the 150"):
        load_candidates(make(bm25_negatives=str(tmp_path / "negatives")), folder, inputs)


def test_artifact_of_another_collection_is_refused(make, folder, inputs, tmp_path):
    """Its docids may be the same, as many collections number theirs; its texts are not."""
    qid = inputs.topics.topics[0].qid
    row = TopicNegatives(qid, ("d0-0",), (None,), ("d1-1",), (None,), (None,), ("bm25",))
    own = inputs.corpus.metadata["collection"]
    for name, collection in (("own", own), ("other", {**own, "name": "X", "sha256": "0" * 64})):
        write_negatives(tmp_path / name, [row], {"collection": collection})

    found = load_candidates(make(bm25_negatives=str(tmp_path / "own")), folder, inputs)

    assert found.qids == [qid]
    with pytest.raises(MismatchError, match=r"was mined from X, .* mine negatives from this"):
        load_candidates(make(bm25_negatives=str(tmp_path / "other")), folder, inputs)

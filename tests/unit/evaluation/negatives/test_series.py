"""Which checkpoints a command line means, and where the rest of its inputs come from."""

import shutil

import pytest

from ance_plugin.encode.checkpoint import hash_weights
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.index.__main__ import main as index
from evaluation.negatives.inputs import Names, load_inputs
from evaluation.negatives.series import list_series


def test_a_run_is_a_series_of_its_checkpoints(trained):
    """Oldest first; some of them, spread, where fewer are asked for."""
    (series,) = list_series([str(trained)])

    assert series.name == "ance"
    assert [point.step for point in series.points] == [0, 15, 30, 45]
    assert [point.label for point in series.points][1] == "step 15"
    for count, steps in {1: [45], 2: [0, 45], 3: [0, 30, 45], 9: [0, 15, 30, 45]}.items():
        (some,) = list_series([str(trained)], num_checkpoints=count)
        assert [point.step for point in some.points] == steps


def test_a_dropped_start_is_made_again(trained, tmp_path):
    """Runs keep few checkpoints; what they started from has the weights of step 0."""
    shutil.copytree(trained, tmp_path / "run")
    first = list_series([str(trained)])[0].points[0].load()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000000")

    (series,) = list_series([str(tmp_path / "run")])

    assert [point.step for point in series.points] == [0, 15, 30, 45]
    assert hash_weights(series.points[0].load().model) == hash_weights(first.model)


def test_other_checkpoints_are_one_series(trained, world, tiny_checkpoint):
    """In the order given, after the training runs."""
    found = list_series([world.init, str(trained), str(tiny_checkpoint)])

    assert [series.name for series in found] == ["ance", "checkpoints"]
    assert [point.label for point in found[1].points] == [world.init, str(tiny_checkpoint)]
    assert found[1].settings is None
    assert not found[0].is_chunked


def test_wrong_checkpoints_are_refused(trained, tmp_path):
    """Before anything is loaded."""
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")

    with pytest.raises(ArtifactError, match="has no checkpoint yet"):
        list_series([str(tmp_path / "run")])
    with pytest.raises(FileNotFoundError):
        list_series([str(tmp_path / "nothing")])
    with pytest.raises(ValueError, match="named twice"):
        list_series([str(trained), str(trained)])
    with pytest.raises(ValueError, match="num_checkpoints"):
        list_series([str(trained)], num_checkpoints=0)


def test_a_run_says_what_is_not_named(trained, world, bm25_run):
    """Its collection, and the judgments of its dev topics."""
    series = list_series([str(trained)])

    found = load_inputs(Names(world.topics("dev"), bm25_run=str(bm25_run)), series, depth=5)

    assert found.names.collection == world.collection
    assert found.names.qrels == world.qrels("dev")
    assert len(found.topics) == len(found.qrels) == len(found.bm25) == 50
    assert load_inputs(Names(world.topics("dev")), series, depth=5).bm25 is None


@pytest.mark.java
def test_bm25_searches_the_index(world, trained, tmp_path):
    """To the depth asked for; the topics' fillers are all that documents share with them."""
    index_dir = str(tmp_path / "index")
    assert index(["bm25", "--collection", world.collection, "--output", index_dir]) == 0
    names = Names(world.topics("dev"), sparse_index=index_dir)

    found = load_inputs(names, list_series([str(trained)]), depth=7)

    assert list(found.bm25) == [topic.qid for topic in found.topics]
    assert {len(hits) for hits in found.bm25.values()} == {7}


def test_wrong_inputs_are_refused(trained, world, bm25_run, tmp_path):
    """Each with what to give."""
    series, plain = list_series([str(trained)]), list_series([world.init])
    dev, train = world.topics("dev"), world.topics("train")

    with pytest.raises(ValueError, match="give --collection"):
        load_inputs(Names(dev, world.qrels("dev")), plain, depth=5)
    with pytest.raises(MismatchError, match="judges none of the 50 topics"):
        load_inputs(Names(dev, world.qrels("train")), series, depth=5)
    names = Names(train, world.qrels("train"), bm25_run=str(bm25_run))
    with pytest.raises(MismatchError, match="has none of the topics"):
        load_inputs(names, series, depth=5)
    with pytest.raises(ValueError, match="one of --sparse-index and --bm25-run"):
        Names(dev, sparse_index="a", bm25_run="b")
    with pytest.raises(FileNotFoundError, match="expected a Lucene index"):
        load_inputs(Names(dev, sparse_index=str(tmp_path / "none")), series, depth=5)

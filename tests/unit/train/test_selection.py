"""Which checkpoint stands for a run, which are kept, and what a resumed run knows of it."""

import json

import pytest

from ance_plugin import artifacts
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import CHECKPOINT, REFRESH, STATE, TrainingFolder
from ance_plugin.train.selection import Selection
from ance_plugin.train.settings import Refresh


@pytest.fixture
def folder(tmp_path):
    return TrainingFolder(tmp_path)


@pytest.fixture
def make(folder):
    """Return a function that makes the selection of a run."""

    def make(*, has_dev=True, writes=True, **settings):
        return Selection(folder, Refresh(**settings), has_dev=has_dev, writes=writes)

    return make


def add_checkpoint(folder, selection, step):
    """Publish a checkpoint as the trainer does."""
    with artifacts.new_directory(folder.checkpoint(step)) as staging:
        artifacts.seal(staging, CHECKPOINT, {})
    selection.add_checkpoint(step)


def add_refresh(folder, selection, step, **dev):
    """Publish a refresh and count it."""
    with artifacts.new_directory(folder.refresh(step)) as staging:
        artifacts.seal(staging, REFRESH, {"step": step, "dev": dev} if dev else {"step": step})
    return selection.add_refresh(step)


def add_state(folder, step, refresh):
    """Write the part of a state that says how far the run had come."""
    with artifacts.new_directory(folder.state(step)) as staging:
        content = {"progress": {"step": step, "refresh": refresh, "round": 1}}
        artifacts.seal(staging, STATE, content)


def measure(folder, selection, values):
    """Publish checkpoints and refreshes with these values of nDCG@10."""
    for step, value in values.items():
        add_checkpoint(folder, selection, step)
        add_refresh(folder, selection, step, **{"ndcg@10": value, "mrr@10": 1 - value})


def test_best_is_the_highest_and_the_earlier_of_equals(folder, make):
    """The measure is the one that was named; best.json has what was measured."""
    selection = make()
    measure(folder, selection, {0: 0.1, 10: 0.6, 20: 0.6, 30: 0.5})

    assert selection.best == 10
    content = json.loads(folder.best.read_text())
    assert (content["step"], content["measure"]) == (10, "ndcg@10")
    assert content["measured"] == {"0": 0.1, "10": 0.6, "20": 0.6, "30": 0.5}
    assert find_checkpoint(str(folder.path)) == folder.checkpoint(10)


def test_measure_is_the_one_that_was_named(folder, make):
    """Another measure chooses another checkpoint."""
    selection = make(dev_measure="mrr@10")
    measure(folder, selection, {0: 0.1, 10: 0.6})

    assert selection.best == 0


def test_first_checkpoint_stands_until_one_is_measured(folder, make):
    """The folder can be used while the first refresh is made; later ones wait for theirs."""
    selection = make()
    add_checkpoint(folder, selection, 0)
    assert selection.best is None
    assert find_checkpoint(str(folder.path)) == folder.checkpoint(0)

    add_refresh(folder, selection, 0, **{"ndcg@10": 0.2})
    add_checkpoint(folder, selection, 10)

    assert find_checkpoint(str(folder.path)) == folder.checkpoint(0)


def test_without_dev_topics_the_newest_is_the_best(folder, make):
    """Refreshes measure nothing then, and patience never ends."""
    selection = make(has_dev=False, patience=1)
    for step in (0, 10, 20):
        add_checkpoint(folder, selection, step)
        add_refresh(folder, selection, step)

    assert selection.best == 20
    assert not selection.is_patience_spent
    assert json.loads(folder.best.read_text())["measure"] is None
    assert find_checkpoint(str(folder.path)) == folder.checkpoint(20)


def test_patience_counts_refreshes_without_a_better_one(folder, make):
    """An equal measure is no better one; a better one begins the count anew."""
    selection, spent = make(patience=2), []
    for step, value in {0: 0.5, 10: 0.5, 20: 0.6, 30: 0.1, 40: 0.6}.items():
        measure(folder, selection, {step: value})
        spent.append(selection.is_patience_spent)

    assert spent == [False, False, False, False, True]


def test_no_patience_never_ends(folder, make):
    """Without --patience training goes on to its last step."""
    selection = make()
    measure(folder, selection, {step: 1 - step / 100 for step in range(0, 60, 10)})

    assert not selection.is_patience_spent


def test_best_newest_and_those_in_use_are_kept(folder, make):
    """What is older than the negatives in use goes, but for the best and the newest."""
    selection = make(keep_checkpoints=2)
    measure(folder, selection, {0: 0.1, 10: 0.9, 20: 0.2, 30: 0.3, 40: 0.4, 50: 0.5})

    selection.remove_old(in_use=30)

    assert folder.steps(CHECKPOINT) == folder.steps(REFRESH) == [10, 30, 40, 50]
    selection.remove_old(in_use=50)
    assert folder.steps(CHECKPOINT) == folder.steps(REFRESH) == [10, 40, 50]


def test_negatives_of_the_newest_state_are_kept(folder, make):
    """A run that is killed goes on from its state, with the negatives it had in use then."""
    selection = make(keep_checkpoints=1)
    measure(folder, selection, {0: 0.1, 10: 0.2, 20: 0.3})
    add_state(folder, 20, refresh=10)

    selection.remove_old(in_use=20)

    assert folder.steps(REFRESH) == [10, 20]


def test_other_ranks_touch_no_file(folder, make):
    """They know the same best, and leave the files to the first."""
    writer, reader = make(keep_checkpoints=1), make(keep_checkpoints=1, writes=False)
    measure(folder, writer, {0: 0.1, 10: 0.2})
    before = folder.best.read_text()
    for step in (0, 10):
        reader.add_checkpoint(step)
        reader.add_refresh(step)

    reader.remove_old(in_use=10)
    reader.restore(0)

    assert folder.steps(CHECKPOINT) == [0, 10]
    assert folder.best.read_text() == before
    assert reader.best == 0


def test_restore_drops_what_is_later_than_the_state(folder, make):
    """Checkpoints, refreshes, measures and vectors that the resumed run will make again."""
    measure(folder, make(), {0: 0.3, 10: 0.2, 20: 0.9})
    for name in (
        "step-00000010.vectors",
        "step-00000020.vectors",
        ".step-00000030.vectors.partial",
    ):
        (folder.path / "refreshes" / name).mkdir()

    selection = make()
    selection.restore(10)

    assert selection.best == 0
    assert folder.steps(CHECKPOINT) == folder.steps(REFRESH) == [0, 10]
    assert folder.steps_of_vectors() == [10]
    assert json.loads(folder.best.read_text())["measured"] == {"0": 0.3, "10": 0.2}


def test_restore_of_nothing_measured(folder, make):
    """A pointer to a checkpoint that is dropped is dropped with it."""
    add_checkpoint(folder, make(), 20)

    selection = make()
    selection.restore(10)

    assert selection.best is None
    assert not folder.best.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "is not valid JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "names no checkpoint of this folder, but None"),
        ('{"checkpoint": 3}', "but 3"),
        ('{"checkpoint": "checkpoints/gone"}', "but 'checkpoints/gone'"),
        ('{"checkpoint": "../other"}', "names a folder outside of its own"),
    ],
)
def test_pointer_that_leads_nowhere_is_damaged(folder, content, found):
    """A training folder whose best.json is damaged, or points elsewhere, is no encoder."""
    (folder.path.parent / "other").mkdir(exist_ok=True)
    folder.best.write_text(content)

    with pytest.raises(ArtifactError, match=found):
        find_checkpoint(str(folder.path))

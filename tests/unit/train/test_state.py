"""The trainer's state: weights and moments come back bit for bit, or an error says why not."""

import pytest
import torch
from torch import nn

from ance_plugin.errors import ArtifactError
from ance_plugin.train.folder import STATE, TrainingFolder
from ance_plugin.train.state import Progress, find_state, load_state, save_state


def make(width=4, *, seed=0):
    """Make a model that has taken two steps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        step(model, optimizer)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(1, model.in_features)).square().sum().backward()
    optimizer.step()


@pytest.fixture
def folder(tmp_path):
    return TrainingFolder(tmp_path)


def test_state_comes_back(folder):
    """A model that was loaded takes the very steps that the saved one takes."""
    model, optimizer = make()
    save_state(folder, Progress(40, 20, 3), model, optimizer)
    other, moments = make(seed=1)

    progress = find_state(folder)
    load_state(folder, progress.step, other, moments)

    assert progress == Progress(40, 20, 3)
    for _ in range(3):
        step(model, optimizer)
        step(other, moments)
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.bias, other.bias)


def test_run_that_saved_nothing_has_no_state(folder):
    """It begins at step 0, without negatives."""
    assert find_state(folder) is None
    assert Progress() == Progress(step=0, refresh=None, round=0)


def test_newest_state_alone_is_kept(folder):
    """A state is as large as the model three times over."""
    model, optimizer = make()
    for number in (10, 20, 30):
        save_state(folder, Progress(number), model, optimizer)

    assert folder.steps(STATE) == [30]
    assert find_state(folder).step == 30


def test_state_of_a_step_is_replaced(folder):
    """Progress may have changed while the step was the same."""
    model, optimizer = make()
    save_state(folder, Progress(10), model, optimizer)
    save_state(folder, Progress(10, refresh=10, round=1), model, optimizer)

    assert find_state(folder) == Progress(10, refresh=10, round=1)


def test_damaged_weights_are_refused(folder):
    """A byte that changed is noticed, also where the size is the same."""
    model, optimizer = make()
    save_state(folder, Progress(10), model, optimizer)
    path = folder.state(10) / "state.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ArtifactError, match=r"state\.pt: content has changed"):
        load_state(folder, 10, model, optimizer)


def test_state_that_cannot_be_written_names_its_path(folder, monkeypatch):
    """PyTorch says RuntimeError of a full disk; the state before it stays, and nothing half."""
    model, optimizer = make()
    save_state(folder, Progress(10), model, optimizer)

    def fail(content, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=r"states/step-00000020: cannot be written; is the disk full"):
        save_state(folder, Progress(20), model, optimizer)

    assert folder.steps(STATE) == [10]
    assert [path.name for path in (folder.path / "states").iterdir()] == ["step-00000010"]


@pytest.mark.parametrize("change", [('"progress"', '"other"'), ('"round"', '"rounds"')])
def test_state_that_does_not_say_how_far_is_damaged(folder, change):
    """Metadata of another shape is not guessed at."""
    save_state(folder, Progress(10), *make())
    path = folder.state(10) / "metadata.json"
    path.write_text(path.read_text().replace(*change))

    with pytest.raises(ArtifactError, match="does not say how far the run had come"):
        find_state(folder)


def test_state_of_another_model_is_refused(folder):
    """Weights of other shapes are not put into a model."""
    save_state(folder, Progress(10), *make(width=4))

    with pytest.raises(ArtifactError, match="is not a state of this model"):
        load_state(folder, 10, *make(width=5))

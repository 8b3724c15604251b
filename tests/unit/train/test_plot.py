"""Figures of runs: their points are those of the log."""

import pytest

from ance_plugin import artifacts
from ance_plugin.errors import FormatError
from ance_plugin.train import plot as module
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.log import TrainingLog, read_log
from ance_plugin.train.plot import plot


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes the folder of a run that has logged some steps."""

    def make(name, *, num_steps=3):
        folder = TrainingFolder(tmp_path / name)
        artifacts.write_json(folder.settings, {"format_version": 1, "settings": {}})
        log = TrainingLog(folder, first_step=0, num_steps=num_steps)
        log.write("refresh", 0, {"dev": {"mrr@10": 0.5}, "margins": {}, "overlap": None})
        for step in range(num_steps):
            norms = {"all": 1.0, "lower": 0.1, "middle": 0.2, "upper": 0.3}
            values = {"loss": float("nan") if step == 1 else 2.0 * step, "staleness": step}
            log.write("step", step, {**values, "gradient_norm": norms})
        log.close()
        return folder.path

    return make


@pytest.mark.parametrize("name", ["plot.png", "plot.svg", "plot.pdf"])
def test_figure_is_of_the_kind_that_its_ending_names(make_run, tmp_path, name):
    """One or more runs; the folder is made."""
    output = tmp_path / "figures" / name

    plot([make_run("one"), make_run("two")], output)

    assert output.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")


def test_points_are_those_of_the_log(make_run):
    """What is no number is left out, whatever else the event has."""
    events = read_log(TrainingFolder(make_run("run")))

    assert list(module._read(events, "step", ("loss",))) == [(0, 0.0), (2, 4.0)]
    assert list(module._read(events, "step", ("gradient_norm", "upper"))) == [
        *((0, 0.3), (1, 0.3), (2, 0.3))
    ]
    assert list(module._read(events, "refresh", ("overlap",))) == []
    assert list(module._read(events, "refresh", ("margins", "share_won"))) == []
    assert module._list_panels(events)[0][0] == "dev mrr@10"


def test_loss_is_the_mean_of_the_last_25_steps():
    """The first points are the mean of what there is."""
    values = [float(number) for number in range(30)]

    found = module._smooth(values)

    assert found[:3] == [0.0, 0.5, 1.0]
    assert found[29] == pytest.approx(sum(range(5, 30)) / 25)
    assert len(found) == 30


def test_run_that_has_logged_nothing(make_run, tmp_path):
    """There is nothing to draw yet."""
    folder = make_run("run")
    (folder / "log.jsonl").write_text("")

    with pytest.raises(FormatError, match="has no events yet; train first"):
        plot([folder], tmp_path / "plot.png")

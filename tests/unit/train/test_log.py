"""The log of a run: a line an event, what a killed run wrote too much of dropped."""

import importlib.util
import json
import logging
import math
import sys
import types

import pytest

from ance_plugin.train import log as module
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.log import TrainingLog, read_log


@pytest.fixture
def folder(tmp_path):
    return TrainingFolder(tmp_path)


def write(folder, steps, *, first_step=0):
    """Log a step each, as a run that begins with the first one does."""
    log = TrainingLog(folder, first_step=first_step, num_steps=100)
    for step in steps:
        log.write("step", step, {"loss": step / 10})
    log.close()


def test_events_come_back(folder):
    """Event, step and values, in the order in which they were written."""
    log = TrainingLog(folder, first_step=0, num_steps=2)
    log.write("refresh", 0, {"dev": {"ndcg@10": 0.5}})
    log.write("step", 0, {"loss": 1.5})
    log.close()

    assert read_log(folder) == [
        {"event": "refresh", "step": 0, "dev": {"ndcg@10": 0.5}},
        {"event": "step", "step": 0, "loss": 1.5},
    ]


def test_log_is_strict_json(folder):
    """What is no number is null, at any depth: other readers than Python's stop at NaN."""

    def refuse(word):
        raise AssertionError(word)

    log = TrainingLog(folder, first_step=0, num_steps=1)
    log.write("step", 0, {"margin": math.nan, "gradient_norm": {"all": math.inf, "head": 2.0}})
    log.close()

    (line,) = folder.log.read_text().splitlines()
    found = json.loads(line, parse_constant=refuse)
    assert (found["margin"], found["gradient_norm"]) == (None, {"all": None, "head": 2.0})


def test_event_can_be_read_at_once(folder):
    """Whoever watches a run sees each step as it ends."""
    log = TrainingLog(folder, first_step=0, num_steps=2)
    log.write("step", 0, {"loss": 1.5})

    assert len(read_log(folder)) == 1
    log.close()


def test_resumed_run_drops_what_it_will_write_again(folder):
    """Lines from its first step on; earlier ones are kept."""
    write(folder, range(5))
    write(folder, [3, 4, 5], first_step=3)

    assert [event["step"] for event in read_log(folder)] == [0, 1, 2, 3, 4, 5]


def test_new_run_begins_with_nothing(folder):
    """A run that was killed before its first state starts over, and so does its log."""
    write(folder, range(5))
    write(folder, [0])

    assert [event["step"] for event in read_log(folder)] == [0]


@pytest.mark.parametrize("end", ['{"event": "st', '{"event": "step"}\n', "3\n", '{"step": "x"}\n'])
def test_half_a_line_is_ignored(folder, end):
    """What a killed run did not finish is no event, and no obstacle to the next line."""
    write(folder, range(2))
    with folder.log.open("a") as file:
        file.write(end)

    assert [event["step"] for event in read_log(folder)] == [0, 1]
    write(folder, [2], first_step=2)
    assert [event["step"] for event in read_log(folder)] == [0, 1, 2]
    assert [json.loads(line)["step"] for line in folder.log.read_text().splitlines()] == [0, 1, 2]


def test_there_may_be_no_log(folder):
    """A run that has not begun has no events."""
    assert read_log(folder) == []


def test_progress_is_shown_now_and_then(folder, caplog, monkeypatch):
    """A line with step, values, speed and the time that is left, 20 seconds after the last."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = TrainingLog(folder, first_step=10, num_steps=100)
    with caplog.at_level(logging.INFO):
        for step in range(10, 20):
            now[0] += 4.0
            log.show(step, {"loss": 0.25})
    log.close()

    # Steps 15 and 20 of 100; 5 and 10 steps in 20 and 40 s; 85 and 80 steps left of 4 s each.
    assert [record.getMessage() for record in caplog.records] == [
        "step 15 of 100: loss 0.25  (0.25 steps/s, 5 min 40 s left)",
        "step 20 of 100: loss 0.25  (0.25 steps/s, 5 min 20 s left)",
    ]


def test_tensorboard_gets_the_numbers_where_it_is_installed(folder, monkeypatch):
    """Names are paths; what is no number stays in the log alone; steps that come again go."""
    written = []

    class Writer:
        def __init__(self, path, purge_step):
            written.append((path, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    board = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    log = TrainingLog(folder, first_step=3, num_steps=9)
    log.write("refresh", 3, {"dev": {"ndcg@10": 0.5}, "is_over": True, "name": "x"})
    log.close()

    path = str(folder.path / "tensorboard")
    assert written == [(path, 3), ("refresh/dev/ndcg@10", 0.5, 3), "closed"]


def test_tensorboard_may_be_missing(folder, monkeypatch):
    """The log has everything; there is no folder for a board."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda n: None if n == "tensorboard" else found(n)
    )
    write(folder, [0])

    assert [path.name for path in folder.path.iterdir()] == ["log.jsonl"]

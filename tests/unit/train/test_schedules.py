"""When negatives are made anew: between steps, from beside, once; and when training waits."""

import logging

import pytest
import torch

from ance_plugin import artifacts
from ance_plugin.train import schedules
from ance_plugin.train.folder import REFRESH, TrainingFolder
from ance_plugin.train.ranks import Ranks
from ance_plugin.train.schedules import Beside, InProcess, follow
from ance_plugin.train.settings import Refresh
from ance_plugin.train.state import Progress
from ance_plugin.train.supervisor import RefresherError

NUM_STEPS = 10


class Refresher:
    """Publishes refreshes without making them."""

    needs_vectors = True

    def __init__(self, folder, *, has_dev=True):
        self.folder, self.has_dev, self.tasks = folder, has_dev, []

    def run(self, task):
        self.tasks.append(task)
        publish(self.folder, task.step)


class Supervisor:
    """Counts what is asked of it."""

    def __init__(self, then=lambda: None):
        self.calls, self._then = [], then

    def start(self):
        self.calls.append("start")

    def check(self):
        self.calls.append("check")
        self._then()

    def stop(self):
        self.calls.append("stop")


def publish(folder, step):
    if not folder.refresh(step).exists():
        with artifacts.new_directory(folder.refresh(step)) as staging:
            artifacts.seal(staging, REFRESH, {"step": step})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(schedules, "_SECONDS_BETWEEN_LOOKS", 0.001)
    return TrainingFolder(tmp_path)


@pytest.fixture
def ranks():
    return Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def make(folder, ranks):
    """Return a function that makes a schedule, and the refresher within it."""

    def make(supervisor=None, *, has_dev=True, **settings):
        refresher, refresh = Refresher(folder, has_dev=has_dev), Refresh(**settings)
        within = InProcess(refresher, folder, refresh, ranks, num_steps=NUM_STEPS)
        if refresh.mode != "async":
            return within, refresher
        beside = Beside(folder, refresh, ranks, supervisor, within, num_steps=NUM_STEPS)
        return beside, refresher

    return make


def run(schedule, *, mined, first=Progress()):  # noqa: B008 - it is frozen
    """Look before each step and after the last; give the steps at which there was news."""
    progress, news = first, []
    while True:
        found = schedule.look(progress)
        news += [(progress.step, step) for step in found.refreshes]
        for step in found.refreshes:
            if step in mined:
                progress = follow(progress, step)
        if progress.step == NUM_STEPS:
            return news
        progress = Progress(progress.step + 1, progress.refresh, progress.round)


def test_sync_refreshes_at_each_multiple_and_at_the_end(make, folder):
    """The last one measures dev topics and mines nothing, as nothing is trained after it."""
    schedule, refresher = make(refresh_steps=4)

    assert run(schedule, mined={0, 4, 8}) == [(0, 0), (4, 4), (8, 8), (10, 10)]
    assert [task.mines for task in refresher.tasks] == [True, True, True, False]
    assert [task.round for task in refresher.tasks] == [0, 1, 2, 3]
    previous = [None, folder.refresh(0), folder.refresh(4), folder.refresh(8)]
    assert [task.previous for task in refresher.tasks] == previous


def test_static_mines_once(make, folder):
    """Later refreshes measure dev topics alone, against the negatives of the first."""
    schedule, refresher = make(mode="static", refresh_steps=5)

    assert run(schedule, mined={0}) == [(0, 0), (5, 5), (10, 10)]
    assert [task.mines for task in refresher.tasks] == [True, False, False]
    assert [task.previous for task in refresher.tasks] == [None, *[folder.refresh(0)] * 2]


def test_without_dev_topics_nothing_is_made_that_nobody_reads(make):
    """Neither after the last step, nor between steps of a static run."""
    assert run(make(refresh_steps=4, has_dev=False)[0], mined={0, 4, 8}) == [(0, 0), (4, 4), (8, 8)]
    static, _ = make(mode="static", refresh_steps=5, has_dev=False)
    assert run(static, mined={0}) == [(0, 0)]


class OtherRank:
    """The second of two ranks; the first has the refresh to make."""

    rank, world_size, is_main = 1, 2, False

    def __init__(self):
        self.num_barriers = 0

    def barrier(self):
        self.num_barriers += 1

    def broadcast(self, value):
        assert value is None
        return [[4], 0.5]


class Encoding(Refresher):
    """Remembers which share of the collection it was asked to encode."""

    def encode(self, task, shard):
        self.tasks.append((task.step, shard))


def test_other_ranks_encode_their_share(folder):
    """They publish nothing, and wait for the first rank twice; what is there is not encoded."""
    ranks, refresher = OtherRank(), Encoding(folder)
    schedule = InProcess(refresher, folder, Refresh(refresh_steps=4), ranks, num_steps=NUM_STEPS)

    assert schedule.look(Progress()).refreshes == (0,)
    assert refresher.tasks == [(0, (1, 2))]
    assert ranks.num_barriers == 2
    assert not folder.refresh(0).exists()

    publish(folder, 4)
    schedule.look(Progress(4, refresh=0, round=1))
    assert refresher.tasks == [(0, (1, 2))]


def test_other_ranks_are_told_what_the_first_one_found(folder, make):
    """They do not look themselves, as they might see something else."""
    within, _ = make(refresh_steps=4)
    publish(folder, 6)
    settings = Refresh(mode="async", refresh_steps=4)
    schedule = Beside(folder, settings, OtherRank(), None, within, num_steps=NUM_STEPS)

    news = schedule.look(Progress(7, refresh=0, round=1))

    assert (news.refreshes, news.waited_seconds) == ((4,), 0.5)


def test_refresh_in_use_is_not_made_again(make):
    """A resumed run whose state is of after the refresh goes on with it."""
    schedule, refresher = make(refresh_steps=4)

    assert schedule.look(Progress(4, refresh=4, round=2)).refreshes == ()
    assert refresher.tasks == []


def test_time_of_refreshes_is_told(make, monkeypatch):
    """What this process spends is refreshing, not waiting."""
    now = iter([10.0, 12.5])
    monkeypatch.setattr(schedules.time, "monotonic", lambda: next(now))

    news = make(refresh_steps=4)[0].look(Progress())

    assert (news.refresh_seconds, news.waited_seconds) == (2.5, 0.0)


def test_async_makes_the_first_and_the_last_itself(make, folder):
    """In between it takes what somebody else publishes; the refresher is stopped at the end."""
    supervisor = Supervisor(lambda: publish(folder, 4))
    schedule, refresher = make(supervisor, mode="async", refresh_steps=4)

    assert run(schedule, mined={0, 4}) == [(0, 0), (1, 4), (10, 10)]
    assert [(task.step, task.mines) for task in refresher.tasks] == [(0, True), (10, False)]
    assert supervisor.calls[0] == "start"
    assert supervisor.calls.count("start") == 1
    assert supervisor.calls[-1] == "stop"


def test_last_look_tells_what_landed_meanwhile(make, folder):
    """A refresh that came since the look before is counted, and dev topics are measured after."""
    schedule, refresher = make(mode="async", refresh_steps=4, refresher="external")
    schedule.look(Progress())
    publish(folder, 4)
    schedule.look(Progress(9, refresh=0, round=1))
    publish(folder, 8)

    news = schedule.look(Progress(NUM_STEPS, refresh=4, round=2))

    assert news.refreshes == (8, NUM_STEPS)
    assert [task.step for task in refresher.tasks] == [0, NUM_STEPS]


def test_several_refreshes_come_at_once(make, folder):
    """All are told, lowest first, and each once."""
    schedule, _ = make(mode="async", refresh_steps=1, refresher="external")
    schedule.look(Progress())
    for step in (3, 1):
        publish(folder, step)

    assert schedule.look(Progress(4, refresh=0, round=1)).refreshes == (1, 3)
    assert schedule.look(Progress(5, refresh=3, round=2)).refreshes == ()


def test_resumed_run_is_told_what_it_had_not_seen(make, folder):
    """Refreshes newer than the negatives in use, though they were there before."""
    for step in (0, 2, 4):
        publish(folder, step)
    schedule, _ = make(mode="async", refresh_steps=2, refresher="external")

    assert schedule.look(Progress(5, refresh=2, round=2)).refreshes == (4,)


def test_too_old_negatives_are_waited_for(make, folder):
    """Training stands still until a refresh appears, and says for how long."""
    looks = []

    def come_late():
        looks.append(1)
        if len(looks) == 4:
            publish(folder, 2)

    schedule, _ = make(Supervisor(come_late), mode="async", refresh_steps=2, max_staleness=2)
    schedule.look(Progress())

    assert schedule.look(Progress(2, refresh=0, round=1)).waited_seconds == 0.0
    news = schedule.look(Progress(3, refresh=0, round=1))

    assert news.refreshes == (2,)
    assert news.waited_seconds > 0
    assert len(looks) == 4


def test_refresh_that_is_too_old_itself_does_not_end_the_wait(make, folder):
    """Newer negatives must be within the bound."""
    coming = [lambda: None, lambda: None, lambda: publish(folder, 2), lambda: publish(folder, 6)]
    supervisor = Supervisor(lambda: coming.pop(0)())
    schedule, _ = make(supervisor, mode="async", refresh_steps=2, max_staleness=2)
    schedule.look(Progress())

    news = schedule.look(Progress(7, refresh=0, round=1))

    assert news.refreshes == (2, 6)


def test_dead_refresher_ends_the_wait(make):
    """Where nobody makes negatives any more, training fails and does not wait for ever."""

    def die():
        raise RefresherError("again and again")

    schedule, _ = make(Supervisor(die), mode="async", refresh_steps=2, max_staleness=2)
    schedule.look(Progress())

    with pytest.raises(RefresherError, match="again and again"):
        schedule.look(Progress(5, refresh=0, round=1))


def test_warning_comes_once_for_each_negatives(make, caplog):
    """With --when-stale warn training goes on, and the log has a line for those in use."""
    schedule, _ = make(
        mode="async", refresh_steps=2, max_staleness=2, when_stale="warn", refresher="external"
    )
    schedule.look(Progress())
    with caplog.at_level(logging.WARNING):
        for step in range(1, 7):
            schedule.look(Progress(step, refresh=0, round=1))
        for step in range(7, 10):
            schedule.look(Progress(step, refresh=4, round=2))

    assert [record.getMessage() for record in caplog.records] == [
        "step 3 trains on negatives of step 0, older than --max-staleness 2",
        "step 7 trains on negatives of step 4, older than --max-staleness 2",
    ]


def test_without_a_bound_nothing_is_waited_for(make):
    """Negatives may be of any age where --max-staleness is not given."""
    schedule, _ = make(mode="async", refresh_steps=2, refresher="external")
    schedule.look(Progress())

    assert schedule.look(Progress(9, refresh=0, round=1)).waited_seconds == 0.0


def test_negatives_that_are_taken_begin_a_round():
    """Progress says whose negatives are in use, and the number of the next refresh."""
    assert follow(Progress(7, refresh=0, round=1), 4) == Progress(7, refresh=4, round=2)

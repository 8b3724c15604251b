"""What must not be left half-way is ended first, then the interrupt acts."""

import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from ance_plugin import measures
from ance_plugin.interrupts import interrupting_after
from ance_plugin.records import Hit

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _interruptible():
    """Have both signals raise KeyboardInterrupt, as every command has them."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_interrupt_waits_for_the_end_of_the_block(number):
    """Everything in the block is done, and the signal is as it was afterwards."""
    done = []

    @interrupting_after()
    def work():
        signal.raise_signal(number)
        done.append("all")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["all"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_error_of_the_block_gives_way_to_the_interrupt():
    """It stays visible as the interrupt's context."""

    @interrupting_after()
    def fail():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("damaged")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()

    assert str(caught.value.__context__) == "damaged"


def test_other_threads_are_left_alone():
    """Only the main thread may set handlers; elsewhere nothing is done."""
    handlers = []

    def work():
        with interrupting_after():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert handlers == [signal.default_int_handler]


def test_measuring_is_not_interrupted_half_way(monkeypatch):
    """LLVM would swallow what is raised while it calls back, and go on with half a function."""
    done = []

    def evaluate(qrels, run, names, *, return_mean):
        signal.raise_signal(signal.SIGTERM)
        done.append(names)
        return {name: np.array([1.0]) for name in names}

    monkeypatch.setattr(measures, "_import_ranx", lambda: SimpleNamespace(evaluate=evaluate))

    with pytest.raises(KeyboardInterrupt):
        measures.per_topic({"q": [Hit("d", 1.0)]}, {"q": {"d": 1}}, ["mrr", "map"])

    assert done == [["mrr", "map"]]

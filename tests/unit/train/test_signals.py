"""Ctrl-C and SIGTERM: heard between two steps, or at once where nothing is lost."""

import os
import signal
import threading

import pytest

from ance_plugin.train.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_remembered(number):
    """It interrupts nothing; the handlers from before are there again afterwards."""
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert not signals.is_asked_to_stop
        os.kill(os.getpid(), number)

    assert signals.is_asked_to_stop
    assert signal.getsignal(number) is before


def test_second_signal_interrupts():
    """Who asks twice does not want to wait."""
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)

    assert signals.is_asked_to_stop


def test_what_can_be_repeated_is_interrupted_at_once():
    """There the first signal is enough, and after it none of that is begun."""
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            pytest.fail("it was begun")


def test_other_threads_leave_signals_alone():
    """Only the main thread may take signals over; elsewhere nothing happens."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter():
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [before]

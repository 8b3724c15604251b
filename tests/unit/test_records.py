"""Making many records: the garbage collector rests meanwhile, and goes on afterwards."""

import gc
import threading

import pytest

from ance_plugin.records import no_collection


def test_collector_rests_and_goes_on():
    """After an error too."""

    def fail():
        with no_collection():
            raise ValueError(f"enabled: {gc.isenabled()}")

    with pytest.raises(ValueError, match="enabled: False"):
        fail()
    assert gc.isenabled()


def test_what_somebody_else_switched_off_stays_off():
    """The caller's setting is restored, whatever it was."""
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_rests_until_the_last_thread_is_done():
    """Blocks that overlap in any order end with it switched on."""
    inside, leave = threading.Event(), threading.Event()

    def work():
        with no_collection():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with no_collection():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()

    assert gc.isenabled()

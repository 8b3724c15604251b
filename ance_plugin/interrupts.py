"""Ctrl-C and SIGTERM: who hears them for a while, and what they must not leave half-way."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def hearing(hear: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have a function hear Ctrl-C and SIGTERM within the block, and then who heard them before.

    Signals come to the main thread alone; in any other thread nothing is changed.

    Args:
        hear: Called with the signal's number and the frame it interrupted.

    Yields:
        Nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    try:
        for number in _SIGNALS:
            before[number] = signal.getsignal(number)
            signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def interrupting_after() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait for the end of the block, and act there as they would have.

    LLVM calls back into Python, where an exception is printed and lost: the command would go on
    with whatever was left half done. Only for what takes moments.

    Yields:
        Nothing.
    """
    heard: list[int] = []
    try:
        with hearing(lambda number, frame: heard.append(number)):
            yield
    finally:
        if heard:
            signal.raise_signal(heard[0])

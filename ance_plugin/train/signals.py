"""Stop cleanly on Ctrl-C and SIGTERM: between two steps, and at once where nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from ance_plugin.interrupts import hearing


class StopSignals:
    """Remember that somebody asked to stop; a second signal interrupts whatever runs."""

    def __init__(self) -> None:
        self.is_asked_to_stop = False
        self._interrupts = False
        self._hearing = hearing(self._hear)

    def __enter__(self) -> "StopSignals":
        """Take the signals over, in the main thread; elsewhere they stay as they are."""
        self._hearing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Give the signals back."""
        self._hearing.__exit__(kind, err, tb)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Run what may be interrupted at once, as it can be repeated; KeyboardInterrupt ends it."""
        if self.is_asked_to_stop:
            raise KeyboardInterrupt
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        is_second, self.is_asked_to_stop = self.is_asked_to_stop, True
        if self._interrupts or is_second:
            raise KeyboardInterrupt

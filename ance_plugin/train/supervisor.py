"""Keeps the refresher's process alive beside the trainer, and lets it outlive nobody.

The child's standard input is a pipe that only the trainer holds open: however the trainer ends, the
pipe ends with it, and the child leaves. A child that dies is started again after a pause that
doubles; one that says nothing for minutes is killed first.
"""

import logging
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ance_plugin.artifacts import read_json
from ance_plugin.errors import AnceError, ArtifactError

logger = logging.getLogger(__name__)

_MAX_PAUSE_SECONDS = 60.0
_SECONDS_TO_LEAVE = 10.0


class RefresherError(AnceError):
    """The refresher failed again and again."""


class Supervisor:
    """Start a command, and start it again when it dies.

    Args:
        command: The refresher's.
        heartbeat: File in which it says, every few seconds, that it is alive.
        max_failures: Deaths without a refresh in between, after which ``check`` gives up.
        pause_seconds: Before the first restart; doubled for each further one.
        silence_seconds: How old the heartbeat may be before the child counts as hung.
    """

    def __init__(
        self,
        command: Sequence[str],
        heartbeat: Path,
        *,
        max_failures: int = 5,
        pause_seconds: float = 1.0,
        silence_seconds: float = 300.0,
    ) -> None:
        self._command = list(command)
        self._heartbeat = heartbeat
        self._max_failures = max_failures
        self._pause = pause_seconds
        self._silence = silence_seconds
        self._failures = 0
        self._num_done = 0.0
        self._restart_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child."""
        self._heartbeat.unlink(missing_ok=True)
        # A session of its own: Ctrl-C is for the trainer, which then ends the child.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )
        self._started_at = time.monotonic()
        self._restart_at = None
        self._num_done = 0.0

    def check(self) -> None:
        """Look after the child; cheap, to be called at each step.

        Raises:
            RefresherError: It died ``max_failures`` times without a refresh in between.
        """
        if self._process is None:
            if self._restart_at is not None and time.monotonic() >= self._restart_at:
                self.start()
            return
        # Read as long as it is there: a child that leaves by itself takes its heartbeat with it.
        self._num_done = max(self._num_done, self._read("num_done", 0))
        code = self._process.poll()
        if code is None and self._is_silent():
            logger.warning("the refresher has been silent for %.0f s; killing it", self._silence)
            self._process.kill()
            code = self._process.wait()
        if code is not None:
            self._bury(code)

    def stop(self) -> None:
        """End the child, and wait until it is gone."""
        self._restart_at = None
        if self._process is None:
            return
        with suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._heartbeat.unlink(missing_ok=True)  # an orphan leaves too fast to do it

    def _bury(self, code: int) -> None:
        """Count a death, and plan the next start."""
        self._failures = 1 if self._num_done > 0 else self._failures + 1
        self.stop()
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if self._failures >= self._max_failures:
            raise RefresherError(
                f"the refresher {ended}, {self._failures} times in a row; its messages are above. "
                "Mend the cause and run the same command with --resume"
            )
        pause = min(self._pause * 2 ** (self._failures - 1), _MAX_PAUSE_SECONDS)
        self._restart_at = time.monotonic() + pause
        logger.warning("the refresher %s; starting it again in %.0f s", ended, pause)

    def _is_silent(self) -> bool:
        now = time.time()
        spoke_ago = now - self._read("time", now - (time.monotonic() - self._started_at))
        return spoke_ago > self._silence

    def _read(self, name: str, default: float) -> float:
        """Read a number of the heartbeat of the present child."""
        try:
            content = read_json(self._heartbeat)
        except (OSError, ArtifactError):
            return default
        is_own = self._process is not None and content.get("pid") == self._process.pid
        value = content.get(name) if is_own else None
        return float(value) if isinstance(value, int | float) else default

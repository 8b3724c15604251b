"""The disk and what it may refuse: claims on outputs, flushing, errors that name the output."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ance_plugin.errors import AnceError, ArtifactError

_REFUSED = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than is allowed here",
    errno.EIO: "the disk failed",
    errno.EROFS: "the file system is read-only",
}
_PROBE_BYTES = 1 << 16


@contextmanager
def claim(path: Path, *, waits: bool = False) -> Iterator[None]:
    """Hold the right to write ``path``; it ends with the process, however that ends.

    Args:
        path: What is to be written.
        waits: Wait for a process that holds it, instead of an error.

    Yields:
        Nothing, once it is held.

    Raises:
        ArtifactError: Another process holds it; the message has its pid and host.
    """
    make_parent(path)
    with _hold(path.with_name(f".{path.name}.lock"), path, waits=waits):
        yield


@contextmanager
def claim_command(path: Path) -> Iterator[None]:
    """Hold an output file from a command's start to its end, as ``claim`` does while it is written.

    Args:
        path: The file that the command will write.

    Yields:
        Nothing, once it is held.

    Raises:
        ArtifactError: Another command is at work on it; the message has its pid and host.
        OSError: The file cannot be put there.
    """
    require_writable(path)
    with _hold(path.with_name(f".{path.name}.command.lock"), path, waits=False):
        yield


@contextmanager
def _hold(lock: Path, path: Path, *, waits: bool) -> Iterator[None]:
    with _lock(lock, path, waits=waits) as handle, name_refusals(path):
        try:
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}")
            handle.flush()
            yield
        finally:
            lock.unlink(missing_ok=True)


def _lock(lock: Path, path: Path, *, waits: bool) -> TextIO:
    """Open and lock a file that is still the one of that name once it is locked."""
    while True:
        try:
            handle = lock.open("a+", encoding="utf-8")
        except PermissionError as err:
            raise PermissionError(f"{path}: its folder is not writable") from err
        except OSError as err:
            raise OSError(f"{path}: cannot be written ({err.strerror})") from err
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            if os.fstat(handle.fileno()).st_nlink:  # else its holder removed it meanwhile
                return handle
        except BlockingIOError as err:
            handle.seek(0)
            holder = handle.read() or "a process"
            handle.close()
            raise ArtifactError(f"{path}: is being written by {holder}") from err
        handle.close()


@contextmanager
def name_refusals(path: Path) -> Iterator[None]:
    """Turn what a full or failing disk raises within the block into an OSError that names ``path``.

    FAISS, Lucene, safetensors and PyTorch raise errors of their own, which need not say that the
    disk is full; whether it is, is then tried out beside ``path``.

    Yields:
        Nothing.

    Raises:
        OSError: The disk refused to take what was written.
    """
    try:
        yield
    except OSError as err:
        if err.errno not in _REFUSED:
            raise
        raise _refusal(path, err.errno) from err
    except (AnceError, ValueError):
        raise
    except Exception as err:
        number = _try_to_write(path)
        if number is None:
            raise
        raise _refusal(path, number) from err


def _refusal(path: Path, number: int) -> OSError:
    remedy = "make room and give the command again" if number != errno.EROFS else "name another"
    return OSError(f"{path}: {_REFUSED[number]}; nothing unfinished took its name; {remedy}")


def _try_to_write(path: Path) -> int | None:
    """Give the number of the error that writing a little beside ``path`` ends with, if any."""
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    try:
        with probe.open("wb") as file:
            file.write(os.urandom(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        return err.errno if err.errno in _REFUSED else None
    finally:
        probe.unlink(missing_ok=True)
    return None


def require_writable(path: Path) -> None:
    """Make the folder of an output file; raise OSError where the file cannot be put there."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder, expected the name of a file to write")
    make_parent(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: its folder is not writable")


def require_absent(path: Path) -> None:
    """Raise ArtifactError where an output exists that no flag replaces."""
    if path.exists():
        raise ArtifactError(f"{path}: exists already; name another --output or remove it")


def make_parent(path: Path) -> None:
    """Make the folder that ``path`` will lie in; OSError names ``path`` where it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OSError(f"{path}: its folder cannot be made ({err})") from err


def flush(path: Path) -> None:
    """Force a file, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

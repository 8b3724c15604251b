"""What stands on disk stands whole: write aside, flush, seal with a manifest, rename.

An artifact is a directory with a ``metadata.json`` that says what it is, how it was made, and the
size and SHA-256 of every file beside it. A process that dies leaves only a hidden ``.NAME.partial``
behind, which the next one that writes the same artifact removes.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from ance_plugin.disk import claim as claim
from ance_plugin.disk import flush as flush
from ance_plugin.disk import name_refusals as name_refusals
from ance_plugin.errors import ArtifactError, MismatchError

METADATA = "metadata.json"
FORMAT_VERSION = 1
# What tells a folder that a command made from one that somebody keeps something else in.
_SIGNS = (METADATA, "comparison.json", "benchmark.json")
_verifies = ContextVar("verifies", default=False)
is_verifying = _verifies.get  # whether what is opened is to be looked at in full
_NOT_CONTENT = {METADATA, "write.lock"}  # the second is Lucene's, empty and never needed


@contextmanager
def new_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a hidden directory to fill; it takes its name only if the block ends without an error.

    Args:
        path: Where the directory will stand.
        overwrite: Replace what a command made there; otherwise a directory that exists is an error.

    Yields:
        The directory to write into.

    Raises:
        ArtifactError: ``path`` exists already, or another process is writing it, or it is none of
            ours and so not to be replaced.
        OSError: The disk is full, or did not take it for another reason.
    """
    refuse_existing(path, overwrite=overwrite)
    with claim(path):
        restore_replaced(path)
        refuse_existing(path, overwrite=overwrite)  # it may have come to be before the claim
        staging = partial_path(path)
        _remove(staging)
        try:  # from before the folder is there: an interrupt may come right after
            staging.mkdir()
            with name_refusals(path):
                yield staging
                publish_directory(staging, path)
        except BaseException:
            _remove(staging)
            raise


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Yield a text file (UTF-8, gzip if the name ends in .gz) that replaces ``path`` when done."""
    with claim(path):
        staging = partial_path(path)
        try:
            with staging.open("wb") as raw:
                packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else raw
                with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text:
                    yield text
                    text.flush()
                    if packed is not raw:
                        packed.close()
                    raw.flush()
                    os.fsync(raw.fileno())
            staging.replace(path)
            flush(path.parent)
        except BaseException:
            _remove(staging)
            raise


def partial_path(path: Path) -> Path:
    """Name the hidden place where an artifact grows before it takes its name."""
    return path.with_name(f".{path.name}.partial")


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise ArtifactError where ``path`` exists and may not be replaced.

    Even ``overwrite`` replaces nothing but an empty folder, a link, and what a command made.
    """
    if path.exists() and not overwrite:
        raise ArtifactError(f"{path}: exists already; name another --output or give --overwrite")
    if path.exists() and not path.is_symlink() and not _is_ours(path):
        raise ArtifactError(
            f"{path}: was not made by ance-plugin, so --overwrite leaves it alone; remove it "
            "yourself or name another --output"
        )


def _is_ours(path: Path) -> bool:
    if not path.is_dir():
        return False
    if any((path / sign).is_file() for sign in _SIGNS) or not any(path.iterdir()):
        return True
    config = path / "config.json"  # an export has nothing else of ours
    return config.is_file() and '"ance_plugin"' in config.read_text("utf-8", errors="replace")


def publish_directory(staging: Path, path: Path) -> None:
    """Flush a finished directory to the disk and give it its name, in place of an older one."""
    for file in staging.rglob("*"):
        flush(file)
    flush(staging)
    retired = _replaced_path(path)
    if path.is_dir() and not path.is_symlink():
        _remove(retired)
        path.rename(retired)
        staging.rename(path)
    else:
        path.unlink(missing_ok=True)
        staging.rename(path)
    flush(path.parent)
    _remove(retired)  # also one that a killed process left


def restore_replaced(path: Path) -> None:
    """Give an older directory its name back where a process died while it was being replaced.

    The caller holds the claim to ``path``.
    """
    retired = _replaced_path(path)
    if retired.is_dir() and not path.exists():
        retired.rename(path)
        flush(path.parent)


def _replaced_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.retired")


def seal(
    directory: Path, kind: str, content: Mapping[str, Any], *, names: Iterable[str] | None = None
) -> None:
    """Write ``metadata.json``: what this is, how it was made, and every file's size and SHA-256.

    Args:
        directory: The artifact.
        kind: What it is.
        content: How it was made.
        names: The files that belong to it; all files when None.
    """
    if names is None:
        found = (file for file in directory.rglob("*") if file.is_file())
        own = (file for file in found if file.name not in _NOT_CONTENT)
        names = sorted(str(file.relative_to(directory)) for file in own)
    files = {
        name: {
            "size_bytes": (directory / name).stat().st_size,
            "sha256": sha256_file(directory / name),
        }
        for name in names
    }
    metadata = {"kind": kind, "format_version": FORMAT_VERSION, **content, "files": files}
    write_json(directory / METADATA, metadata)


def open_sealed(directory: Path, kind: str) -> dict[str, Any]:
    """Read an artifact's metadata after checking that it is whole (names and sizes of its files).

    Raises:
        FileNotFoundError: There is no such directory.
        ArtifactError: It is unfinished, damaged, of another kind, or from a newer version.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such directory{_hint_unfinished(directory)}")
    if not (directory / METADATA).is_file():
        raise ArtifactError(
            f"{directory}: has no {METADATA}; it is not a {kind} made by ance-plugin"
        )
    metadata = read_json(directory / METADATA)
    if metadata.get("kind") != kind:
        raise ArtifactError(f"{directory}: is a {metadata.get('kind')}, expected a {kind}")
    version = metadata.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"{directory}: has format version {version}, this ance-plugin reads up to "
            f"{FORMAT_VERSION}; upgrade it"
        )
    _check_sizes(directory, kind, metadata)
    if is_verifying():
        _check_hashes(directory, kind, metadata)
    return metadata


def _check_sizes(directory: Path, kind: str, metadata: dict[str, Any]) -> None:
    try:
        if not isinstance(metadata["format_version"], int):
            raise TypeError("the format version is no integer")
        sizes = {name: int(file["size_bytes"]) for name, file in metadata["files"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as err:
        problem = f"is damaged, it does not list its files; make the {kind} again"
        raise ArtifactError(f"{directory / METADATA}: {problem}") from err
    for name, expected in sizes.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ArtifactError(
                f"{directory / METADATA}: lists a file outside of its folder, {name}"
            )
        file = directory / name
        size = None
        with suppress(OSError):  # of a name that no file can have
            size = file.stat().st_size if file.is_file() else None
        if size != expected:
            found = "is missing" if size is None else f"has {size} bytes"
            raise ArtifactError(
                f"{file}: {found}, expected {expected} bytes; make the {kind} again"
            )


def verify(directory: Path, kind: str) -> dict[str, Any]:
    """Read an artifact's metadata after checking the SHA-256 of each of its files."""
    metadata = open_sealed(directory, kind)
    _check_hashes(directory, kind, metadata)
    return metadata


@contextmanager
def verifying(*, is_on: bool = True) -> Iterator[None]:
    """Have ``open_sealed`` check the SHA-256 of each file too, within the block and its thread."""
    token = _verifies.set(is_on)
    try:
        yield
    finally:
        _verifies.reset(token)


def _check_hashes(directory: Path, kind: str, metadata: dict[str, Any]) -> None:
    for name, expected in metadata["files"].items():
        if sha256_file(directory / name) != expected.get("sha256"):
            raise ArtifactError(f"{directory / name}: content has changed; make the {kind} again")


def require_equal(found: Mapping[str, Any], expected: Mapping[str, Any], *, what: str) -> None:
    """Raise MismatchError naming the first setting in which two artifacts differ."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise MismatchError(
                f"{what}: {name} is {expected.get(name)!r} there but {found.get(name)!r} here"
            )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people: two spaces, UTF-8, a last newline; whole or not at all."""
    with new_file(path) as file:
        json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: The file is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise ArtifactError(f"{path}: is not valid JSON ({err})") from err
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: expected a JSON object")
    return content


def sha256_file(path: Path) -> str:
    """Hash a file's content without holding it in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hint_unfinished(path: Path) -> str:
    older = _replaced_path(path)
    if older.exists():
        return f"; a process that replaced it was killed, {older} is the older one; run it again"
    if partial_path(path).exists():
        return f"; {partial_path(path)} is unfinished, run the command that writes it again"
    return ""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Pyserini's prebuilt dense indexes by name, from its own catalogue and its own cache.

The catalogue is read as data: Pyserini 2.3 holds it as dictionaries in a module, later ones as JSON
files. Importing that module would start Java, or, in 2.4.0, ask the network.
"""

import ast
import contextlib
import importlib.util
import json
import logging
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ance_plugin import jvm

logger = logging.getLogger(__name__)

# What Pyserini's catalogue does not say: the query encoder of an index, and how it treats text.
_ENCODERS = {
    "msmarco-v1-passage.ance": ("castorini/ance-msmarco-passage", "ance-msmarco-passage"),
    "msmarco-v1-doc.ance-maxp": ("castorini/ance-msmarco-doc-maxp", "ance-msmarco-doc-maxp"),
    "wikipedia-dpr-100w.ance-multi": ("castorini/ance-dpr-question-multi", "ance-dpr"),
}
_JSON_FOLDER = Path("resources", "prebuilt-indexes", "faiss")
_MODULE = "prebuilt_index_info.py"
_NAMES = "FAISS_INDEX_INFO"


@dataclass(frozen=True, slots=True)
class PrebuiltIndex:
    """An entry of Pyserini's catalogue of FAISS indexes.

    Attributes:
        name: What users call it.
        filename: The archive that is downloaded.
        md5: Of the archive.
        size_bytes: Of the archive.
        urls: Where it is.
        encoder: The query encoder it goes with; None where we do not know it.
        recipe: How that encoder treats text; None where we do not know it.
    """

    name: str
    filename: str
    md5: str
    size_bytes: int
    urls: tuple[str, ...]
    encoder: str | None
    recipe: str | None

    @property
    def path(self) -> Path:
        """The folder that Pyserini unpacks it to."""
        folder = self.filename.partition(".tar")[0]
        return cache_home() / "indexes" / f"{folder}.{self.md5}"


def find_prebuilt(name: str) -> PrebuiltIndex | None:
    """Look a name up in the installed Pyserini's catalogue; None where it is not there."""
    entry = _read_catalogue().get(name)
    if entry is None:
        return None
    encoder, recipe = _ENCODERS.get(name, (None, None))
    urls = tuple(entry["urls"])
    return PrebuiltIndex(
        name=name,
        filename=entry.get("filename") or urls[0].rpartition("/")[2].removesuffix("?dl=1"),
        md5=entry["md5"],
        size_bytes=entry.get("size") or entry.get("size compressed (bytes)") or 0,
        urls=urls,
        encoder=encoder,
        recipe=recipe,
    )


def resolve_index(name: str | Path) -> Path:
    """Return the folder of an index: a path, or a prebuilt name, downloaded where need be.

    Raises:
        FileNotFoundError: There is no such folder and no such name, or it could not be downloaded;
            the message then has the archive's name, size, MD5 and place.
    """
    if Path(name).exists():
        return Path(name)
    prebuilt = find_prebuilt(str(name))
    if prebuilt is None:
        raise FileNotFoundError(
            f"{name}: no such directory; nor has Pyserini a prebuilt FAISS index of that name"
        )
    if not prebuilt.path.is_dir():
        _download(prebuilt)
    return prebuilt.path


def cache_home() -> Path:
    """Return the folder Pyserini keeps downloads in: ``PYSERINI_CACHE``, else in the home."""
    return Path(os.environ.get("PYSERINI_CACHE") or Path("~/.cache/pyserini").expanduser())


def _download(prebuilt: PrebuiltIndex) -> None:
    """Let Pyserini download and unpack an index; it prints, which here goes to stderr."""
    logger.info("downloading %s, %.1f GB", prebuilt.filename, prebuilt.size_bytes / 1e9)
    try:
        jvm.start()
        with contextlib.redirect_stdout(sys.stderr):
            from pyserini.util import download_prebuilt_index

            download_prebuilt_index(prebuilt.name, verbose=False)
    except (ValueError, OSError, AssertionError) as err:
        reason = str(err).strip().partition("\n")[0]
        raise FileNotFoundError(
            f"{prebuilt.name}: Pyserini could not download it ({reason}). Get {prebuilt.filename} "
            f"({prebuilt.size_bytes:,} bytes, MD5 {prebuilt.md5}) from {prebuilt.urls[0]} and "
            f"unpack it so that its files are {prebuilt.path}/index and docid"
        ) from err


@cache
def _read_catalogue() -> dict[str, dict[str, Any]]:
    package = importlib.util.find_spec("pyserini")
    if package is None or package.origin is None:
        return {}
    folder = Path(package.origin).parent
    files = sorted((folder / _JSON_FOLDER).glob("*.json"))
    if files:
        return {k: v for file in files for k, v in json.loads(file.read_text("utf-8")).items()}
    module = folder / _MODULE
    return _read_dictionaries(module.read_text("utf-8")) if module.is_file() else {}


def _read_dictionaries(source: str) -> dict[str, dict[str, Any]]:
    """Take the dictionaries of constants out of Python source, without running it."""
    found: dict[str, dict[str, Any]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if node.targets[0].id.startswith(_NAMES):
            with contextlib.suppress(ValueError):  # the one that joins the others
                found |= ast.literal_eval(node.value)
    return found

"""Pyserini's prebuilt indexes, FAISS and BM25, by name, from its own catalogue and its own cache.

The catalogue is read as data: Pyserini 2.3 holds it as dictionaries in a module, later ones as JSON
files; of BM25 indexes a part is JSON inside Anserini's jar. Importing that module would start Java,
or, in 2.4.0, ask the network.
"""

import ast
import contextlib
import importlib.util
import json
import logging
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ance_plugin import jvm

logger = logging.getLogger(__name__)

type Kind = Literal["faiss", "bm25"]

# What Pyserini's catalogue does not say: the query encoder of an index, and how it treats text.
_ENCODERS = {
    "msmarco-v1-passage.ance": ("castorini/ance-msmarco-passage", "ance-msmarco-passage"),
    "msmarco-v1-doc.ance-maxp": ("castorini/ance-msmarco-doc-maxp", "ance-msmarco-doc-maxp"),
    "wikipedia-dpr-100w.ance-multi": ("castorini/ance-dpr-question-multi", "ance-dpr"),
}
_RESOURCES = Path("resources")
_MODULE = "prebuilt_index_info.py"
_JAR_FILES = ("prebuilt-indexes/", "inverted", ".json")


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """Where Pyserini lists one kind of index, and what a user needs to know of it."""

    title: str
    flag: str
    files: str  # what lies in an unpacked one
    json_files: str  # below the package's resources
    dictionaries: str  # how their names begin in the module


_CATALOGUES: dict[Kind, _Catalogue] = {
    "faiss": _Catalogue(
        title="FAISS",
        flag="--index",
        files="index and docid",
        json_files="prebuilt-indexes/faiss/*.json",
        dictionaries="FAISS_INDEX_INFO",
    ),
    "bm25": _Catalogue(
        title="BM25",
        flag="--sparse-index",
        files="segments_N and the rest of Lucene's",
        json_files="prebuilt-indexes/lucene/*-inverted*.json",
        dictionaries="TF_INDEX_INFO",
    ),
}


@dataclass(frozen=True, slots=True)
class PrebuiltIndex:
    """An entry of one of Pyserini's catalogues.

    Attributes:
        name: What users call it.
        kind: Which catalogue it is in.
        filename: The archive that is downloaded.
        md5: Of the archive.
        size_bytes: Of the archive.
        urls: Where it is.
        encoder: The query encoder it goes with; None where we do not know it.
        recipe: How that encoder treats text; None where we do not know it.
    """

    name: str
    kind: Kind
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


def find_prebuilt(name: str, kind: Kind = "faiss") -> PrebuiltIndex | None:
    """Look a name up in the installed Pyserini's catalogue; None where it is not there."""
    entry = _read_catalogue(kind).get(name)
    if entry is None:
        return None
    encoder, recipe = _ENCODERS.get(name, (None, None))
    urls = tuple(entry["urls"])
    return PrebuiltIndex(
        name=name,
        kind=kind,
        filename=entry.get("filename") or urls[0].rpartition("/")[2].removesuffix("?dl=1"),
        md5=entry["md5"],
        size_bytes=entry.get("size") or entry.get("size compressed (bytes)") or 0,
        urls=urls,
        encoder=encoder,
        recipe=recipe,
    )


def resolve_index(name: str | Path, kind: Kind = "faiss") -> Path:
    """Return the folder of an index: a path, or a prebuilt name, downloaded where need be.

    Raises:
        FileNotFoundError: There is no such folder and no such name, or it could not be downloaded;
            the message then has the archive's name, size, MD5 and place.
    """
    if Path(name).exists():
        return Path(name)
    prebuilt = find_prebuilt(str(name), kind)
    if prebuilt is None:
        raise FileNotFoundError(_say_unknown(str(name), kind))
    if not prebuilt.path.is_dir():
        _download(prebuilt)
    return prebuilt.path


def cache_home() -> Path:
    """Return the folder Pyserini keeps downloads in: ``PYSERINI_CACHE``, else in the home."""
    return Path(os.environ.get("PYSERINI_CACHE") or Path("~/.cache/pyserini").expanduser())


def _say_unknown(name: str, kind: Kind) -> str:
    for other, catalogue in _CATALOGUES.items():
        if other != kind and find_prebuilt(name, other):
            title, flag = catalogue.title, catalogue.flag
            return f"{name}: is a prebuilt {title} index of Pyserini's; give it to {flag}"
    title = _CATALOGUES[kind].title
    return f"{name}: no such directory; nor has Pyserini a prebuilt {title} index of that name"


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
            f"unpack it so that {prebuilt.path} holds {_CATALOGUES[prebuilt.kind].files}"
        ) from err


@cache
def _read_catalogue(kind: Kind) -> dict[str, dict[str, Any]]:
    package = importlib.util.find_spec("pyserini")
    if package is None or package.origin is None:
        return {}
    folder, catalogue = Path(package.origin).parent, _CATALOGUES[kind]
    found: dict[str, dict[str, Any]] = {}
    if kind == "bm25":
        for jar in (folder / _RESOURCES).glob("jars/*.jar"):
            for text in _read_jar(jar):
                found |= _read_json(text)
    files = sorted((folder / _RESOURCES).glob(catalogue.json_files))
    for file in files:
        found |= _read_json(file.read_text("utf-8"))
    module = folder / _MODULE
    if not files and module.is_file():
        _add_dictionaries(found, module.read_text("utf-8"), catalogue.dictionaries)
    return found


def _read_jar(jar: Path) -> Iterator[str]:
    """Read the catalogues that lie in Anserini's jar, without Java."""
    start, kind, end = _JAR_FILES
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith(start) and kind in name and name.endswith(end):
                yield archive.read(name).decode("utf-8")


def _read_json(text: str) -> dict[str, dict[str, Any]]:
    """Read a catalogue: a dictionary by name, or a list of entries with a name each."""
    content: dict[str, dict[str, Any]] | list[dict[str, Any]] = json.loads(text)
    return content if isinstance(content, dict) else {entry["name"]: entry for entry in content}


def _add_dictionaries(found: dict[str, dict[str, Any]], source: str, prefix: str) -> None:
    """Take the dictionaries of constants out of Python source, without running it.

    A value that is an item of an earlier dictionary is another name of an index found before.
    """
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if not node.targets[0].id.startswith(prefix) or not isinstance(node.value, ast.Dict):
            continue
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            if not isinstance(key, ast.Constant):  # of the one that joins the others
                continue
            name = str(key.value)
            if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
                found[name] = found[str(value.slice.value)]
                continue
            with contextlib.suppress(ValueError):  # calls into Java, whose data the jar has
                found[name] = ast.literal_eval(value)

"""``pydoc``: a test collection made from the docstrings of the running Python's standard library.

A document is a module, class or function: its qualified name and signature (title) and the body
of its docstring (text). A topic is a docstring's first paragraph, which the document does not
contain; the document it was taken from is the relevant one. The sources are parsed, never imported.
The collection depends on the version of Python: compare systems within one version only.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ance_plugin.errors import FormatError
from ance_plugin.records import Document, Qrels, Topic

NAME = "pydoc"
SPLITS = {"train": range(60), "dev": range(60, 80), "test": range(80, 100)}  # of hash % 100

_SKIPPED = {"__pycache__", "_pyrepl", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test"}
_SKIPPED |= {"tests", "turtledemo"}
_MIN_TOPIC_WORDS = 4
_MIN_BODY_WORDS = 8

type _Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Entry(NamedTuple):
    """A documented object of the standard library."""

    qualified_name: str
    signature: str
    summary: str
    body: str


def iter_documents() -> Iterator[Document]:
    """Yield the documents, in the order of their qualified names."""
    for entry in _entries():
        title = f"{entry.qualified_name}{entry.signature}"
        yield Document(entry.qualified_name, entry.body, title)


def read_topics(split: str) -> list[Topic]:
    """Give the topics of ``train``, ``dev`` or ``test``; a qid is its relevant docid.

    Raises:
        FormatError: There is no such split.
    """
    if split not in SPLITS:
        raise FormatError(f"{NAME}/{split}: no such split; there are {', '.join(SPLITS)}")
    uses = Counter(entry.summary for entry in _entries())
    return [
        Topic(entry.qualified_name, entry.summary)
        for entry in _entries()
        if uses[entry.summary] == 1
        and entry.summary not in f"{entry.qualified_name}{entry.signature} {entry.body}"
        and len(entry.summary.split()) >= _MIN_TOPIC_WORDS
        and len(entry.body.split()) >= _MIN_BODY_WORDS
        and _bucket(entry.qualified_name) in SPLITS[split]
    ]


def read_qrels(split: str) -> Qrels:
    """Judge the document a topic was taken from relevant, and no other."""
    return {topic.qid: {topic.qid: 1} for topic in read_topics(split)}


@cache
def _entries() -> tuple[Entry, ...]:
    """List the objects with a docstring, each docstring once."""
    entries: dict[str, Entry] = {}
    seen_docstrings: set[tuple[str, str]] = set()
    for module_name, path in _modules():
        for entry in _module_entries(module_name, path):
            docstring = (entry.summary, entry.body)
            if docstring not in seen_docstrings:
                seen_docstrings.add(docstring)
                entries.setdefault(entry.qualified_name, entry)
    return tuple(entries[name] for name in sorted(entries))


def _modules() -> list[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    modules = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] in sys.stdlib_module_names and not _SKIPPED.intersection(parts):
            modules.append((".".join(parts).removesuffix(".__init__"), path))
    return sorted(modules)


def _module_entries(module_name: str, path: Path) -> Iterator[Entry]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(path.read_bytes())
    yield from _definition_entries(tree, module_name)


def _definition_entries(node: _Definition, qualified_name: str) -> Iterator[Entry]:
    docstring = ast.get_docstring(node, clean=False)
    if docstring:
        summary, _, body = inspect.cleandoc(docstring).partition("\n\n")
        yield Entry(qualified_name, _signature(node), _one_line(summary), _one_line(body))
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _definition_entries(child, f"{qualified_name}.{child.name}")


def _signature(node: _Definition) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"({ast.unparse(node.args)})"
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _bucket(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 100

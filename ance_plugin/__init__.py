"""ANCE dense retrieval and hybrid search for Pyserini.

Importing this package loads neither PyTorch, FAISS, numba nor Java; each class below loads what it
needs when it is first asked for.
"""

from importlib import import_module
from typing import Any

# Subclasses of Pyserini's, which cannot be imported before a JVM runs that it can use.
_PYSERINI_CLASSES = "ance_plugin.encode.pyserini"
_PUBLIC = {
    "AnceDocumentEncoder": _PYSERINI_CLASSES,
    "AnceQueryEncoder": _PYSERINI_CLASSES,
    "Bm25Searcher": "ance_plugin.search.bm25",
    "Collection": "ance_plugin.formats.collection",
    "DenseSearcher": "ance_plugin.search.dense",
    "Document": "ance_plugin.records",
    "Encoder": "ance_plugin.encode.encoder",
    "FusionParams": "ance_plugin.fusion.methods",
    "Hit": "ance_plugin.records",
    "HybridSearcher": "ance_plugin.search.hybrid",
    "Topic": "ance_plugin.records",
    "fuse": "ance_plugin.fusion.fuse",
    "read_qrels": "ance_plugin.formats.qrels",
    "read_run": "ance_plugin.formats.runs",
    "read_topics": "ance_plugin.formats.topics",
    "register": _PYSERINI_CLASSES,
    "write_run": "ance_plugin.formats.runs",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes and functions alike
    """Import a public name on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _PUBLIC[name] == _PYSERINI_CLASSES:
        import_module("ance_plugin.jvm").start()
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__

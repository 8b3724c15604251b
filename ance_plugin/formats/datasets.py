"""Datasets by id: ``pydoc`` and whatever ir-datasets knows."""

import logging
import os
from collections.abc import Iterator
from typing import Any

from ance_plugin.errors import FormatError
from ance_plugin.formats import stdlib_docs
from ance_plugin.formats.lines import find_id_problem
from ance_plugin.records import Document, Qrels, Topic

logger = logging.getLogger(__name__)

_HOME = "IR_DATASETS_HOME"


def check_collection(name: str) -> None:
    """Raise FileNotFoundError unless ``name`` is a dataset with documents."""
    if name != stdlib_docs.NAME:
        _load(name, "documents", "docs")


def iter_documents(name: str) -> Iterator[Document]:
    """Yield a dataset's documents in its own order; the first use may download them.

    Raises:
        FileNotFoundError: ``name`` is no dataset with documents.
    """
    if name == stdlib_docs.NAME:
        yield from stdlib_docs.iter_documents()
        return
    dataset = _load(name, "documents", "docs")
    try:
        for record in dataset.docs_iter():
            docid = _require_id(record.doc_id, name, "docid")
            yield Document(docid, _text(record), getattr(record, "title", None) or "")
    except OSError as err:
        raise OSError(
            f"{name}: ir-datasets could not download or read its documents: {err}"
        ) from err


def read_topics(name: str) -> list[Topic]:
    """Read a dataset's topics; a TREC topic's title is its text.

    Raises:
        FileNotFoundError: ``name`` is no dataset with topics.
    """
    if _is_stdlib_docs(name):
        return stdlib_docs.read_topics(name.partition("/")[2])
    dataset = _load(name, "topics", "queries")
    return [
        Topic(_require_id(query.query_id, name, "qid"), query.default_text())
        for query in dataset.queries_iter()
    ]


def iter_answers(name: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield qid, text and answers of a dataset's topics.

    Raises:
        FileNotFoundError: ``name`` is no dataset whose topics have answers.
    """
    dataset = None if _is_stdlib_docs(name) else _load(name, "topics", "queries")
    if dataset is None or "answers" not in getattr(dataset.queries_cls(), "_fields", ()):
        raise FileNotFoundError(f"{name}: its topics have no answers; give a file of answers")
    for query in dataset.queries_iter():
        yield query.query_id, query.default_text(), tuple(query.answers)


def read_qrels(name: str) -> Qrels:
    """Read a dataset's judgments.

    Raises:
        FileNotFoundError: ``name`` is no dataset with judgments.
    """
    if _is_stdlib_docs(name):
        return stdlib_docs.read_qrels(name.partition("/")[2])
    qrels: Qrels = {}
    for judgment in _load(name, "qrels", "qrels").qrels_iter():
        qrels.setdefault(judgment.query_id, {})[judgment.doc_id] = judgment.relevance
    return qrels


def _is_stdlib_docs(name: str) -> bool:
    return name.partition("/")[0] == stdlib_docs.NAME


def _require_id(text: str, name: str, what: str) -> str:
    problem = find_id_problem(text)
    if problem is not None:
        raise FormatError(f"{name}: {what} {problem}")
    return text


def _text(record: Any) -> str:  # noqa: ANN401 - ir-datasets has a type for each dataset
    for field in ("text", "body"):
        if hasattr(record, field):
            return getattr(record, field) or ""
    return str(record.default_text())


def _load(name: str, what: str, part: str) -> Any:  # noqa: ANN401 - see above
    """Load an ir-datasets dataset that has ``part``."""
    try:
        import ir_datasets
    except OSError as err:
        home = os.environ.get(_HOME, "~/.ir_datasets")
        raise PermissionError(
            f"ir-datasets cannot write to its home, {home} ({err}); point {_HOME} at a "
            "writable folder"
        ) from err
    ir_datasets.log.easy().logger().setLevel(logging.WARNING)  # only then: it sets its own level
    try:
        dataset = ir_datasets.load(name)
    except (KeyError, ValueError) as err:
        raise FileNotFoundError(
            f"{name}: there is no such file, and ir-datasets has no dataset of that name"
        ) from err
    if not getattr(dataset, f"has_{part}")():
        raise FileNotFoundError(f"{name}: this ir-datasets id has no {what}{_suggest(name, part)}")
    return dataset


def _suggest(name: str, part: str) -> str:
    """Name the ids below ``name`` that have what is asked for."""
    import ir_datasets

    below = [other for other in ir_datasets.registry if str(other).startswith(f"{name}/")]
    having = [other for other in below if getattr(ir_datasets.load(other), f"has_{part}")()]
    return f"; try {', '.join(having[:5])}" if having else ""

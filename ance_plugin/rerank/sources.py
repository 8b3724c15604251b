"""What reranking reads: the queries of a run's topics, and the documents at its top."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from ance_plugin.errors import MismatchError
from ance_plugin.records import Document, Run, Topic

_NAMES_SHOWN = 5


def find_queries(run: Run, topics: Iterable[Topic], *, source: object = "topics") -> dict[str, str]:
    """Give the query of each topic of a run.

    Args:
        run: The first-stage run.
        topics: The topics; those that are not in the run are left out.
        source: What errors call the topics.

    Returns:
        qid -> query, in the order of the run.

    Raises:
        MismatchError: The run has a topic that is not there.
    """
    texts = {topic.qid: topic.text for topic in topics}
    missing = [qid for qid in run if qid not in texts]
    if missing:
        raise MismatchError(
            f"{source}: has no topic {name_some(missing)}, but the run has; give the topics it was "
            "made for"
        )
    return {qid: texts[qid] for qid in run}


def find_documents(
    run: Run, collection: Iterable[Document], *, depth: int, source: object = "collection"
) -> dict[str, Document]:
    """Read the documents at the top of a run, in one pass that ends with the last of them.

    Args:
        run: The first-stage run.
        collection: All documents; only those needed are held.
        depth: Hits of each topic whose documents are needed.
        source: What errors call the collection.

    Returns:
        docid -> document.

    Raises:
        MismatchError: A document is not there.
    """
    needed = {hit.docid for hits in run.values() for hit in hits[:depth]}
    found = read_documents(needed, collection)
    missing = sorted(needed - found.keys())
    if missing:
        raise MismatchError(
            f"{source}: has no document {name_some(missing)}, but the run has; give the collection "
            "it was made from"
        )
    return found


def read_documents(docids: AbstractSet[str], collection: Iterable[Document]) -> dict[str, Document]:
    """Read some documents, in one pass that ends with the last of them.

    Args:
        docids: Of the documents to read.
        collection: All documents; only those needed are held.

    Returns:
        docid -> document; those that are not there are left out.
    """
    found: dict[str, Document] = {}
    for document in collection if docids else ():
        if document.docid in docids and document.docid not in found:
            found[document.docid] = document
            if len(found) == len(docids):
                break
    return found


def hash_texts(queries: Mapping[str, str], documents: Mapping[str, Document]) -> str:
    """Hash every text that is scored, so that a continued run is of the same ones."""
    digest = hashlib.sha256()
    parts = [(qid, queries[qid], "") for qid in sorted(queries)]
    parts += [(docid, documents[docid].title, documents[docid].text) for docid in sorted(documents)]
    for part in parts:
        for text in part:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def name_some(names: Sequence[str]) -> str:
    """Name the first few, and say how many more there are."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")

"""Build a Lucene index with Anserini, as any Pyserini command opens it.

Anserini's ``SimpleIndexer`` is called as Pyserini's ``LuceneIndexer`` calls it, through the same
Java bridge; importing Pyserini's own class would load torch and transformers first.
"""

import json
import logging
import time
from itertools import batched
from pathlib import Path

from ance_plugin import artifacts, jvm
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.collection import Collection
from ance_plugin.progress import track
from ance_plugin.version import describe_versions

logger = logging.getLogger(__name__)

KIND = "bm25-index"
_BATCH = 4096
_ANALYZER = "DefaultEnglishAnalyzer"  # Anserini's: English stop words, Porter stemmer


def build_bm25_index(
    collection: Collection, output: Path, *, threads: int = 2, overwrite: bool = False
) -> None:
    """Index title and text of every document, with positions, term vectors and the raw text.

    Args:
        collection: What to index.
        output: The directory to make.
        threads: Lucene's indexing threads.
        overwrite: Replace a directory that stands there.

    Raises:
        ArtifactError: ``output`` exists, or Lucene did not take every document.
        FormatError: A document is malformed, a docid is there twice, or there are none.
        JavaError: There is no usable Java.
    """
    artifacts.refuse_existing(output, overwrite=overwrite)
    jvm.start()
    fingerprint = collection.scan()
    started = time.monotonic()
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        num_indexed, num_blank = _index(collection, staging, threads, fingerprint.num_documents)
        if num_indexed + num_blank != fingerprint.num_documents or not num_indexed:
            raise ArtifactError(
                f"{output}: Lucene took {num_indexed} of {fingerprint.num_documents} documents, "
                f"of which {num_blank} have no text"
            )
        if num_blank:
            logger.warning("%d documents have no text and are not in the index", num_blank)
        seconds = time.monotonic() - started
        artifacts.seal(
            staging,
            KIND,
            {
                "analyzer": _ANALYZER,
                "num_documents": num_indexed,
                "num_without_text": num_blank,
                "collection": collection.describe(fingerprint),
                "versions": describe_versions("pyserini"),
                "seconds": round(seconds, 3),
            },
        )
    logger.info("indexed %d documents in %.1f s: %s", num_indexed, seconds, output)


def _index(
    collection: Collection, directory: Path, threads: int, num_documents: int
) -> tuple[int, int]:
    """Feed the documents to Lucene; count those it took, and those without text, which it skips."""
    indexer = jvm.autoclass("io.anserini.index.SimpleIndexer")(
        [
            *("-index", str(directory), "-collection", "JsonCollection", "-input", ""),
            *("-threads", str(threads), "-storePositions", "-storeDocvectors", "-storeRaw"),
        ]
    )
    num_indexed = num_blank = 0
    try:
        documents = track(collection, what="BM25 index", total=num_documents)
        for batch in batched(documents, _BATCH):
            records = [
                json.dumps({"id": document.docid, "contents": document.contents})
                for document in batch
                if document.contents.strip()
            ]
            num_blank += len(batch) - len(records)
            num_indexed += indexer.addRawDocuments(records)
    finally:
        indexer.close()
    return num_indexed, num_blank

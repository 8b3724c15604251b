"""MaxP: a long document is several vectors, and its best one speaks for it. Two kinds.

``segments``: the collection holds passages already, whose docids read ``docid#n``, as in Pyserini.

``chunks``: Microsoft's way (microsoft/ANCE, ``RobertaDot_CLF_ANN_NLL_MultiChunk``). A document is
one sequence of 4 x 512 tokens with one ``<s>`` at its start and one ``</s>`` at its end, cut into
chunks of 512 without special tokens of their own; each chunk's vector is read at its first token,
and its positions start anew. A chunk that would be padding alone is masked there when scores are
compared; here it gets no vector, which comes to the same. Chunks are stored under ``docid#n``, so
that any search with ``--max-passage`` takes the maximum.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ance_plugin.records import Document

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

type MaxP = Literal["segments", "chunks"]

KINDS: tuple[MaxP, ...] = ("segments", "chunks")
DELIMITER = "#"
NUM_CHUNKS = 4


def encode_passages(
    encoder: "Encoder",
    documents: Sequence[Document],
    maxp: MaxP | None,
    *,
    on_progress: Callable[[int], object] | None = None,
) -> tuple[list[str], NDArray[np.float32]]:
    """Encode documents as one vector each, or as several.

    Args:
        encoder: With what.
        documents: What to encode; with ``segments``, passages.
        maxp: The kind of MaxP; None is one vector a document.
        on_progress: Called with the number of documents that were encoded since the last call.

    Returns:
        Docids, one a vector, and vectors, shape (m, d), float32.

    Raises:
        ValueError: A docid has no ``#`` (segments) or has one (chunks).
    """
    docids = [document.docid for document in documents]
    _check_docids(docids, maxp)
    if maxp != "chunks":
        return docids, encoder.encode_documents(documents, on_progress=on_progress)
    chunk_tokens = encoder.settings.max_document_tokens
    rows = encoder.tokenize_documents(documents, NUM_CHUNKS * chunk_tokens)
    chunks = [split_into_chunks(row, chunk_tokens) for row in rows]
    vectors = encoder.encode_tokens([chunk for parts in chunks for chunk in parts])
    if on_progress is not None:
        on_progress(len(documents))
    names = [
        f"{docid}{DELIMITER}{number}"
        for docid, parts in zip(docids, chunks, strict=True)
        for number in range(len(parts))
    ]
    return names, vectors


def split_into_chunks(row: Sequence[int], chunk_tokens: int) -> list[list[int]]:
    """Cut a document's token ids into chunks; the last one may be shorter.

    Args:
        row: Ids with the special tokens at both ends, without padding.
        chunk_tokens: Tokens a chunk.
    """
    return [list(row[start : start + chunk_tokens]) for start in range(0, len(row), chunk_tokens)]


def _check_docids(docids: Sequence[str], maxp: MaxP | None) -> None:
    if maxp is None:
        return
    for docid in docids:
        if maxp == "segments" and DELIMITER not in docid:
            raise ValueError(
                f"docid {docid}: MaxP over segments needs docids that read docid{DELIMITER}number"
            )
        if maxp == "chunks" and DELIMITER in docid:
            raise ValueError(
                f"docid {docid}: MaxP over chunks adds {DELIMITER}number to a docid, which may "
                f"then not hold {DELIMITER} itself"
            )

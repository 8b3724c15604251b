"""MaxP: a long document is several vectors, and its best one speaks for it. Two kinds.

``segments``: the collection holds passages already, whose docids read ``docid#n``, as in Pyserini.

``chunks``: Microsoft's way (microsoft/ANCE, ``RobertaDot_CLF_ANN_NLL_MultiChunk``). A document is
one sequence of 4 x 512 tokens with one ``<s>`` at its start and one ``</s>`` at its end, cut into
chunks of 512 without special tokens of their own; each chunk's vector is read at its first token,
and its positions start anew. A chunk that would be padding alone is masked there when scores are
compared; here it gets no vector, which comes to the same. Chunks are stored under ``docid#n``, so
that any search with ``--max-passage`` takes the maximum.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ance_plugin.records import Document

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

type MaxP = Literal["segments", "chunks"]

KINDS: tuple[MaxP, ...] = ("segments", "chunks")
DELIMITER = "#"
NUM_CHUNKS = 4


def tokenize_passages(
    encoder: "Encoder", documents: Sequence[Document], maxp: MaxP | None
) -> tuple[list[str], list[list[int]]]:
    """Turn documents into the token ids of one vector each, or of several.

    Args:
        encoder: Whose tokenizer, template and lengths.
        documents: What to tokenize; with ``segments``, passages.
        maxp: The kind of MaxP; None is one vector a document.

    Returns:
        Docids and token ids, one each a vector.

    Raises:
        ValueError: A docid has no ``#`` (segments) or has one (chunks), or the encoder's body has
            too few positions.
    """
    docids = [document.docid for document in documents]
    _check_docids(docids, maxp)
    chunk_tokens = encoder.settings.max_document_tokens
    encoder.require_positions(chunk_tokens)
    if maxp != "chunks":
        return docids, encoder.tokenize_documents(documents, chunk_tokens)
    rows = encoder.tokenize_documents(documents, NUM_CHUNKS * chunk_tokens)
    chunks = [split_into_chunks(row, chunk_tokens) for row in rows]
    names = [
        f"{docid}{DELIMITER}{number}"
        for docid, parts in zip(docids, chunks, strict=True)
        for number in range(len(parts))
    ]
    return names, [chunk for parts in chunks for chunk in parts]


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

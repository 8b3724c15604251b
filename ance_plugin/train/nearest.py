"""The encoded collection of one refresh: vectors on disk, searched exactly, seen as documents."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.encode.maxp import DELIMITER, NUM_CHUNKS
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.vectors import GrowingVectors, Vectors
from ance_plugin.index.exact import search_exactly
from ance_plugin.progress import count
from ance_plugin.train.corpus import Corpus

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

BLOCK_SIZE = 8192


@dataclass(frozen=True, slots=True)
class Nearest:
    """What a search found: documents of each query, best first.

    Attributes:
        scores: Shape (q, k), float32; minus infinity where a query has fewer than k documents.
        rows: Shape (q, k), int64; -1 there.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]


def encode_corpus(
    corpus: Corpus,
    encoder: "Encoder",
    output: Path,
    settings: dict[str, Any],
    *,
    shard: tuple[int, int] = (0, 1),
    chunk_tokens: int | None = None,
    on_block: Callable[[int], object] = lambda _: None,
) -> bool:
    """Encode the blocks that are not there yet, so that a killed refresh goes on where it was.

    Args:
        corpus: The documents.
        encoder: With what.
        output: The vectors' directory.
        settings: What decides the bytes.
        shard: Which blocks: those whose number divided by the second leaves the first.
        chunk_tokens: Tokens of MaxP's chunks; None is one vector a document.
        on_block: Called with the number of a block before it is encoded.

    Returns:
        Whether every block of every shard is there.
    """
    if output.exists():
        return True
    try:
        vectors = GrowingVectors(output, {**settings, "dimension": encoder.dimension})
    except ArtifactError:
        if output.exists():  # another rank has finished it since
            return True
        raise
    num_blocks = -(-corpus.num_documents // BLOCK_SIZE)
    with (
        vectors.claim(*shard),
        count(what="encode", total=corpus.num_documents) as advance,
    ):
        for block in range(shard[0], num_blocks, shard[1]):
            rows = range(block * BLOCK_SIZE, min((block + 1) * BLOCK_SIZE, corpus.num_documents))
            if not vectors.has_block(block):
                on_block(block)
                docids, texts = _list_texts(corpus, rows, chunk_tokens)
                vectors.write_block(block, docids, encoder.encode_tokens(texts))
            advance(len(rows))
    return vectors.finish(num_blocks, corpus.num_documents)


class EncodedCorpus:
    """Search encoded documents by query vectors.

    Args:
        corpus: The documents.
        path: Their vectors.
        device: Where to compute.
        is_chunked: Whether a document has several vectors, the best of which counts.
    """

    def __init__(
        self, corpus: Corpus, path: Path, *, device: str, is_chunked: bool = False
    ) -> None:
        self._corpus = corpus
        self._vectors = Vectors(path)
        self._device = device
        self._owners = self._find_owners() if is_chunked else None

    def search(self, queries: NDArray[np.float32], k: int) -> Nearest:
        """Find the k best documents of each query; ``queries`` has shape (q, d), float32."""
        blocks = (vectors for _, vectors in self._vectors.iter_blocks())
        if self._owners is None:
            return Nearest(*search_exactly(queries, blocks, k, device=self._device))
        scores, rows = search_exactly(queries, blocks, k * NUM_CHUNKS, device=self._device)
        return _keep_best_chunks(scores, self._owners[rows], k)

    def score(
        self, queries: NDArray[np.float32], documents: Sequence[NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]:
        """Score some documents of each query.

        Args:
            queries: Shape (q, d), float32.
            documents: Rows of each query's documents.

        Returns:
            The scores of each query's documents, in the order given.
        """
        owners = np.repeat(np.arange(len(documents)), [len(rows) for rows in documents])
        wanted = np.concatenate([*documents, np.empty(0, np.int64)]).astype(np.int64)
        scores = np.full(len(wanted), -np.inf, dtype=np.float32)
        start = 0
        for _, vectors in self._vectors.iter_blocks():
            end = start + len(vectors)
            for places, rows in self._find_vectors(wanted, start, end):
                chosen = np.asarray(vectors[rows - start], np.float32)
                found = np.einsum("pd,pd->p", queries[owners[places]], chosen)
                np.maximum.at(scores, places, found)
            start = end
        ends = np.cumsum([len(rows) for rows in documents])
        return np.split(scores, ends)[:-1]  # what is after the last end is nothing

    def _find_vectors(
        self, wanted: NDArray[np.int64], start: int, end: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield (places in ``wanted``, rows of vectors) in a block, a few thousand at a time."""
        if self._owners is None:
            places = np.flatnonzero((wanted >= start) & (wanted < end))
            rows = wanted[places]
        else:
            of_block = self._owners[start:end]  # ascending: a document's chunks stand together
            first = np.searchsorted(of_block, wanted, side="left")
            last = np.searchsorted(of_block, wanted, side="right")
            places = np.repeat(np.arange(len(wanted)), last - first)
            offsets = np.arange(len(places)) - np.repeat(
                np.cumsum(last - first) - (last - first), last - first
            )
            rows = start + np.repeat(first, last - first) + offsets
        for begin in range(0, len(places), BLOCK_SIZE):
            part = slice(begin, begin + BLOCK_SIZE)
            yield places[part], rows[part]

    def _find_owners(self) -> NDArray[np.int64]:
        """Give the document's row of each vector."""
        docids = (docid for names, _ in self._vectors.iter_blocks() for docid in names)
        return np.array(
            [self._corpus.rows[docid.rpartition(DELIMITER)[0]] for docid in docids], dtype=np.int64
        )


def remove_vectors(output: Path) -> None:
    """Delete vectors that no refresh needs any more, finished or not."""
    for path in (output, artifacts.partial_path(output)):
        if path.is_dir():
            shutil.rmtree(path)


def _list_texts(
    corpus: Corpus, rows: range, chunk_tokens: int | None
) -> tuple[list[str], list[list[int]]]:
    docids, texts = [], []
    for row in rows:
        tokens = corpus.tokens(row)
        if chunk_tokens is None:
            docids.append(corpus.docids[row])
            texts.append(tokens.tolist())
            continue
        for number, start in enumerate(range(0, len(tokens), chunk_tokens)):
            docids.append(f"{corpus.docids[row]}{DELIMITER}{number}")
            texts.append(tokens[start : start + chunk_tokens].tolist())
    return docids, texts


def _keep_best_chunks(scores: NDArray[np.float32], owners: NDArray[np.int64], k: int) -> Nearest:
    """Keep each document once, where its best chunk stands; k documents a query at most."""
    best_scores = np.full((len(scores), k), -np.inf, dtype=np.float32)
    best_rows = np.full((len(scores), k), -1, dtype=np.int64)
    for query, documents in enumerate(owners):
        _, first = np.unique(documents, return_index=True)
        places = np.sort(first)[:k]
        best_scores[query, : len(places)] = scores[query, places]
        best_rows[query, : len(places)] = documents[places]
    return Nearest(best_scores, best_rows)

"""Pseudo-relevance feedback: search, make a new query vector from what was found, search again.

The three methods compute what Pyserini's ``DenseVectorAveragePrf``, ``DenseVectorRocchioPrf`` and
``DenseVectorAncePrf`` compute, for any encoder and in batches.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ance_plugin.progress import track
from ance_plugin.records import Hit, Run
from ance_plugin.search.vectors import QUERIES_AT_ONCE, Feedback

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

ANCE_PRF_TOKENS = 512


class FeedbackSearcher(Protocol):
    """A dense searcher that can give the vectors of what it finds; ``DenseSearcher`` does."""

    def encode(self, queries: Sequence[str], /) -> NDArray[np.float32]:
        """Encode queries, shape (q, d)."""
        ...

    def search_vectors(
        self, vectors: NDArray[np.float32], k: int, /, *, threads: int = 1
    ) -> list[list[Hit]]:
        """Find hits for query vectors."""
        ...

    def search_feedback(
        self, vectors: NDArray[np.float32], k: int, /, *, threads: int = 1
    ) -> list[Feedback]:
        """Find hits and their vectors."""
        ...


class PrfMethod(Protocol):
    """How queries and what they found become new query vectors."""

    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Make new query vectors, shape (q, d), from old ones and the feedback of each query."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Give the method and its numbers for a run's manifest."""
        ...


class AveragePrf:
    """The mean of the query's vector and those of its first hits, each with the same weight.

    Li et al., "Pseudo Relevance Feedback with Deep Language Models and Dense Retrievers", 2021.
    """

    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Average; a query that found nothing keeps its vector."""
        return np.stack(
            [
                np.mean(np.vstack((vector, feedback.vectors)), axis=0)
                for vector, feedback in zip(vectors, found, strict=True)
            ]
        ).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Give the method for a run's manifest."""
        return {"method": "avg"}


class RocchioPrf:
    """``alpha * query + beta * mean(first topk hits) - gamma * mean(last bottomk hits)``.

    First and last are of the hits that were fed back, so with ``topk + bottomk`` above the depth a
    hit is counted on both sides, as in Pyserini.

    Args:
        alpha: Weight of the query.
        beta: Weight of the hits taken as relevant.
        gamma: Weight of the hits taken as not relevant.
        topk: Hits taken as relevant, at least 1.
        bottomk: Hits taken as not relevant; 0 leaves that part out.

    Raises:
        ValueError: ``topk`` is below 1 or ``bottomk`` below 0.
    """

    def __init__(
        self,
        alpha: float = 0.9,
        beta: float = 0.1,
        gamma: float = 0.1,
        *,
        topk: int = 3,
        bottomk: int = 0,
    ) -> None:
        if topk < 1:
            raise ValueError(f"Rocchio's topk must be at least 1, found {topk}")
        if bottomk < 0:
            raise ValueError(f"Rocchio's bottomk must be at least 0, found {bottomk}")
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.topk = topk
        self.bottomk = bottomk

    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Move each query's vector; one that found nothing is ``alpha`` times itself."""
        pairs = zip(vectors, found, strict=True)
        return np.stack([self._move(vector, feedback) for vector, feedback in pairs])

    def _move(self, vector: NDArray[np.float32], feedback: Feedback) -> NDArray[np.float32]:
        moved = self.alpha * vector
        if len(feedback.vectors):
            moved = moved + self.beta * np.mean(feedback.vectors[: self.topk], axis=0)
            if self.bottomk:
                moved = moved - self.gamma * np.mean(feedback.vectors[-self.bottomk :], axis=0)
        return moved.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Give the method and its numbers for a run's manifest."""
        return {"method": "rocchio", **vars(self)}


class AncePrf:
    """Encode the query and the texts of its first hits anew, with an encoder trained for it.

    Yu et al., "Improving Query Representations for Dense Retrieval with Pseudo Relevance Feedback",
    CIKM 2021. The text is ``<s>query</s>passage</s>passage</s>``, cut to 512 tokens, so that a long
    one ends without its last ``</s>``, as in Pyserini. Texts are lower-cased where the encoder's
    settings say so; Pyserini means to, but with transformers 5 does not.

    Args:
        encoder: The ANCE-PRF query encoder; the published one is trained for three passages.
        read_text: Gives the text of a document by docid; ``Bm25Searcher.read_contents`` does.
        max_tokens: Tokens the joined text is cut to.
    """

    def __init__(
        self,
        encoder: "Encoder",
        read_text: Callable[[str], str],
        *,
        max_tokens: int = ANCE_PRF_TOKENS,
    ) -> None:
        self.encoder = encoder
        self.read_text = read_text
        self.max_tokens = max_tokens

    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Encode each query with its feedback; without any, the query alone."""
        texts = [
            self._join([query, *(self.read_text(hit.docid) for hit in feedback.hits)])
            for query, feedback in zip(queries, found, strict=True)
        ]
        rows = self.encoder.tokenize(texts, self.max_tokens, adds_special_tokens=False)
        return self.encoder.encode_tokens(rows)

    def _join(self, texts: Sequence[str]) -> str:
        first, last = self.encoder.special_tokens
        if self.encoder.settings.is_lowercased:
            texts = [text.lower() for text in texts]
        return f"{first}{last.join(texts)}{last}"

    def to_json(self) -> dict[str, Any]:
        """Give the method and its encoder for a run's manifest."""
        encoder = {"name": self.encoder.name, **self.encoder.identity}
        return {"method": "ance-prf", "encoder": encoder}


class PrfSearcher:
    """Search twice: first ``depth`` hits for feedback, then with the vector made from them.

    Args:
        searcher: Searches both times; a ``DenseSearcher`` or a subclass of it.
        method: What makes the new vector.
        depth: Hits that are fed back, at least 1.

    Raises:
        ValueError: ``depth`` is below 1.
    """

    def __init__(self, searcher: FeedbackSearcher, method: PrfMethod, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"the depth of feedback must be at least 1, found {depth}")
        self.searcher = searcher
        self.method = method
        self.depth = depth

    def search(self, query: str, k: int = 10, threads: int = 1) -> list[Hit]:
        """Search for one query; at most ``k`` hits, best first."""
        return self.batch_search([query], ["query"], k, threads)["query"]

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1
    ) -> Run:
        """Search for several queries at once.

        Args:
            queries: The texts.
            qids: Their ids, one each, no two the same.
            k: Hits at most for each query, at least 1.
            threads: Threads to search with.

        Returns:
            qid -> hits of the second search, best first, in the order of ``qids``.

        Raises:
            ValueError: ``k`` is below 1, lengths differ, or the index cannot give vectors back.
        """
        if len(queries) != len(qids):
            raise ValueError(f"{len(queries)} queries but {len(qids)} qids")
        run: Run = {}
        parts = range(0, len(qids), QUERIES_AT_ONCE)
        for first in track(parts, what="dense with feedback", total=len(parts)):
            vectors = self.revise(queries[first : first + QUERIES_AT_ONCE], threads=threads)
            hits = self.searcher.search_vectors(vectors, k, threads=threads)
            run.update(zip(qids[first : first + QUERIES_AT_ONCE], hits, strict=True))
        return run

    def revise(self, queries: Sequence[str], *, threads: int = 1) -> NDArray[np.float32]:
        """Make the vectors of the second search, shape (q, d), float32."""
        vectors = self.searcher.encode(queries)
        found = self.searcher.search_feedback(vectors, self.depth, threads=threads)
        return self.method.revise(queries, vectors, found)

"""Pseudo-relevance feedback: search, make a new query vector from what was found, search again.

The three methods compute what Pyserini's ``DenseVectorAveragePrf``, ``DenseVectorRocchioPrf`` and
``DenseVectorAncePrf`` compute, for any encoder and in batches.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ance_plugin.records import Hit, Run
from ance_plugin.search.vectors import Feedback, VectorSearcher, search_in_parts

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

ANCE_PRF_TOKENS = 512
_PYSERINI_TEXTS_AT_ONCE = 32


class PrfMethod(ABC):
    """How queries and what they found become new query vectors."""

    @abstractmethod
    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Make new query vectors, shape (q, d), from old ones and the feedback of each query."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Give the method and its numbers for a run's manifest."""


class VectorPrf(PrfMethod):
    """A method that moves each query's vector by the vectors of its hits, and reads no text."""

    name: str

    def revise(
        self,
        queries: Sequence[str],
        vectors: NDArray[np.float32],
        found: Sequence[Feedback],
    ) -> NDArray[np.float32]:
        """Move each query's vector, shape (q, d); the texts do not matter."""
        del queries
        pairs = zip(vectors, found, strict=True)
        moved = [self.move(vector, feedback.vectors) for vector, feedback in pairs]
        return np.stack(moved).astype(np.float32)

    @abstractmethod
    def move(self, vector: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.floating]:
        """Move one query's vector, (d,), by those of its hits, (m, d); m may be 0."""

    def to_json(self) -> dict[str, Any]:
        """Give the method and its numbers for a run's manifest."""
        return {"method": self.name, **vars(self)}


class AveragePrf(VectorPrf):
    """The mean of the query's vector and those of its first hits, each with the same weight.

    Li et al., "Pseudo Relevance Feedback with Deep Language Models and Dense Retrievers", 2021.
    """

    name = "avg"

    def move(self, vector: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.floating]:
        """Average; a query that found nothing keeps its vector."""
        mean: NDArray[np.floating] = np.mean(np.vstack((vector, found)), axis=0)
        return mean


class RocchioPrf(VectorPrf):
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

    name = "rocchio"

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

    def move(self, vector: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.floating]:
        """Weigh and add; a query that found nothing is ``alpha`` times itself."""
        moved: NDArray[np.floating] = self.alpha * vector
        if len(found):
            moved = moved + self.beta * np.mean(found[: self.topk], axis=0)
            if self.bottomk:
                moved = moved - self.gamma * np.mean(found[-self.bottomk :], axis=0)
        return moved


@runtime_checkable
class PyseriniPrfEncoder(Protocol):
    """What Pyserini's own ANCE-PRF asks of a query encoder; its ``AnceQueryEncoder`` has it."""

    tokenizer: Any

    def prf_batch_encode(self, query: list[str], /) -> NDArray[np.float32]:
        """Encode texts that hold their special tokens, cut to 512 tokens."""
        ...


class AncePrf(PrfMethod):
    """Encode the query and the texts of its first hits anew, with an encoder trained for it.

    Yu et al., "Improving Query Representations for Dense Retrieval with Pseudo Relevance Feedback",
    CIKM 2021. The text is ``<s>query</s>passage</s>passage</s>``, cut to 512 tokens, so that a long
    one ends without its last ``</s>``, as in Pyserini. Texts are lower-cased where the encoder's
    settings say so; Pyserini means to, but with transformers 5 does not.

    Args:
        encoder: The ANCE-PRF query encoder, ours or Pyserini's; the published one is trained for
            three passages.
        read_text: Gives the text of a document by docid; ``Bm25Searcher.read_contents`` does.
        max_tokens: Tokens the joined text is cut to.

    Raises:
        ValueError: The encoder's body has fewer positions than ``max_tokens``, its tokenizer has no
            first or no separating token, or it is Pyserini's and ``max_tokens`` is not 512.
    """

    def __init__(
        self,
        encoder: "Encoder | PyseriniPrfEncoder",
        read_text: Callable[[str], str],
        *,
        max_tokens: int = ANCE_PRF_TOKENS,
    ) -> None:
        if isinstance(encoder, PyseriniPrfEncoder):
            if max_tokens != ANCE_PRF_TOKENS:
                raise ValueError(f"Pyserini's encoder cuts to {ANCE_PRF_TOKENS}, not {max_tokens}")
            ends = encoder.tokenizer.cls_token, encoder.tokenizer.sep_token
        elif max_tokens > encoder.num_positions:
            raise ValueError(
                f"ANCE-PRF cuts query and passages to {max_tokens} tokens, but {encoder.name} has "
                f"{encoder.num_positions} positions; give an encoder that was trained for ANCE-PRF"
            )
        else:
            ends = encoder.special_tokens
        self._first, self._last = ends
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
        if isinstance(self.encoder, PyseriniPrfEncoder):
            parts = batched(texts, _PYSERINI_TEXTS_AT_ONCE)
            encoded = [self.encoder.prf_batch_encode(list(part)) for part in parts]
            return np.concatenate(encoded).astype(np.float32)
        rows = self.encoder.tokenize(texts, self.max_tokens, adds_special_tokens=False)
        return self.encoder.encode_tokens(rows)

    def _join(self, texts: Sequence[str]) -> str:
        settings = getattr(self.encoder, "settings", None)
        if settings is not None and settings.is_lowercased:
            texts = [text.lower() for text in texts]
        return f"{self._first}{self._last.join(texts)}{self._last}"

    def to_json(self) -> dict[str, Any]:
        """Give the method and its encoder for a run's manifest."""
        name = getattr(self.encoder, "name", type(self.encoder).__name__)
        identity = getattr(self.encoder, "identity", None) or {}
        return {"method": "ance-prf", "encoder": {"name": name, **identity}}


class PrfSearcher:
    """Search twice: first ``depth`` hits for feedback, then with the vector made from them.

    Args:
        searcher: Searches both times; ``DenseSearcher`` or ``LuceneDenseSearcher``.
        method: What makes the new vector.
        depth: Hits that are fed back, at least 1.

    Raises:
        ValueError: ``depth`` is below 1.
    """

    def __init__(self, searcher: VectorSearcher, method: PrfMethod, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"the depth of feedback must be at least 1, found {depth}")
        self.searcher = searcher
        self.method = method
        self.depth = depth

    def search(self, query: str, k: int = 10, threads: int = 1) -> list[Hit]:
        """Search for one query; at most ``k`` hits, best first."""
        return list(self.batch_search([query], ["query"], k, threads)["query"])

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

        def find(part: slice) -> list[Sequence[Hit]]:
            vectors = self.revise(queries[part], threads=threads)
            return self.searcher.search_vectors(vectors, k, threads=threads)

        return search_in_parts(queries, qids, find, what="dense with feedback")

    def revise(self, queries: Sequence[str], *, threads: int = 1) -> NDArray[np.float32]:
        """Make the vectors of the second search, shape (q, d), float32."""
        vectors = self.searcher.encode(queries)
        found = self.searcher.search_feedback(vectors, self.depth, threads=threads)
        return self.method.revise(queries, vectors, found)

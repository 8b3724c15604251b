"""The records every stage speaks: documents, topics, hits, runs and qrels."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Document:
    """A unit of retrieval; ``docid`` is the external id and always a string."""

    docid: str
    text: str
    title: str = ""

    @property
    def contents(self) -> str:
        """Title and text joined by one space, the text that BM25 indexes."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Topic:
    """A query with its id; ``qid`` is a string even where it looks like a number."""

    qid: str
    text: str


class Hit(NamedTuple):
    """A retrieved document and its score; Pyserini reads the same two attributes."""

    docid: str
    score: float


type Run = dict[str, list[Hit]]
"""qid -> hits, best first."""

type Qrels = dict[str, dict[str, int]]
"""qid -> docid -> graded relevance."""

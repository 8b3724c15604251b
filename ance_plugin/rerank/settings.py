"""What is reranked of a run, and how long documents are read."""

from dataclasses import dataclass
from typing import Any

from ance_plugin.rerank.pairs import BestPassage


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """What decides a reranked run beside the model.

    Attributes:
        depth: Documents of each topic that are scored again, from the top.
        passage: How to lay out windows over a long document, the best of which is its score; None
            reads its beginning.
        hits: Hits of each topic in the new run; None is all.
    """

    depth: int = 100
    passage: BestPassage | None = None
    hits: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, found {self.depth}")
        if self.hits is not None and self.hits < 1:
            raise ValueError(f"hits must be at least 1, found {self.hits}")

    def to_json(self) -> dict[str, Any]:
        """Give the settings as they stand in a run's manifest."""
        passages: dict[str, Any] = {"passages": "first"}
        if self.passage is not None:
            passages = {
                "passages": "best",
                "passage_tokens": self.passage.tokens,
                "passage_stride": self.passage.stride,
            }
        return {"rerank_depth": self.depth, **passages, "hits": self.hits}

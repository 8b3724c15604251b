"""The records every stage speaks: documents, topics, hits, runs and qrels."""

import gc
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


type Run = Mapping[str, Sequence[Hit]]
"""qid -> hits, best first."""

type Qrels = dict[str, dict[str, int]]
"""qid -> docid -> graded relevance."""


class _Collector:
    """The garbage collector, paused while any thread asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_pauses = 0
        self._was_enabled = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep it from walking all hits again and again while many are made.

        Python counts new objects, and a hit, unlike a plain tuple, stays among those it walks.
        """
        is_counted = False
        try:
            with self._lock:
                if not self._num_pauses:
                    self._was_enabled = gc.isenabled()
                    gc.disable()
                self._num_pauses += 1
                is_counted = True
            yield
        finally:
            with self._lock:
                self._num_pauses -= is_counted
                if not self._num_pauses and self._was_enabled:
                    gc.enable()


no_collection = _Collector().paused

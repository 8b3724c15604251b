"""What Anserini's ``SimpleSearcher`` finds, without the stored fields of each hit.

A hit's docid comes from the index's doc values, by which ties were broken already, and is kept:
reading the stored text of every hit is most of the time of a search for a thousand. Scores are
adjusted as ``ScoreTiesAdjusterReranker`` does it, in float32.
"""

from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import jvm

_CONTENTS, _ID = "contents", "id"  # Anserini's names of fields
_SIMPLE_SEARCHER = "io.anserini.search.SimpleSearcher"

type Hits = tuple[list[int], NDArray[np.float32]]
"""The index's numbers of documents, best first, and their scores."""


class LuceneHits:
    """Search by the query generator, analyzer, similarity and order of a ``SimpleSearcher``.

    Args:
        searcher: The ``SimpleSearcher``, its settings made.
    """

    def __init__(self, searcher: Any) -> None:  # noqa: ANN401 - a Java object
        searcher.search("", 1)  # has it make its IndexSearcher, with the similarity that was set
        fields = jvm.autoclass("org.apache.commons.lang3.reflect.FieldUtils")
        name = jvm.autoclass("java.lang.Class").forName(_SIMPLE_SEARCHER)
        self._index_searcher = fields.readField(searcher, "searcher", True)
        self._sort = fields.readStaticField(name, "BREAK_SCORE_TIES_BY_DOCID", True)
        self._analyzer = searcher.get_analyzer()
        self._generator = jvm.autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        self._serializer = _row_serializer()
        leaves = fields.readField(searcher, "reader", True).leaves()
        self._leaves = [leaves.get(number) for number in range(leaves.size())]
        self._starts = [leaf.docBase for leaf in self._leaves]
        self._docids: dict[int, str] = {}

    @staticmethod
    def can_read(searcher: Any) -> bool:  # noqa: ANN401 - a Java object
        """Say whether the index has docids as doc values; Lucene 8's are in a form of their own."""
        fields = jvm.autoclass("org.apache.commons.lang3.reflect.FieldUtils")
        return not fields.readField(searcher, "backwardsCompatibilityLucene8", True)

    def search(
        self, queries: Sequence[str], k: int, threads: int
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Search for queries with several threads.

        Args:
            queries: Texts.
            k: Hits at most for each.
            threads: Threads, each with a share of the queries.

        Returns:
            Docids and scores of each query, best first, as ``SimpleSearcher`` gives them.
        """
        shares = [queries[number::threads] for number in range(threads)]
        if threads == 1:
            parts = [self._search_share(queries, k)]
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(lambda share: self._search_and_detach(share, k), shares))
        found: list[Hits] = [([], np.empty(0, np.float32))] * len(queries)
        for number, part in enumerate(parts):
            found[number::threads] = part
        self._learn_docids({row for rows, _ in found for row in rows})
        return [([self._docids[row] for row in rows], scores) for rows, scores in found]

    def _search_and_detach(self, queries: Sequence[str], k: int) -> list[Hits]:
        from jnius import detach

        try:
            return self._search_share(queries, k)
        finally:
            detach()  # the JVM must know when a thread of Python's is gone

    def _search_share(self, queries: Sequence[str], k: int) -> list[Hits]:
        found = []
        for text in queries:
            query = self._generator.buildQuery(_CONTENTS, self._analyzer, text)
            top = self._index_searcher.search(query, k, self._sort, True)
            # As a whole: taken out here, its hits would become objects of Python's one by one.
            rows, scores = _read_hits(self._serializer.writeValueAsString(top))
            found.append((rows.astype(np.int64).tolist(), adjust_ties(scores.astype(np.float32))))
        return found

    def _learn_docids(self, rows: set[int]) -> None:
        """Read docids that were not read before; doc values are read in the order of rows."""
        unknown = sorted(rows - self._docids.keys())
        if not unknown:
            return
        with jvm.BRIDGE:
            for leaf, group in groupby(unknown, lambda row: bisect_right(self._starts, row) - 1):
                values = self._leaves[leaf].reader().getBinaryDocValues(_ID)
                for row in group:
                    values.advanceExact(row - self._starts[leaf])
                    self._docids[row] = values.binaryValue().utf8ToString()


def adjust_ties(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round scores to four decimals and lower each of several equal ones, as Anserini does.

    Args:
        scores: Shape (n,), best first.

    Returns:
        The same shape: the second of equal scores is lower by 0.000001, the third by twice as much;
        a score within 0.0001 of the one before it, after that was lowered, counts as equal.
    """
    rounded = (np.floor(scores.astype(np.float64) * 10_000 + 0.5) / 10_000).astype(np.float32)
    near = np.float32(1e-4 + 2e-6 * (len(scores) + 1))
    least, step = np.float32(1e-4), np.float32(1e-6)
    gaps = rounded[:-1] - rounded[1:]
    places = np.flatnonzero(gaps <= near) + 1
    if not len(places):
        return rounded
    starts = np.flatnonzero(np.diff(places, prepend=-1) > 1)  # of stretches without a wider gap
    sizes = np.diff(starts, append=len(places))
    is_equal = np.repeat(np.maximum.reduceat(gaps[places - 1], starts) == 0, sizes)
    numbers = np.arange(1, len(places) + 1) - np.repeat(starts, sizes)
    rounded[places[is_equal]] -= step * numbers[is_equal].astype(np.float32)
    num_equal, last = 0, 0
    for place in places[~is_equal].tolist():
        num_equal = num_equal if place == last + 1 else 0
        is_apart = gaps[place - 1] > least
        if is_apart and (not num_equal or rounded[place - 1] - rounded[place] > least):
            num_equal = 0
        else:
            num_equal += 1
            rounded[place] -= step * np.float32(num_equal)
        last = place
    return rounded


def _read_hits(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read rows and scores from ``{"scoreDocs":[[row,score],...]}``."""
    values = text[text.index("[") + 1 : text.rindex("]")].replace("[", "").replace("]", "")
    table = np.fromstring(values, sep=",") if values else np.empty(0)
    return table[0::2], table[1::2]


def _row_serializer() -> Any:  # noqa: ANN401 - a com.fasterxml.jackson.databind.ObjectMapper
    """Make what turns hits into JSON with their rows and scores, and nothing else."""
    mapper = jvm.autoclass("com.fasterxml.jackson.databind.ObjectMapper")()
    feature = jvm.autoclass("com.fasterxml.jackson.databind.MapperFeature")
    mapper.configure(feature.SORT_PROPERTIES_ALPHABETICALLY, True)  # doc, then score
    formats = jvm.autoclass("com.fasterxml.jackson.annotation.JsonFormat$Value")
    shape = jvm.autoclass("com.fasterxml.jackson.annotation.JsonFormat$Shape")
    ignored = jvm.autoclass("java.util.HashSet")()
    for name in ("shardIndex", "fields", "totalHits"):
        ignored.add(name)
    value = jvm.autoclass("com.fasterxml.jackson.annotation.JsonIgnoreProperties$Value")
    for name in ("FieldDoc", "TopFieldDocs"):
        kind = jvm.autoclass("java.lang.Class").forName(f"org.apache.lucene.search.{name}")
        override = mapper.configOverride(kind)
        override.setIgnorals(value.forIgnoredProperties(ignored))
        if name == "FieldDoc":
            override.setFormat(formats.forShape(shape.ARRAY))
    return mapper

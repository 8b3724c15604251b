"""BM25 over a Lucene index, through Anserini's ``SimpleSearcher`` as Pyserini searches.

Anserini rounds BM25 scores to four decimals and lowers each of several equal ones by 0.000001,
docids ascending; a run of ours is therefore the run stock ``pyserini.search.lucene`` writes.
"""

import json
import math
from collections.abc import Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from ance_plugin import artifacts, jvm
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.packed_hits import rank_packed
from ance_plugin.progress import track
from ance_plugin.records import Hit, Run, no_collection
from ance_plugin.search.lucene_hits import LuceneHits

K1 = 0.9
B = 0.4
_QUERIES_AT_ONCE = 64
_MAX_TERMS = 1_000_000


class Bm25Searcher:
    """Search a Lucene index made here or by any Pyserini command.

    Args:
        index_dir: The index directory.
        k1: BM25's term-frequency saturation, at least 0.
        b: BM25's length normalisation, 0 to 1.

    Raises:
        FileNotFoundError: There is no such directory.
        ArtifactError: It is no Lucene index.
        ValueError: ``k1`` or ``b`` is out of range.
        JavaError: There is no usable Java.
    """

    def __init__(self, index_dir: str | Path, k1: float = K1, b: float = B) -> None:
        path = Path(index_dir)
        check_bm25_parameters(k1, b)
        check_bm25_index(path)
        self.index_dir = path
        self.k1 = k1
        self.b = b
        with jvm.BRIDGE:
            # Lucene refuses a query of more than 1,024 terms unless told otherwise.
            jvm.autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(_MAX_TERMS)
            self._searcher: Any = _open(path)
            self._searcher.set_bm25(k1, b)
            self._fast = LuceneHits(self._searcher) if LuceneHits.can_read(self._searcher) else None
            self._serializer = hit_serializer()
            self.num_docs: int = self._searcher.get_total_num_docs()

    def search(self, query: str, k: int = 10) -> list[Hit]:
        """Find the documents with the highest BM25 score; a query without a known term has no hits.

        Args:
            query: The query's text; Lucene's operators in it are plain characters.
            k: Hits at most, at least 1.

        Returns:
            Hits, best first.
        """
        return list(self.batch_search([query], ["query"], k)["query"])

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
            qid -> hits, best first, in the order of ``qids``.

        Raises:
            ValueError: ``k`` is below 1, or lengths differ.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        if len(queries) != len(qids):
            raise ValueError(f"{len(queries)} queries but {len(qids)} qids")
        run: dict[str, Sequence[Hit]] = {}
        pairs = list(zip(queries, qids, strict=True))
        parts = batched(pairs, _QUERIES_AT_ONCE)
        with no_collection():
            for part in track(parts, what="BM25", total=-(-len(pairs) // _QUERIES_AT_ONCE)):
                run.update(self._search_part(part, k, threads))
        return run

    def read_contents(self, docid: str) -> str:
        """Read what was indexed of a document: its title and text, as they were.

        Raises:
            MismatchError: There is no such document.
            ArtifactError: The index does not hold texts as JSON with ``contents``.
        """
        document = self._searcher.doc(docid)
        if document is None:
            raise MismatchError(
                f"{self.index_dir}: has no document {docid}; give a sparse index of the passages "
                "that the dense index holds"
            )
        raw = document.get("raw")
        try:
            return str(json.loads(raw)["contents"])
        except (TypeError, ValueError, KeyError) as err:
            raise ArtifactError(
                f"{self.index_dir}: does not hold the text of {docid} as JSON with contents; make "
                "it with python -m ance_plugin.index bm25, or Pyserini's -storeRaw"
            ) from err

    def _search_part(self, part: Sequence[tuple[str, str]], k: int, threads: int) -> Run:
        queries, qids = zip(*part, strict=True)
        # Lucene allocates room for k hits a query, so a k beyond the collection costs memory alone.
        depth = min(k, max(self.num_docs, 1))
        if self._fast is not None:
            hits_of = self._fast.search(queries, depth, threads)
            return {qid: rank_packed(*hits) for qid, hits in zip(qids, hits_of, strict=True)}
        lists = java_list(queries), java_list(qids)  # before the method is taken, see BRIDGE
        found = self._searcher.batch_search(*lists, depth, threads)
        hits = json.loads(self._serializer.writeValueAsString(found))
        return {
            qid: rank_packed(
                [hit["docid"] for hit in hits[qid]], [hit["score"] for hit in hits[qid]]
            )
            for qid in qids
        }


def hit_serializer() -> Any:  # noqa: ANN401 - a com.fasterxml.jackson.databind.ObjectMapper
    """Make what turns all hits into one JSON text; reading them one by one takes a call a field."""
    mapper = jvm.autoclass("com.fasterxml.jackson.databind.ObjectMapper")()
    document = jvm.autoclass("java.lang.Class").forName("org.apache.lucene.document.Document")
    mapper.configOverride(document).setIsIgnoredType(jvm.autoclass("java.lang.Boolean")(True))
    return mapper


def java_list(texts: Sequence[str]) -> Any:  # noqa: ANN401 - a java.util.List
    """Make Java's list of texts, which its searchers take queries in."""
    items = jvm.autoclass("java.util.ArrayList")()
    with jvm.BRIDGE:
        for text in texts:
            items.add(text)
    return items


def _open(path: Path) -> Any:  # noqa: ANN401 - an io.anserini.search.SimpleSearcher
    java_exception = jvm.java_exception()
    try:
        return jvm.autoclass("io.anserini.search.SimpleSearcher")(str(path))
    except java_exception as err:
        reason = str(err).strip().splitlines()[0]
        raise ArtifactError(f"{path}: Lucene cannot open it ({reason}); index it again") from err


def check_bm25_parameters(k1: float, b: float) -> None:
    """Raise ValueError where BM25's parameters are out of range."""
    if not (k1 >= 0 and math.isfinite(k1)):
        raise ValueError(f"k1 must be a number of at least 0, found {k1}")
    if not 0 <= b <= 1:
        raise ValueError(f"b must be between 0 and 1, found {b}")


def check_bm25_index(path: Path) -> None:
    """Raise FileNotFoundError or ArtifactError where ``path`` is no Lucene index."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such directory; expected a Lucene index")
    if (path / artifacts.METADATA).is_file():
        artifacts.open_sealed(path, "bm25-index")
    if not any(path.glob("segments_*")):
        raise ArtifactError(
            f"{path}: is no Lucene index (no segments file); make one with "
            "python -m ance_plugin.index bm25"
        )

"""Negatives from BM25: those of the warm-up, and what dense ones are mixed with."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path

import numpy as np

from ance_plugin.errors import MismatchError
from ance_plugin.records import Hit, Topic
from ance_plugin.search.bm25 import K1, B, Bm25Searcher, check_bm25_index, check_bm25_parameters
from ance_plugin.train.negatives.mining import Candidates, Miner
from ance_plugin.train.negatives.rows import TopicNegatives

logger = logging.getLogger(__name__)


def mine_bm25(
    sparse_index: Path,
    topics: Iterable[Topic],
    miner: Miner,
    *,
    k1: float = K1,
    b: float = B,
    hits: int | None = None,
    threads: int = 1,
    batch: int = 1024,
) -> Iterator[TopicNegatives]:
    """Mine negatives with BM25, in the order of the topics; arguments are checked at once.

    Topics without a positive in the collection are skipped, and their number is logged.

    Args:
        sparse_index: Lucene index of the collection.
        topics: What to mine for.
        miner: Its mix must be of bm25, with or without random.
        k1: BM25's term-frequency saturation.
        b: BM25's length normalisation.
        hits: Hits to search for; the miner's ``depth`` when None, and no more than that is read.
        threads: Java threads to search with.
        batch: Topics searched for at once.

    Returns:
        The negatives of each topic, of round 0 and step 0.

    Raises:
        FileNotFoundError: There is no such index directory.
        ArtifactError: It is no Lucene index.
        MismatchError: None of a batch's hits is in the miner's collection.
        ValueError: An argument is out of range, the mix is another, or no topic has a positive.
        JavaError: There is no usable Java.
    """
    if miner.sources != ("bm25",):
        raise ValueError(f"BM25 mines a mix of bm25 and random, found {dict(miner.settings.mix)}")
    depth = miner.settings.depth if hits is None else hits
    for name, value in (("hits", depth), ("threads", threads), ("batch", batch)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")
    check_bm25_parameters(k1, b)
    check_bm25_index(sparse_index)
    given = list(topics)
    usable = [topic for topic in given if miner.has_positive(topic.qid)]
    if not usable:
        raise ValueError(
            f"none of {len(given)} topics has a judged positive in {miner.corpus.path}; give the "
            "qrels of these topics and this collection"
        )
    if len(usable) < len(given):
        problem = "%d of %d topics have no positive in the collection and are skipped"
        logger.warning(problem, len(given) - len(usable), len(given))
    searcher = Bm25Searcher(sparse_index, k1, b)
    return _mine(searcher, usable, miner, k=depth, threads=threads, batch=batch)


def _mine(
    searcher: Bm25Searcher,
    topics: Sequence[Topic],
    miner: Miner,
    *,
    k: int,
    threads: int,
    batch: int,
) -> Iterator[TopicNegatives]:
    for part in batched(topics, batch):
        texts, qids = [topic.text for topic in part], [topic.qid for topic in part]
        run = searcher.batch_search(texts, qids, k, threads)
        _require_common(searcher, miner, run.values())
        for qid in qids:
            yield miner.mine(qid, {"bm25": _to_candidates(run[qid])})


def _require_common(searcher: Bm25Searcher, miner: Miner, found: Iterable[Sequence[Hit]]) -> None:
    docids = [hit.docid for hits in found for hit in hits]
    if docids and not any(docid in miner.corpus.rows for docid in docids):
        raise MismatchError(
            f"{searcher.index_dir}: what it finds, such as {docids[0]}, is not in "
            f"{miner.corpus.path}; index the collection that was tokenized"
        )


def _to_candidates(hits: Sequence[Hit]) -> Candidates:
    scores = np.array([hit.score for hit in hits], dtype=np.float32)
    return Candidates([hit.docid for hit in hits], scores)

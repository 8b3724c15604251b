"""Reranking: the top of a first-stage run in the order of a cross-encoder's scores.

Documents below the depth keep their order under the reranked ones. Their scores say so: the n-th
gets the lowest reranked score, rounded down, less n, so that trec_eval, which sorts by score, ranks
as we do.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ance_plugin.progress import count
from ance_plugin.ranking import canonical_scores, rank
from ance_plugin.records import Document, Hit, Run
from ance_plugin.rerank.journal import ScoredTopic
from ance_plugin.rerank.settings import RerankSettings

if TYPE_CHECKING:
    from ance_plugin.rerank.cross_encoder import CrossEncoder
    from ance_plugin.rerank.journal import Journal

logger = logging.getLogger(__name__)


def rerank_run(
    run: Run,
    queries: Mapping[str, str],
    documents: Mapping[str, Document],
    model: "CrossEncoder",
    settings: RerankSettings,
    *,
    journal: "Journal | None" = None,
) -> Run:
    """Rerank the top of each topic.

    Batches never mix topics, so that the scores of one do not depend on which came before.

    Args:
        run: The first-stage run.
        queries: What ``find_queries`` gave.
        documents: What ``find_documents`` gave.
        model: Scores the pairs.
        settings: How deep, and how documents are read.
        journal: Topics that are scored already, and where to put the others; None keeps none.

    Returns:
        The new run, topics in the order of the old one.
    """
    scored = dict(journal.topics) if journal is not None else {}
    num_all = sum(len(hits[: settings.depth]) for hits in run.values())
    num_kept = sum(len(topic.scores) for topic in scored.values())
    logger.info(
        "rerank: %d pairs of %d topics to score, %d of %d are there already",
        num_all - num_kept,
        len(run) - len(scored),
        num_kept,
        num_all,
    )
    with count(what="rerank", total=num_all) as advance:
        advance(num_kept)
        for qid, hits in run.items():
            if qid in scored:
                continue
            top = [documents[hit.docid] for hit in hits[: settings.depth]]
            scored[qid] = _score_topic(qid, queries[qid], top, model, settings)
            if journal is not None:
                journal.add(scored[qid])
            advance(len(top))
    return {qid: merge(hits, scored[qid].scores)[: settings.hits] for qid, hits in run.items()}


def merge(hits: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """Put reranked hits in order, and the others under them as they were.

    Args:
        hits: First-stage hits, best first.
        scores: New scores of the first ones; higher is better.

    Returns:
        As many hits, scores as the module says; equal scores are in the order of ``ranking``.

    Raises:
        ValueError: A score is not finite, or so far down that float32 cannot tell what is below it.
    """
    reranked = rank([hit.docid for hit in hits[: len(scores)]], scores)
    rest = hits[len(scores) :]
    lowest = reranked[-1].score if reranked else 0.0
    below = canonical_scores(math.floor(lowest) - np.arange(1, len(rest) + 1, dtype=np.float64))
    if (np.diff(below, prepend=lowest) >= 0).any():
        raise ValueError(f"a score of {lowest} leaves no room for {len(rest)} documents below it")
    tail = [Hit(hit.docid, score) for hit, score in zip(rest, below.tolist(), strict=True)]
    return reranked + tail


def _score_topic(
    qid: str,
    query: str,
    documents: Sequence[Document],
    model: "CrossEncoder",
    settings: RerankSettings,
) -> ScoredTopic:
    started = time.monotonic()
    scores = model.score([query] * len(documents), documents, passage=settings.passage)
    return ScoredTopic(qid, scores.tolist(), round(time.monotonic() - started, 4))

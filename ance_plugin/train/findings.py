"""What an encoder finds now: the collection encoded, training and dev topics searched in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.ranking import rank
from ance_plugin.records import Hit, Run
from ance_plugin.train.inputs import DevTopics, Inputs
from ance_plugin.train.nearest import EncodedCorpus, Nearest
from ance_plugin.train.negatives.mining import Candidates

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder


@dataclass(slots=True)
class Findings:
    """Hits and scores of training topics, and the dev run; empty where nothing was searched.

    Attributes:
        dev_run: Hits of the dev topics; None where there are none.
        places: Place, in what follows, of each training topic that was searched.
        nearest: Their hits.
        positive_scores: Scores of each one's positives, in the order of the topic's positives.
    """

    dev_run: Run | None = None
    places: dict[int, int] = field(default_factory=dict)
    nearest: Nearest | None = None
    positive_scores: Sequence[NDArray[np.float32]] = ()

    def list_candidates(self, topic: int, inputs: Inputs) -> Candidates | None:
        """Give a training topic's hits, best first; None where it was not searched."""
        if self.nearest is None or topic not in self.places:
            return None
        rows = self.nearest.rows[self.places[topic]]
        rows = rows[rows >= 0]
        docids = [inputs.corpus.docids[row] for row in rows.tolist()]
        return Candidates(docids, self.nearest.scores[self.places[topic], : len(rows)])

    def score_positives(self, topic: int, inputs: Inputs) -> Mapping[str, float] | None:
        """Give the scores of a training topic's positives; None where it was not searched."""
        if topic not in self.places:
            return None
        docids = [inputs.corpus.docids[row] for row in inputs.topics.positives[topic].tolist()]
        return dict(zip(docids, self.positive_scores[self.places[topic]].tolist(), strict=True))

    def score_others(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Give the scores of each searched topic's hits that are no positives, nor copies of one.

        A copy scores as its positive does but for rounding, which would decide who is first.
        """
        if self.nearest is None:
            return []
        hashes = inputs.corpus.hashes
        found = zip(self.places, self.nearest.scores, self.nearest.rows, strict=True)
        return [
            scores[(rows >= 0) & ~np.isin(hashes[rows], hashes[inputs.topics.positives[topic]])]
            for topic, scores, rows in found
        ]


def search_topics(
    inputs: Inputs,
    encoder: "Encoder",
    vectors: Path,
    topics: Sequence[int],
    *,
    depth: int,
    dev_depth: int,
    is_chunked: bool,
) -> Findings:
    """Search training topics, and all dev topics, in an encoded collection.

    Args:
        inputs: The run's.
        encoder: The one that encoded it.
        vectors: The encoded collection.
        topics: Numbers of the training topics to search.
        depth: Hits a training topic.
        dev_depth: Hits a dev topic.
        is_chunked: Whether a document has several vectors, the best of which counts.

    Returns:
        What was found.
    """
    corpus = EncodedCorpus(
        inputs.corpus, vectors, device=str(encoder.device), is_chunked=is_chunked
    )
    found = Findings(places={topic: place for place, topic in enumerate(topics)})
    if inputs.dev is not None:
        queries = encoder.encode_tokens([row.tolist() for row in inputs.dev.tokens])
        found.dev_run = _to_run(inputs, inputs.dev, corpus.search(queries, dev_depth))
    queries = encoder.encode_tokens([inputs.topics.tokens[topic].tolist() for topic in topics])
    found.nearest = corpus.search(queries, depth)
    positives = [inputs.topics.positives[topic] for topic in topics]
    found.positive_scores = corpus.score(queries, positives)
    return found


def _to_run(inputs: Inputs, dev: DevTopics, nearest: Nearest) -> Run:
    run: dict[str, list[Hit]] = {}
    for topic, scores, rows in zip(dev.topics, nearest.scores, nearest.rows, strict=True):
        docids = [inputs.corpus.docids[row] for row in rows[rows >= 0].tolist()]
        run[topic.qid] = rank(docids, scores[rows >= 0], max(len(docids), 1))
    return run

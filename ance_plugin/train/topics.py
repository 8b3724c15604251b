"""Training topics: their tokens and the rows of their positives, for topics that can be trained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.errors import FormatError
from ance_plugin.records import Qrels, Topic
from ance_plugin.train.corpus import Corpus

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

logger = logging.getLogger(__name__)

LEAST_SHARE = 0.1  # of the topics: below it, docids that many collections share explain as much


@dataclass(frozen=True, slots=True)
class TrainingTopics:
    """Topics with at least one positive in the collection, in the order of the source.

    Attributes:
        topics: Their ids and texts.
        tokens: Token ids of each text.
        positives: Rows of each topic's positives, highest relevance first, int64.
    """

    topics: list[Topic]
    tokens: list[NDArray[np.integer]]
    positives: list[NDArray[np.int64]]

    @classmethod
    def load(
        cls, topics: Sequence[Topic], qrels: Qrels, corpus: Corpus, encoder: "Encoder"
    ) -> "TrainingTopics":
        """Choose the topics that can be trained, and tokenize them.

        Args:
            topics: All topics.
            qrels: Judgments; a document of relevance 1 or more is a positive.
            corpus: The documents.
            encoder: Whose tokenizer and lower-casing to use.

        Returns:
            The topics with a positive in the collection.

        Raises:
            FormatError: There is none, or so few that some docids are alike by chance.
        """
        chosen, positives = [], []
        for topic in topics:
            rows = find_positives(qrels.get(topic.qid, {}), corpus)
            if len(rows):
                chosen.append(topic)
                positives.append(rows)
        if not chosen:
            raise FormatError(
                f"none of the {len(topics)} training topics has a relevant document in the "
                "collection; are topics, qrels and collection of one dataset?"
            )
        if len(chosen) < LEAST_SHARE * len(topics):
            raise FormatError(
                f"only {len(chosen)} of {len(topics)} training topics have a relevant document in "
                "the collection; if topics, qrels and collection are of one dataset, give the "
                "topics that can be trained alone"
            )
        if len(chosen) < len(topics):
            logger.warning(
                "%d of %d training topics have no relevant document in the collection and are "
                "left out",
                len(topics) - len(chosen),
                len(topics),
            )
        tokens = encoder.tokenize_queries([topic.text for topic in chosen])
        return cls(chosen, [np.asarray(row, dtype=np.int32) for row in tokens], positives)

    def __len__(self) -> int:
        """Count the topics."""
        return len(self.topics)


def find_positives(judged: dict[str, int], corpus: Corpus) -> NDArray[np.int64]:
    """Find the rows of a topic's positives, highest relevance first, then by docid."""
    positives = [(-grade, docid) for docid, grade in judged.items() if grade >= 1]
    rows = [corpus.rows[docid] for _, docid in sorted(positives) if docid in corpus.rows]
    return np.array(rows, dtype=np.int64)

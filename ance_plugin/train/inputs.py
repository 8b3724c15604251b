"""What a training run and its refreshes read, loaded and checked before any long work starts."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.encode.maxp import NUM_CHUNKS
from ance_plugin.errors import FormatError
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Qrels, Topic
from ance_plugin.train.corpus import Corpus, tokenize_corpus
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.negatives.table import Negatives
from ance_plugin.train.settings import Data, TrainSettings
from ance_plugin.train.topics import LEAST_SHARE, TrainingTopics, find_positives

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DevTopics:
    """Topics on which checkpoints are compared.

    Attributes:
        topics: Those that have a relevant document.
        tokens: Token ids of each.
        qrels: Judgments.
    """

    topics: list[Topic]
    tokens: list[NDArray[np.integer]]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a run reads.

    Attributes:
        corpus: The documents' token ids.
        topics: The training topics.
        qrels: Their judgments.
        dev: Topics on which checkpoints are compared; None where there are none.
        bm25: BM25 candidates; None where the mix has none.
    """

    corpus: Corpus
    topics: TrainingTopics
    qrels: Qrels
    dev: DevTopics | None = None
    bm25: Negatives | None = None

    @classmethod
    def load(cls, settings: TrainSettings, folder: TrainingFolder, encoder: "Encoder") -> "Inputs":
        """Read topics and judgments; tokenize the collection if no run did yet.

        Args:
            settings: Of the run.
            folder: Its output.
            encoder: Whose tokenizer to use.

        Returns:
            The inputs, without BM25 candidates.

        Raises:
            FileNotFoundError: Something that the settings name is not there.
            FormatError: Something is malformed, or nothing can be trained on.
            MismatchError: The tokenized collection is of another collection or tokenizer.
        """
        data = settings.data
        topics, qrels = read_topics(data.topics), read_qrels(data.qrels)
        dev = _load_dev(data, encoder)
        if dev is not None:
            _warn_of_shared_topics(topics, dev.topics)
        tokens = folder.tokens if data.tokens is None else Path(data.tokens)
        max_tokens = encoder.settings.max_document_tokens
        if settings.start.maxp == "chunks":
            max_tokens *= NUM_CHUNKS
        corpus = tokenize_corpus(
            Collection(data.collection), encoder, tokens, max_tokens=max_tokens
        )
        if dev is not None:
            _require_shared_documents(data, dev, corpus)
        return cls(corpus, TrainingTopics.load(topics, qrels, corpus, encoder), qrels, dev)


def hash_inputs(inputs: Inputs) -> dict[str, str | None]:
    """Hash topics, judgments and BM25 candidates: what a resumed run must find as it was.

    The collection has a hash of its own, in the tokenized one.
    """
    topics = _list(inputs.topics.topics)
    dev = inputs.dev
    return {
        "topics": _hash([topics, inputs.qrels]),
        "dev": None if dev is None else _hash([_list(dev.topics), dev.qrels]),
        "bm25": None if inputs.bm25 is None else _hash(inputs.bm25.metadata.get("files")),
    }


def _list(topics: Sequence[Topic]) -> list[list[str]]:
    return [[topic.qid, topic.text] for topic in topics]


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()


def check_data(data: Data) -> None:
    """Read topics and judgments and drop them, so that bad input shows before a folder is made.

    Raises:
        FileNotFoundError: Something is not there.
        FormatError: Something is malformed, or no topic has a relevant document.
    """
    Collection(data.collection)
    topics, qrels = read_topics(data.topics), read_qrels(data.qrels)
    if not any(grade >= 1 for t in topics for grade in qrels.get(t.qid, {}).values()):
        raise FormatError(f"{data.qrels}: has no relevant document for a topic of {data.topics}")
    if data.dev_topics is not None and data.dev_qrels is not None:
        _choose_dev(data.dev_topics, data.dev_qrels)


def _load_dev(data: Data, encoder: "Encoder") -> DevTopics | None:
    if data.dev_topics is None or data.dev_qrels is None:
        return None
    topics, qrels = _choose_dev(data.dev_topics, data.dev_qrels)
    tokens = encoder.tokenize_queries([topic.text for topic in topics])
    return DevTopics(topics, [np.asarray(row, dtype=np.int32) for row in tokens], qrels)


def _choose_dev(topics_name: str, qrels_name: str) -> tuple[list[Topic], Qrels]:
    """Keep what is in both: a dev split's qrels may be judged for more topics, or for fewer."""
    topics, qrels = read_topics(topics_name), read_qrels(qrels_name)
    relevant = {qid for qid, judged in qrels.items() if any(g >= 1 for g in judged.values())}
    chosen = [topic for topic in topics if topic.qid in relevant]
    if not chosen:
        raise FormatError(f"{qrels_name}: has no relevant document for a topic of {topics_name}")
    return chosen, {topic.qid: qrels[topic.qid] for topic in chosen}


def _require_shared_documents(data: Data, dev: DevTopics, corpus: Corpus) -> None:
    """Refuse dev judgments of another collection, by which checkpoints would measure about 0."""
    found = [len(find_positives(judged, corpus)) > 0 for judged in dev.qrels.values()]
    if sum(found) < LEAST_SHARE * len(found):
        raise FormatError(
            f"{data.dev_qrels}: {sum(found)} of {len(found)} topics have a relevant document in "
            f"{data.collection}; are dev topics, dev qrels and collection of one dataset?"
        )


def _warn_of_shared_topics(topics: list[Topic], dev: list[Topic]) -> None:
    shared = {topic.text for topic in topics} & {topic.text for topic in dev}
    if shared:
        logger.warning(
            "%d of %d dev topics are training topics too: dev measures will be too high",
            len(shared),
            len(dev),
        )

"""What the analyses read: topics, judgments, documents and BM25's hits, checked at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ance_plugin.errors import MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Qrels, Run, Topic
from ance_plugin.search.bm25 import Bm25Searcher, check_bm25_index
from evaluation.negatives.series import Series

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Names:
    """Where things come from.

    Attributes:
        topics: The topics, as at test time.
        qrels: Their judgments; None looks for them.
        collection: Documents; None takes those of the training runs.
        sparse_index: Lucene index for BM25's negatives; None takes that of the training runs.
        bm25_run: BM25's run of the topics in its place; None searches.
    """

    topics: str
    qrels: str | None = None
    collection: str | None = None
    sparse_index: str | None = None
    bm25_run: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where BM25 is named twice."""
        if self.sparse_index is not None and self.bm25_run is not None:
            raise ValueError("give one of --sparse-index and --bm25-run")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read.

    Attributes:
        names: All of them, as they were given or found.
        topics: The topics.
        qrels: Judgments of the topics.
        collection: Documents.
        bm25: BM25's hits; None where nothing says where to find them.
    """

    names: Names
    topics: list[Topic]
    qrels: Qrels
    collection: Collection
    bm25: Run | None


def load_inputs(names: Names, series: Sequence[Series], *, depth: int, threads: int = 1) -> Inputs:
    """Find what is not named in the settings of the training runs, and read all of it.

    Args:
        names: What is named.
        series: The checkpoints.
        depth: Hits of BM25 for each topic.
        threads: Java threads to search with.

    Returns:
        The inputs.

    Raises:
        FileNotFoundError: Something is not there.
        MismatchError: No topic is judged, or BM25's run has none of the topics.
        ValueError: Nothing says what the collection is.
    """
    names = _complete(names, series)
    topics, qrels = read_topics(names.topics), read_qrels(str(names.qrels))
    judged = {topic.qid: qrels[topic.qid] for topic in topics if topic.qid in qrels}
    if not judged:
        raise MismatchError(
            f"{names.qrels}: judges none of the {len(topics)} topics of {names.topics}; give the "
            "qrels of these topics"
        )
    collection = Collection(str(names.collection))
    topics = [topic for topic in topics if topic.qid in judged]
    return Inputs(names, topics, judged, collection, _find_bm25(names, topics, depth, threads))


def _complete(names: Names, series: Sequence[Series]) -> Names:
    """Take from the training runs what was not given; the first that says something is heard."""
    data = [each.settings.data for each in series if each.settings is not None]
    collection = names.collection or next((each.collection for each in data), None)
    if collection is None:
        raise ValueError("give --collection; no checkpoint is of a training run that says which")
    qrels = names.qrels or next(
        (each.dev_qrels for each in data if each.dev_topics == _full(names.topics)), names.topics
    )
    sparse_index = names.sparse_index
    if sparse_index is None and names.bm25_run is None:
        found = (each.sparse_index for each in data if each.sparse_index)
        sparse_index = next((name for name in found if Path(name).is_dir()), None)
    return Names(names.topics, qrels, collection, sparse_index, names.bm25_run)


def _full(name: str) -> str:
    """Name a local file as training runs do."""
    return str(Path(name).absolute()) if Path(name).exists() else name


def _find_bm25(names: Names, topics: Sequence[Topic], depth: int, threads: int) -> Run | None:
    if names.bm25_run is not None:
        run = read_run(Path(names.bm25_run))
        if not any(topic.qid in run for topic in topics):
            raise MismatchError(
                f"{names.bm25_run}: has none of the topics of {names.topics}; give a run of them"
            )
        return run
    if names.sparse_index is None:
        return None
    check_bm25_index(Path(names.sparse_index))
    searcher = Bm25Searcher(names.sparse_index)
    texts, qids = [topic.text for topic in topics], [topic.qid for topic in topics]
    return searcher.batch_search(texts, qids, depth, threads)

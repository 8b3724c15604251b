"""BM25 candidates of a training run: read where they were given, else mined or taken from triples.

They are kept to the full depth, and each refresh samples from them.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ance_plugin.errors import MismatchError
from ance_plugin.formats.topics import read_topics
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.negatives.bm25 import mine_bm25
from ance_plugin.train.negatives.mining import Miner, MiningSettings
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import RANKED_SOURCES, TRIPLES
from ance_plugin.train.negatives.table import (
    Negatives,
    read_negatives,
    require_collection,
    write_negatives,
)
from ance_plugin.train.negatives.triples import read_triples
from ance_plugin.train.settings import TrainSettings

logger = logging.getLogger(__name__)

_, BM25 = RANKED_SOURCES


def load_candidates(
    settings: TrainSettings, folder: TrainingFolder, inputs: Inputs, *, threads: int = 1
) -> Negatives | None:
    """Read a run's BM25 candidates, after making them if that was not done yet.

    Args:
        settings: Where they come from.
        folder: Where those that are made here are kept.
        inputs: The collection, topics and judgments.
        threads: To search with.

    Returns:
        The candidates; None where the run has no such source.

    Raises:
        FileNotFoundError: The index, the triples or the artifact are not there.
        MismatchError: The artifact is of another collection, or has nothing for any of the run's
            topics.
        JavaError: BM25 must be searched and there is no usable Java.
    """
    data = settings.data
    if data.bm25_negatives is not None:
        return _read_given(Path(data.bm25_negatives), inputs)
    if data.sparse_index is None and data.triples is None:
        return None
    if not folder.bm25_negatives.exists():
        mining = MiningSettings(
            num_negatives=settings.negatives.depth,
            depth=settings.negatives.depth,
            sampler="top",
            mix={"bm25": 1.0},
        )
        miner = Miner(inputs.corpus, inputs.qrels, mining, seed=settings.optimization.seed)
        source = {"sparse_index": data.sparse_index, "triples": data.triples}
        logger.info("negatives from %s", data.sparse_index or data.triples)
        rows = _find(settings, inputs, miner, threads)
        provenance = {
            "source": source,
            "depth": mining.depth,
            "collection": inputs.corpus.metadata["collection"],
        }
        write_negatives(folder.bm25_negatives, rows, provenance)
    return read_negatives(folder.bm25_negatives)


def _read_given(path: Path, inputs: Inputs) -> Negatives:
    """Read an artifact; one without a use would leave every topic to random negatives."""
    negatives = read_negatives(path)
    require_collection(negatives, inputs.corpus.metadata["collection"], path=path)
    rows = (negatives.by_qid(t.qid) for t in inputs.topics.topics if t.qid in negatives)
    if not any(source in (BM25, TRIPLES) for row in rows for source in row.sources):
        raise MismatchError(
            f"{path}: has no BM25 negatives for any of the {len(inputs.topics)} training topics; "
            "was it mined for these topics, and with BM25 or triples?"
        )
    return negatives


def _find(
    settings: TrainSettings, inputs: Inputs, miner: Miner, threads: int
) -> Iterable[TopicNegatives]:
    data = settings.data
    if data.sparse_index is not None:
        return mine_bm25(Path(data.sparse_index), inputs.topics.topics, miner, threads=threads)
    # All topics, also those that cannot be trained: the file is of them all.
    return read_triples(Path(data.triples or ""), miner, topics=read_topics(data.topics))


def with_candidates(
    settings: TrainSettings, folder: TrainingFolder, inputs: Inputs, *, threads: int = 1
) -> Inputs:
    """Give the inputs with their BM25 candidates."""
    return replace(inputs, bm25=load_candidates(settings, folder, inputs, threads=threads))

"""What a cross-encoder learns from: groups of one positive and some negatives of a topic.

Which topics, positives and negatives make up a step is a function of the seed and the step.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ance_plugin.errors import FormatError
from ance_plugin.records import Document, Qrels, Topic
from ance_plugin.rerank.sources import read_documents

if TYPE_CHECKING:
    from ance_plugin.train.negatives.rows import TopicNegatives

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """A topic's query with the documents that may be drawn for it.

    Attributes:
        qid: The topic.
        query: Its text.
        positives: Docids, at least one.
        negatives: Docids, at least one.
    """

    qid: str
    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    """What a step sees of a topic: the positive's docid first, then those of the negatives."""

    query: str
    docids: tuple[str, ...]


def make_groups(
    rows: "Iterable[TopicNegatives]", topics: Iterable[Topic], *, qrels: Qrels | None = None
) -> list[Group]:
    """Join a table of negatives with its topics.

    Args:
        rows: The table.
        topics: Training topics; those without a row are left out.
        qrels: Judgments. They decide which of a row's positives count, and no document that they
            call relevant is a negative. None believes the table.

    Returns:
        Groups in the order of the table; topics left without positives or negatives are not there.

    Raises:
        FormatError: No topic has both.
    """
    texts = {topic.qid: topic.text for topic in topics}
    groups = []
    num_rows = 0
    for row in rows:
        num_rows += 1
        relevant = set(row.positives)
        if qrels is not None:
            relevant = {docid for docid, grade in qrels.get(row.qid, {}).items() if grade >= 1}
        positives = tuple(docid for docid in row.positives if docid in relevant)
        negatives = tuple(docid for docid in row.negatives if docid not in relevant)
        if row.qid in texts and positives and negatives:
            groups.append(Group(row.qid, texts[row.qid], positives, negatives))
    if not groups:
        raise FormatError(
            f"none of {num_rows} topics of the negatives is among the topics and has a positive "
            "and a negative; are they of the same collection?"
        )
    if len(groups) < num_rows:
        logger.info(
            "cross-encoder: %d of %d topics have text, positives and negatives",
            len(groups),
            num_rows,
        )
    return groups


def read_group_documents(
    groups: Iterable[Group], collection: Iterable[Document], *, source: Path | str
) -> dict[str, Document]:
    """Read the documents of groups in one pass.

    Args:
        groups: Whose documents.
        collection: All documents; only those needed are held.
        source: What errors call the collection.

    Returns:
        docid -> document.

    Raises:
        FormatError: One is not there.
    """
    needed = {docid for group in groups for docid in (*group.positives, *group.negatives)}
    found = read_documents(needed, collection)
    if len(found) < len(needed):
        missing = min(needed - found.keys())
        raise FormatError(
            f"{source}: has no document {missing}, but the negatives have ({len(needed)} needed, "
            f"{len(found)} found); give the collection they were mined from"
        )
    return found


class GroupSampler:
    """Draw the groups of a step; every topic comes once before any comes again.

    Args:
        groups: What to draw from.
        batch_size: Topics a step.
        negatives_per_topic: Of each topic; all it has where it has fewer.
        seed: Of the order of topics and of what is drawn of each.
    """

    def __init__(
        self, groups: list[Group], *, batch_size: int, negatives_per_topic: int, seed: int
    ) -> None:
        self._groups = groups
        self._batch_size = batch_size
        self._num_negatives = negatives_per_topic
        self._seed = seed
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def draw(self, step: int) -> list[DrawnGroup]:
        """Draw the groups of a step, from 0."""
        rng = np.random.default_rng([self._seed, 1, step])
        return [self._draw_group(self._groups[place], rng) for place in self._places(step)]

    def _places(self, step: int) -> Iterator[int]:
        for position in range(step * self._batch_size, (step + 1) * self._batch_size):
            epoch, place = divmod(position, len(self._groups))
            if self._order[0] != epoch:
                rng = np.random.default_rng([self._seed, 0, epoch])
                self._order = (epoch, rng.permutation(len(self._groups)))
            yield int(self._order[1][place])

    def _draw_group(self, group: Group, rng: np.random.Generator) -> DrawnGroup:
        positive = group.positives[rng.integers(len(group.positives))]
        count = min(self._num_negatives, len(group.negatives))
        drawn = rng.choice(len(group.negatives), size=count, replace=False)
        return DrawnGroup(group.query, (positive, *(group.negatives[place] for place in drawn)))


def list_texts(
    groups: Iterable[DrawnGroup], documents: Mapping[str, Document]
) -> tuple[list[str], list[Document]]:
    """Lay out groups as pairs: one query for each document."""
    queries = [group.query for group in groups for _ in group.docids]
    return queries, [documents[docid] for group in groups for docid in group.docids]

"""MS MARCO's own training files: lines of a topic, a positive and a negative, ids or texts."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.errors import FormatError, MismatchError
from ance_plugin.formats.lines import read_lines
from ance_plugin.records import Topic
from ance_plugin.train.corpus import Corpus, hash_text
from ance_plugin.train.negatives.mining import Miner
from ance_plugin.train.negatives.positives import TopicPositives
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import TRIPLES

logger = logging.getLogger(__name__)

_MAX_UNMATCHED = 0.01
_LINES_OF_TRIAL = 10_000  # a file of another collection is refused after these, not at its end

type _Match = Callable[[list[str]], tuple[Sequence[str], str | None, str | None]]
"""Columns -> the qids it may be, positive and negative; None where there is no such document."""


def read_triples(
    path: Path, miner: Miner, *, topics: Iterable[Topic] | None = None
) -> Iterator[TopicNegatives]:
    """Group ``qidpidtriples.train.*.tsv`` or ``triples.train.*.tsv``, plain or gzipped, by topic.

    A file whose first line has three columns without white space in them holds ids, any other holds
    texts, which are those of topics and documents but for the amount of white space; of several
    documents with one text the first in the collection is meant. A topic gets the first
    ``num_negatives`` different negatives of its lines, without positives and their duplicates,
    filled up with random ones where the file has fewer. What is held in memory is a topic's
    negatives, and for texts 16 bytes a document.

    Args:
        path: The file; whether it is there, and its first line, are checked at once.
        miner: Its collection, judgments, number of negatives, seed and teacher are used.
        topics: Needed for texts: what their queries are told by.

    Returns:
        The negatives, source ``triples``, in the order in which topics first appear.
        ``num_dropped`` counts lines.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: A line has other than three columns, or the file is empty.
        MismatchError: More than 1% of the lines name a topic, positive or negative that is not
            there, or a positive that is not judged to be one.
        ValueError: The file holds texts, and there are no topics.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected triples")
    first = next((line for _, line in read_lines(path) if line.strip()), None)
    if first is None:
        raise FormatError(f"{path}: has no lines")
    if len(first.split()) == 3:
        return _read(path, miner, _match_ids(miner.corpus), None)
    if topics is None:
        raise ValueError(f"{path}: holds texts, give the topics that its queries are from")
    return _read(path, miner, _match_texts(miner.corpus, topics), "\t")


@dataclass(slots=True)
class _Group:
    """What a file has for one topic."""

    positives: TopicPositives
    negatives: dict[str, None] = field(default_factory=dict)  # in order, none twice
    num_dropped: dict[str, int] = field(default_factory=dict)

    def add(self, negative: str, num_negatives: int) -> None:
        reason = self.positives.excluded.get(negative)
        if reason is not None:
            self.num_dropped[reason] = self.num_dropped.get(reason, 0) + 1
        elif len(self.negatives) < num_negatives:
            self.negatives[negative] = None


def _read(
    path: Path, miner: Miner, match: _Match, separator: str | None
) -> Iterator[TopicNegatives]:
    groups: dict[str, _Group] = {}
    num_lines = num_unmatched = first_unmatched = 0
    for number, line in read_lines(path):
        if not line.strip():
            continue
        columns = line.split(separator)
        if len(columns) != 3:
            problem = f'expected "topic<TAB>positive<TAB>negative", found {len(columns)} columns'
            raise FormatError.at(path, number, problem)
        qids, positive, negative = match(columns)
        num_lines += 1
        group = None
        if positive is not None and negative is not None:
            group = _find_group(groups, miner, qids, positive)
        if group is None or negative is None:
            num_unmatched += 1
            first_unmatched = first_unmatched or number
            if num_unmatched == num_lines == _LINES_OF_TRIAL:
                break
        else:
            group.add(negative, miner.settings.num_negatives)
    if num_unmatched > _MAX_UNMATCHED * num_lines:
        raise MismatchError(
            f"{path}:{first_unmatched}: names a topic, positive or negative that is not in topics, "
            f"qrels or {miner.corpus.path}, as do {num_unmatched} of {num_lines} lines; give those "
            "that the file was made from"
        )
    summary = "%s: %d lines for %d topics, %d more lines match nothing"
    logger.info(summary, path, num_lines - num_unmatched, len(groups), num_unmatched)
    for qid, group in groups.items():
        yield miner.complete(qid, TRIPLES, group.negatives, num_dropped=group.num_dropped)


def _find_group(
    groups: dict[str, _Group], miner: Miner, qids: Sequence[str], positive: str
) -> _Group | None:
    """Find the topic, of those with the text, that has the positive, and start it if it is new."""
    for qid in qids:
        group = groups.get(qid)
        if group is None and miner.has_positive(qid):
            group = _Group(miner.positives(qid))
        if group is not None and positive in group.positives.excluded:
            return groups.setdefault(qid, group)
    return None


def _match_ids(corpus: Corpus) -> _Match:
    def match(columns: list[str]) -> tuple[Sequence[str], str | None, str | None]:
        qid, positive, negative = columns
        is_there = positive in corpus.rows and negative in corpus.rows
        return (qid,), positive, negative if is_there else None

    return match


def _match_texts(corpus: Corpus, topics: Iterable[Topic]) -> _Match:
    qids: dict[str, list[str]] = {}
    for topic in topics:
        qids.setdefault(_squeeze(topic.text), []).append(topic.qid)
    order = np.argsort(corpus.hashes, kind="stable")
    hashes = corpus.hashes[order]
    settings = _read_rendering(corpus)

    def match(columns: list[str]) -> tuple[Sequence[str], str | None, str | None]:
        query, *texts = columns
        positive, negative = (
            _find(corpus, hashes, order, np.uint64(hash_text(settings.render("", t))))
            for t in texts
        )
        return qids.get(_squeeze(query), ()), positive, negative

    return match


def _find(
    corpus: Corpus, hashes: NDArray[np.uint64], order: NDArray[np.int64], wanted: np.uint64
) -> str | None:
    place = int(np.searchsorted(hashes, wanted))
    if place == len(hashes) or hashes[place] != wanted:
        return None
    return corpus.docids[int(order[place])]


def _read_rendering(corpus: Corpus) -> EncoderSettings:
    """Read from a tokenized collection how texts were rendered before they were hashed."""
    names = ("is_lowercased", "template", "replacements")
    known = {name: corpus.metadata.get(name) for name in names}
    return EncoderSettings("cls", **{k: v for k, v in known.items() if v is not None})


def _squeeze(text: str) -> str:
    return " ".join(text.split())

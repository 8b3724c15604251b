"""Top-k answer accuracy: the share of questions with an answer in the first k passages.

Of a passage the text is searched and not the title, as in DPR and in Pyserini's
``evaluate_dpr_retrieval``.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance_plugin.artifacts import sha256_file
from ance_plugin.errors import MismatchError
from ance_plugin.formats.answers import read_answers
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run, read_tag
from ance_plugin.formats.topics import read_topics
from ance_plugin.progress import track
from ance_plugin.records import Document, Run
from ance_plugin.rerank.sources import name_some, read_documents
from evaluation.answers import TOPK, AnswerFinder
from evaluation.mcnemar import HitDifference, compare_hits
from evaluation.qa_topics import match_answers
from evaluation.significance import Correction
from evaluation.systems import find_baseline, name_systems

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How passages are judged and systems tested.

    Attributes:
        topk: The numbers of passages, ascending.
        is_regex: Whether answers are regular expressions, as CuratedTREC's.
        skips_first_line: Whether a passage's first line is a title and not searched.
        correction: Of p-values, over the systems within each k.
        alpha: Level of significance.
    """

    topk: tuple[int, ...] = TOPK
    is_regex: bool = False
    skips_first_line: bool = False
    correction: Correction = "holm"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f"topk must be numbers of at least 1, found {self.topk}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, found {self.alpha}")
        object.__setattr__(self, "topk", tuple(sorted(set(self.topk))))


@dataclass(frozen=True, slots=True)
class System:
    """A run that is judged; it is named by its file."""

    name: str
    tag: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Everything a report says.

    ``ranks`` is system -> qid -> rank, from 1, of the first passage with an answer; None where the
    first ``max(topk)`` have none. ``differences`` is system -> k -> difference to the baseline:
    empty without one.
    """

    topics: str
    answers: str
    collection: str
    num_topics: int
    settings: Settings
    baseline: str | None
    systems: tuple[System, ...]
    ranks: dict[str, dict[str, int | None]]
    differences: dict[str, dict[int, HitDifference]]
    notes: tuple[str, ...]
    versions: dict[str, str]

    def mean(self, system: str, k: int) -> float:
        """Give the share of all topics whose answer is in the first k passages."""
        return float(_list_hits(self.ranks[system], k).mean())

    def is_significant(self, system: str, k: int) -> bool:
        """Say whether a system differs from the baseline at ``alpha`` after the correction."""
        difference = self.differences.get(system, {}).get(k)
        return difference is not None and difference.p_corrected < self.settings.alpha


def judge_runs(
    paths: Sequence[Path],
    *,
    topics: str,
    answers: str,
    collection: str,
    settings: Settings,
    baseline: str | None = None,
) -> Accuracy:
    """Measure the answer accuracy of runs, and test them against a baseline if one is named.

    Args:
        paths: TREC runs, each of its own file name.
        topics: The questions, all of which count.
        answers: Their answers, found by qid or by the question's text.
        collection: Passages; those in the runs' top are read, in one pass.
        settings: How to judge.
        baseline: Name or tag of the run to test against.

    Returns:
        The accuracy of each run; topics that a run lacks are misses.

    Raises:
        FileNotFoundError: Something is not there.
        FormatError: Something is malformed.
        MismatchError: A topic has no answers, a run shares no topic with the topics, or the
            collection lacks passages of a run.
        ValueError: Names collide, or the baseline is unknown.
    """
    files = name_systems(paths)
    tags = {name: read_tag(path) for name, path in files.items()}
    chosen = None if baseline is None else find_baseline(baseline, tags)
    passages = Collection(collection)
    found = match_answers(read_topics(topics), read_answers(answers), source=answers)
    runs = {name: read_run(path) for name, path in files.items()}
    depth = max(settings.topk)
    notes = [note for name, run in runs.items() for note in _check_run(name, run, found, depth)]
    documents = _read_passages(runs.values(), found, passages, depth)
    texts = {docid: _searched(document, settings) for docid, document in documents.items()}
    finder = AnswerFinder(found, texts, is_regex=settings.is_regex)
    notes += _about_answers(found, finder, settings) + _about_titles(documents, settings)
    for note in notes:
        logger.warning("%s", note)
    ranks = {name: finder.find_ranks(run, depth) for name, run in runs.items()}
    return Accuracy(
        topics=topics,
        answers=answers,
        collection=collection,
        num_topics=len(found),
        settings=settings,
        baseline=chosen,
        systems=tuple(
            System(name, tags[name], str(path), sha256_file(path)) for name, path in files.items()
        ),
        ranks=ranks,
        differences=_test(ranks, chosen, settings) if chosen else {},
        notes=tuple(notes),
        versions={package: version(package) for package in ("ance-plugin", "regex", "scipy")},
    )


def _check_run(
    name: str, run: Run, answers: Mapping[str, Sequence[str]], depth: int
) -> Iterable[str]:
    """Say what a run lacks; refuse one that is of other topics."""
    shared = [qid for qid in answers if run.get(qid)]
    if not shared:
        raise MismatchError(
            f"{name}: shares no topic with the questions: it has {name_some(list(run)) or 'none'}, "
            f"they have {next(iter(answers))}; give the topics that were searched"
        )
    if len(shared) < len(answers):
        yield f"{name} has no hits for {len(answers) - len(shared)} topics; they count as misses"
    others = sum(qid not in answers for qid in run)
    if others:
        yield f"{name} has {others} topics that are none of the questions; ignored"
    shallow = [len(run[qid]) for qid in shared if len(run[qid]) < depth]
    if shallow:
        yield (
            f"{name} has fewer than {depth} hits for {len(shallow)} topics, {min(shallow)} at "
            f"least and {max(len(run[qid]) for qid in shared)} at most of any topic; what it lacks "
            "cannot hit"
        )


def _read_passages(
    runs: Iterable[Run], answers: Mapping[str, Sequence[str]], collection: Collection, depth: int
) -> dict[str, Document]:
    needed = {hit.docid for run in runs for qid in answers for hit in run.get(qid, [])[:depth]}
    logger.info("reading %d passages of %s", len(needed), collection.name)
    documents = read_documents(needed, track(collection, what="passages"))
    missing = sorted(needed - documents.keys())
    if missing:
        raise MismatchError(
            f"{collection.name}: lacks {len(missing)} of the {len(needed)} passages in the runs: "
            f"{name_some(missing)}; give the collection that was searched"
        )
    return documents


def _searched(document: Document, settings: Settings) -> str:
    if settings.skips_first_line:
        first, newline, rest = document.text.partition("\n")
        return rest if newline else first
    return document.text


def _about_answers(
    answers: Mapping[str, Sequence[str]], finder: AnswerFinder, settings: Settings
) -> list[str]:
    notes = []
    num_without = sum(not texts for texts in answers.values())
    if num_without:
        notes.append(f"{num_without} topics have an empty list of answers; they count as misses")
    if finder.num_useless and settings.is_regex:
        notes.append(f"{finder.num_useless} answers are no regular expressions and match nothing")
    elif finder.num_useless:
        notes.append(
            f"{finder.num_useless} answers have no token and match every passage, as DPR's"
        )
    return notes


def _about_titles(documents: Mapping[str, Document], settings: Settings) -> list[str]:
    """Say where titles seem to be in the texts, as in Pyserini's ``contents``."""
    lines = sum("\n" in document.text for document in documents.values() if not document.title)
    if settings.skips_first_line or lines <= len(documents) / 2:
        return []
    return [
        f"{lines} of {len(documents)} passages have no title and several lines of text; if the "
        "first is the title, --skip-first-line leaves it out, as DPR does"
    ]


def _list_hits(ranks: Mapping[str, int | None], k: int) -> NDArray[np.bool_]:
    return np.array([rank is not None and rank <= k for rank in ranks.values()])


def _test(
    ranks: Mapping[str, Mapping[str, int | None]], baseline: str, settings: Settings
) -> dict[str, dict[int, HitDifference]]:
    """Test all systems at each k; every dict of ranks has the topics in one order."""
    others = [name for name in ranks if name != baseline]
    differences: dict[str, dict[int, HitDifference]] = {name: {} for name in others}
    for k in settings.topk:
        hits = {name: _list_hits(ranks[name], k) for name in others}
        tested = compare_hits(hits, _list_hits(ranks[baseline], k), correction=settings.correction)
        for name, difference in tested.items():
            differences[name][k] = difference
    return differences

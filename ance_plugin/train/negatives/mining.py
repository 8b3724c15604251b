"""Turn a topic's ranked candidates into its negatives."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance_plugin.records import Qrels
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.choice import Choice, Offer, Teacher
from ance_plugin.train.negatives.filters import keep_by_margin
from ance_plugin.train.negatives.positives import Positives, TopicPositives
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.samplers import generator
from ance_plugin.train.negatives.settings import RANDOM, RANKED_SOURCES, MiningSettings

__all__ = ["Candidates", "Miner", "MiningSettings", "Teacher"]


class Candidates(NamedTuple):
    """What one source found for a topic, best first; positives need not be taken out.

    Attributes:
        docids: The documents.
        scores: Shape (k,), float32, descending.
        positive_scores: Docid -> score, for positives that may not be among ``docids``.
    """

    docids: Sequence[str]
    scores: NDArray[np.float32]
    positive_scores: Mapping[str, float] | None = None

    @classmethod
    def from_negatives(cls, row: TopicNegatives, source: str) -> "Candidates":
        """Take back what a table holds of a source that scores (not triples), by its ranks."""
        places = [place for place, name in enumerate(row.sources) if name == source]
        places.sort(key=lambda place: row.ranks[place] or 0)
        known = zip(row.positives, row.positive_scores, strict=True)
        return cls(
            [row.negatives[place] for place in places],
            np.array([row.scores[place] for place in places], dtype=np.float32),
            {docid: score for docid, score in known if score is not None},
        )


_NOTHING = Candidates((), np.empty(0, dtype=np.float32))


class Miner:
    """Choose negatives that are no positive, no copy of one, and no document twice.

    A document dropped for one source (``margin``, ``cross-encoder``) is taken from no other, random
    included. What a source has too few of is filled up with random documents, so that a topic gets
    fewer than ``num_negatives`` only where the collection has no more that may be taken.

    Args:
        corpus: The collection; what is not in it is no negative.
        qrels: Judgments; a relevance of at least 1 makes a positive.
        settings: How many, from where, and which.
        seed: With round and qid, all that chance depends on.
        teacher: Scores the positives and all that is taken, as log-odds; None leaves them out.

    Raises:
        ValueError: There is a ``teacher_threshold`` but no teacher.
    """

    def __init__(
        self,
        corpus: Corpus,
        qrels: Qrels,
        settings: MiningSettings,
        *,
        seed: int,
        teacher: Teacher | None = None,
    ) -> None:
        if settings.teacher_threshold is not None and teacher is None:
            raise ValueError("teacher_threshold needs a cross-encoder to score the candidates")
        self.corpus = corpus
        self.settings = settings
        self.seed = seed
        self._positives = Positives(corpus, qrels)
        self._teacher = teacher
        self._sampler = settings.new_sampler()
        self._quotas = settings.quotas()

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that candidates are needed from: ``ann``, ``bm25``, both or none."""
        return tuple(source for source in RANKED_SOURCES if source in self._quotas)

    def has_positive(self, qid: str) -> bool:
        """Say whether a topic has a positive in the collection; one without cannot be mined."""
        return self._positives.has_any(qid)

    def positives(self, qid: str) -> TopicPositives:
        """Find a topic's positives and their duplicates; ValueError where it has none."""
        return self._positives.find(qid)

    def mine(
        self,
        qid: str,
        candidates: Mapping[str, Candidates],
        *,
        positive_scores: Mapping[str, float] | None = None,
        round: int = 0,  # noqa: A002
        step: int = 0,
    ) -> TopicNegatives:
        """Choose a topic's negatives: those from ann first, then bm25, then random.

        The reference of margin and SimANS is the best score that a positive has from the same
        source. Where it has none, the margin drops nothing, and SimANS takes the last candidate's
        score in its place, which a positive that was not found does not exceed.

        Args:
            qid: The topic.
            candidates: Source -> what it found; of ``sources``, one that is not there found
                nothing, and others are not read.
            positive_scores: Docid -> score of the encoder that found ``ann``, for positives.
            round: Which round of mining this is.
            step: The checkpoint's.

        Returns:
            The negatives. ``num_dropped`` counts, over the sources' first ``depth`` candidates,
            those dropped as ``positive``, ``duplicate`` and ``margin``; of those that are then
            drawn, ``cross-encoder`` and ``absent`` (from the collection). Judged positives that are
            absent count with these; random documents count only as ``cross-encoder``.

        Raises:
            ValueError: The topic has no positive, a list is not best first or holds NaN, or the
                teacher's scores are not one finite number each.
        """
        rng = generator(self.seed, round, qid)
        choice = self._start(qid)
        known = positive_scores
        drawn = []  # of all sources before any is taken, so that what one drops no other gave
        for source in self.sources:
            found = _cut(candidates.get(source, _NOTHING), self.settings.depth, qid, source)
            if source == "ann" and positive_scores is not None:
                found = found._replace(positive_scores=positive_scores)
            places = _find_excluded(choice.positives, found.docids)
            scores = _score_positives(choice.positives, found, places)
            known = scores if known is None else known
            drawn.append((source, self._draw(rng, choice, found, places, scores.values())))
        for source, offers in drawn:
            choice.take(source, offers, self._quotas[source])
        return self._finish(rng, choice, known or {}, round, step)

    def complete(
        self,
        qid: str,
        source: str,
        docids: Iterable[str],
        *,
        num_dropped: Mapping[str, int] | None = None,
    ) -> TopicNegatives:
        """Take negatives that somebody else chose, in their order, and fill up with random ones.

        Args:
            qid: The topic.
            source: What to call where they are from.
            docids: The negatives, all in the collection; positives, duplicates and repeated ones
                are passed over.
            num_dropped: Reason -> what the caller dropped.

        Returns:
            The negatives, without scores and ranks, of round 0 and step 0.

        Raises:
            ValueError: The topic has no positive.
        """
        choice = self._start(qid)
        choice.num_dropped.update(num_dropped or {})
        choice.take(source, (Offer(docid) for docid in docids), self.settings.num_negatives)
        return self._finish(generator(self.seed, 0, qid), choice, {}, 0, 0)

    def _start(self, qid: str) -> Choice:
        return Choice(
            qid,
            self._positives.find(qid),
            self.settings.num_negatives,
            teacher=self._teacher,
            threshold=self.settings.teacher_threshold,
        )

    def _draw(
        self,
        rng: np.random.Generator,
        choice: Choice,
        candidates: Candidates,
        excluded: list[int],
        positive_scores: Collection[float],
    ) -> Iterator[Offer]:
        """Drop what cannot be a negative and put the rest into the order the sampler draws."""
        docids, scores, _ = candidates
        choice.num_dropped.update(choice.positives.excluded[docids[place]] for place in excluded)
        kept = np.delete(np.arange(len(docids)), excluded) if excluded else np.arange(len(docids))
        if self.settings.margin is not None and positive_scores:
            keeps = keep_by_margin(scores[kept], max(positive_scores), self.settings.margin)
            choice.drop((docids[place] for place in kept[~keeps].tolist()), "margin")
            kept = kept[keeps]
        reference = max(positive_scores, default=float(scores[-1]) if len(scores) else 0.0)
        drawn = kept[self._sampler(rng, scores[kept], reference, len(kept))]
        pairs = zip(drawn.tolist(), scores[drawn].tolist(), strict=True)
        return self._offer(choice, docids, pairs)

    def _offer(
        self, choice: Choice, docids: Sequence[str], pairs: Iterable[tuple[int, float]]
    ) -> Iterator[Offer]:
        """Offer places in turn, passing over what is not in the collection.

        Only what is drawn is looked up: a look-up in millions of docids misses every cache.
        """
        for place, score in pairs:
            if docids[place] in self.corpus.rows:
                yield Offer(docids[place], score, place + 1)
            else:
                choice.num_dropped["absent"] += 1

    def _finish(
        self,
        rng: np.random.Generator,
        choice: Choice,
        positive_scores: Mapping[str, float],
        round: int,  # noqa: A002
        step: int,
    ) -> TopicNegatives:
        if choice.num_missing:
            offers = self._draw_random(rng, choice.num_missing)
            choice.take(RANDOM, offers, choice.num_missing)
        has_teacher = bool(choice.positive_teacher_scores)
        scores = (positive_scores.get(docid) for docid in choice.positives.docids)
        return TopicNegatives(
            qid=choice.qid,
            positives=choice.positives.docids,
            positive_scores=tuple(None if score is None else _round(score) for score in scores),
            negatives=tuple(offer.docid for offer, _ in choice.taken),
            scores=tuple(offer.score for offer, _ in choice.taken),
            ranks=tuple(offer.rank for offer, _ in choice.taken),
            sources=tuple(source for _, source in choice.taken),
            teacher_scores=tuple(choice.teacher_scores) if has_teacher else None,
            positive_teacher_scores=tuple(choice.positive_teacher_scores) if has_teacher else None,
            num_dropped=dict(choice.num_dropped),
            round=round,
            step=step,
        )

    def _draw_random(self, rng: np.random.Generator, count: int) -> Iterator[Offer]:
        """Offer all documents in random order, repeating some; cheap where few are refused."""
        num_documents = self.corpus.num_documents
        # Passing over what came before makes both parts together a draw without replacement.
        few = rng.integers(num_documents, size=4 * count + 32).tolist()
        rest = (row for _ in (0,) for row in rng.permutation(num_documents).tolist())
        return (Offer(self.corpus.docids[row]) for row in chain(few, rest))


def _cut(candidates: Candidates, depth: int, qid: str, source: str) -> Candidates:
    """Keep the first ``depth`` candidates, after a look at them."""
    docids, scores = candidates.docids[:depth], np.asarray(candidates.scores[:depth], np.float32)
    what = f"topic {qid}: candidates of {source}"
    if scores.shape != (len(docids),):
        raise ValueError(f"{what}: {len(docids)} docids but scores of shape {scores.shape}")
    if np.isnan(scores).any() or (scores[1:] > scores[:-1]).any():
        raise ValueError(f"{what}: scores must be numbers, best first")
    return Candidates(docids, scores, candidates.positive_scores)


def _find_excluded(positives: TopicPositives, docids: Sequence[str]) -> list[int]:
    """Find the places of positives and their duplicates among candidates."""
    if positives.excluded.keys().isdisjoint(docids):
        return []
    return [place for place, docid in enumerate(docids) if docid in positives.excluded]


def _score_positives(
    positives: TopicPositives, candidates: Candidates, excluded: list[int]
) -> dict[str, float]:
    """Give what positives and their duplicates score: as is stated, else as they were found."""
    scores = {candidates.docids[place]: float(candidates.scores[place]) for place in excluded}
    stated = candidates.positive_scores or {}
    scores.update({docid: float(stated[docid]) for docid in positives.docids if docid in stated})
    return scores


def _round(score: float) -> float:
    """Round to the float32 that the table holds."""
    return float(np.float32(score))

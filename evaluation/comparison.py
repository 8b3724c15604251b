"""What a comparison of runs holds; ``compare`` fills it, ``report`` writes it."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ance_plugin import measures
from evaluation.significance import (
    Correction,
    Difference,
    TestMethod,
    check_correction,
    mean_interval,
)

_LETTERS = "abcdefghijklmnoprstuvwxyz"  # Unicode has no superscript q that fonts know


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure and how to test; an unknown measure is a ``ValueError`` at once.

    With ``all_pairs`` every system is tested against every other, else each against the baseline.
    """

    measures: tuple[str, ...] = measures.DEFAULT_MEASURES
    test: TestMethod = "student"
    correction: Correction = "holm"
    alpha: float = 0.05
    permutations: int = 100_000
    seed: int = 0
    all_pairs: bool = False

    def __post_init__(self) -> None:
        measures.check_measures(self.measures)
        check_correction(self.test, self.correction)
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, found {self.alpha}")
        if self.permutations < 1:
            raise ValueError(f"permutations must be at least 1, found {self.permutations}")


@dataclass(frozen=True, slots=True)
class System:
    """A run that is compared; it is named by its file.

    ``num_missing`` counts topics of the qrels that the run lacks, ``num_unjudged`` topics of the
    run that the qrels lack. ``flags`` say what makes its values doubtful; ``num_hits`` is the
    largest number of hits of a topic.
    """

    name: str
    tag: str
    path: str
    sha256: str
    num_missing: int
    num_unjudged: int
    flags: tuple[str, ...] = ()
    num_hits: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems: measure -> first minus second."""

    first: str
    second: str
    differences: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How alike two systems' results are, averaged over topics; each value is from 0 to 1.

    ``shares`` is depth -> documents in common. ``rbo`` is rank-biased overlap.
    """

    first: str
    second: str
    shares: dict[int, float]
    rbo: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a query costs a system, and how that was measured."""

    system: str
    latency_ms: float
    source: str


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A hit of an example; ``relevance`` is None where it is not judged, texts are shortened."""

    docid: str
    score: float
    relevance: int | None
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A topic on which systems differ: system -> value of the first measure, and its top hits."""

    qid: str
    values: dict[str, float]
    hits: dict[str, tuple[ShownHit, ...]]
    num_relevant: int


class ExpectedFigure(Protocol):
    """A published value and where it stands."""

    @property
    def system(self) -> str:
        """The name of the system here."""

    @property
    def measure(self) -> str:
        """The measure, as here."""

    @property
    def value(self) -> float:
        """What was published."""

    @property
    def tolerance(self) -> float:
        """The largest difference that counts as the same."""

    @property
    def source(self) -> str:
        """Who published it, and where."""

    @property
    def setting(self) -> object:
        """How it was made."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A published value beside ours; ``ours`` is None where it was not measured here."""

    system: str
    measure: str
    value: float
    tolerance: float
    source: str
    setting: str
    ours: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether ours, to four digits, is within the tolerance; None where there is none."""
        if self.ours is None:
            return None
        return abs(round(self.ours, 4) - self.value) <= self.tolerance + 1e-9


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything a report says.

    ``values`` is system -> measure -> qid -> value. ``differences`` is system -> measure -> the
    difference to the baseline: empty without one, and never holding the baseline itself. ``pairs``
    are all pairs of systems where those were tested. ``recalls`` is system -> depth -> mean recall,
    ``topics`` qid -> text.
    """

    qrels: str
    qrels_sha256: str | None
    num_topics: int
    num_without_relevant: int
    settings: Settings
    baseline: str | None
    systems: tuple[System, ...]
    values: dict[str, dict[str, dict[str, float]]]
    differences: dict[str, dict[str, Difference]]
    notes: tuple[str, ...]
    versions: dict[str, str]
    pairs: tuple[Pair, ...] = ()
    recalls: dict[str, dict[int, float]] = field(default_factory=dict)
    overlaps: tuple[Overlap, ...] = ()
    costs: tuple[Cost, ...] = ()
    topics: dict[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    expected: tuple[Expected, ...] = ()

    def mean(self, system: str, measure: str) -> float:
        """Average a measure over all topics of the qrels."""
        return math.fsum(self.values[system][measure].values()) / self.num_topics

    def interval(self, system: str, measure: str) -> tuple[float, float]:
        """Bound a mean at 95% (Student's t over topics)."""
        return mean_interval(np.array(list(self.values[system][measure].values())))

    def is_significant(self, system: str, measure: str) -> bool:
        """Say whether a system differs from the baseline at ``alpha`` after the correction."""
        difference = self.differences.get(system, {}).get(measure)
        return difference is not None and difference.p_corrected < self.settings.alpha

    def is_pair_significant(self, pair: Pair, measure: str) -> bool:
        """Say whether the systems of a pair differ at ``alpha`` after the correction."""
        return pair.differences[measure].p_corrected < self.settings.alpha

    def letter(self, system: str) -> str:
        """Name a system by a letter, for superscripts; by several where there are over 25."""
        number, letters = list(self.values).index(system), ""
        while number >= 0:
            letters = _LETTERS[number % len(_LETTERS)] + letters
            number = number // len(_LETTERS) - 1
        return letters

    def beaten(self, system: str, measure: str) -> tuple[str, ...]:
        """List the systems that this one is significantly better than, where pairs were tested."""
        sign = -1 if measures.is_lower_better(measure) else 1
        found = set()
        for pair in self.pairs:
            advantage = sign * pair.differences[measure].mean
            winner, loser = (pair.first, pair.second)[:: 1 if advantage > 0 else -1]
            if winner == system and advantage and self.is_pair_significant(pair, measure):
                found.add(loser)
        return tuple(name for name in self.values if name in found)

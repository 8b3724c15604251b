"""How negatives are chosen: how many, from which source, by which sampler, with which filters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ance_plugin.train.negatives.samplers import SAMPLERS, SIMANS_A, SIMANS_B, Sampler, new_sampler

RANKED_SOURCES = ("ann", "bm25")
RANDOM = "random"
TRIPLES = "triples"
_MIXED = (*RANKED_SOURCES, RANDOM)


@dataclass(frozen=True, slots=True)
class MiningSettings:
    """How a topic's negatives are chosen.

    Attributes:
        num_negatives: Negatives of each topic.
        depth: Candidates read from the top of each source's list.
        sampler: Which of the candidates are taken: ``uniform``, ``top`` or ``simans``.
        sampler_a: SimANS's a; other samplers do not read it.
        sampler_b: SimANS's b, likewise.
        margin: Drop candidates that do not score below the best positive by this share of its
            score, and in training those that do not so below the positive they would be shown
            beside; None drops none.
        teacher_threshold: Drop what the cross-encoder gives a higher probability; None drops none.
        mix: Source (``ann``, ``bm25``, ``random``) -> its share of the negatives, relative to the
            sum of all shares.

    Raises:
        ValueError: A value is out of range.
    """

    num_negatives: int = 20
    depth: int = 200
    sampler: str = "uniform"
    sampler_a: float = SIMANS_A
    sampler_b: float = SIMANS_B
    margin: float | None = None
    teacher_threshold: float | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: {"ann": 1.0})

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        for name in ("num_negatives", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        new_sampler("simans", a=self.sampler_a, b=self.sampler_b)
        self.new_sampler()
        if self.margin is not None and not (self.margin >= 0 and math.isfinite(self.margin)):
            raise ValueError(f"margin must be a number of at least 0, found {self.margin}")
        if self.teacher_threshold is not None and not 0 < self.teacher_threshold <= 1:
            raise ValueError(
                "teacher_threshold is a probability above 0 and at most 1, "
                f"found {self.teacher_threshold}"
            )
        object.__setattr__(self, "mix", dict(self.mix))
        for source, share in self.mix.items():
            if source not in _MIXED:
                raise ValueError(f"mix is of {', '.join(_MIXED)}, found {source!r}")
            if not (share >= 0 and math.isfinite(share)):
                raise ValueError(f"mix: share of {source} must be at least 0, found {share}")
        if not 0 < sum(self.mix.values()) < math.inf:
            raise ValueError(f"mix has no share above 0, found {dict(self.mix)}")

    @property
    def ranked_source(self) -> str | None:
        """The source whose scores a table has of the positives; None where all are random."""
        return next((source for source in RANKED_SOURCES if self.mix.get(source, 0) > 0), None)

    def new_sampler(self) -> Sampler:
        """Make the sampler that these settings name."""
        if SAMPLERS.get(self.sampler, (None, {}))[1]:
            return new_sampler(self.sampler, a=self.sampler_a, b=self.sampler_b)
        return new_sampler(self.sampler)

    def quotas(self) -> dict[str, int]:
        """Divide ``num_negatives`` by the mix's shares, by largest remainder.

        Returns:
            Source -> negatives from it, in the order ann, bm25, random, those without a share left
            out; of equal remainders the earlier source's is rounded up.
        """
        sources = [source for source in _MIXED if self.mix.get(source, 0) > 0]
        total = math.fsum(self.mix[source] for source in sources)
        exact = {source: self.num_negatives * self.mix[source] / total for source in sources}
        quotas = {source: math.floor(share) for source, share in exact.items()}
        # Rounded, so that shares as 0.1 + 0.2 leave no remainder larger than an equal one's.
        by_remainder = sorted(sources, key=lambda name: -round(exact[name] - quotas[name], 9))
        for source in by_remainder[: self.num_negatives - sum(quotas.values())]:
            quotas[source] += 1
        return quotas

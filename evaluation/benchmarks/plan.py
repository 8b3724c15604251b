"""The systems of a benchmark: which can be made, and what each is, for published figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.benchmarks.inputs import Inputs
from evaluation.benchmarks.layout import KINDS, Layout, Settings
from evaluation.benchmarks.models import Model
from evaluation.benchmarks.stages import Stage
from evaluation.benchmarks.table import Benchmark

DEFAULT_KINDS = KINDS[:-1]
_NEEDS_ENCODER = frozenset(kind for kind in KINDS if not kind.startswith("bm25"))
_NEEDS_RERANKER = frozenset(kind for kind in KINDS if kind.endswith("rerank"))


@dataclass(frozen=True, slots=True)
class System:
    """A row of the report.

    Attributes:
        name: Its name, and that of its run.
        stage: What makes its run.
        parts: The stages of the search whose times add up, this one included.
        setting: What a published figure must agree in to be printed beside it.
    """

    name: str
    stage: Stage
    parts: tuple[Stage, ...]
    setting: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """The systems in the order of the report, and what was left out and why."""

    systems: tuple[System, ...]
    notes: tuple[str, ...]


def make_plan(
    benchmark: Benchmark,
    inputs: Inputs,
    settings: Settings,
    *,
    encoders: Sequence[Model],
    reranker: Model | None,
    artifacts: Path,
) -> Plan:
    """Lay out the stages of every system that can be made.

    Args:
        benchmark: What is judged.
        inputs: What was read of it.
        settings: How to make the systems.
        encoders: For the dense ones; each gives systems of its name.
        reranker: For the reranked ones.
        artifacts: The folder in which everything stands.

    Returns:
        The systems.

    Raises:
        ValueError: A system that was asked for by name cannot be made, or none can.
    """
    kinds, notes = _choose_kinds(
        settings.kinds,
        has_encoder=bool(encoders),
        has_reranker=reranker is not None,
        has_tuning=inputs.tuning is not None,
    )
    if not kinds:
        raise ValueError("no system is left to make; give --encoder, or other --systems")
    namer = _Namer(Layout(benchmark, inputs, settings, artifacts))
    found = {kind: namer.bm25_systems(kind, reranker) for kind in kinds if kind.startswith("bm25")}
    systems = list(found.get("bm25", []))
    for encoder in encoders:
        for kind in kinds:
            if kind in _NEEDS_ENCODER:
                systems += namer.encoder_systems(kind, encoder, reranker)
    systems += found.get("bm25-rerank", [])
    return Plan(tuple(systems), tuple(notes))


def _choose_kinds(
    wanted: tuple[str, ...] | None, *, has_encoder: bool, has_reranker: bool, has_tuning: bool
) -> tuple[list[str], list[str]]:
    """Leave out what cannot be made, saying so; what was asked for by name must be made."""
    lacks = {
        "no --encoder was given": frozenset() if has_encoder else _NEEDS_ENCODER,
        "no --reranker was given": frozenset() if has_reranker else _NEEDS_RERANKER,
        "there are no topics to tune on beside those that are judged": (
            frozenset() if has_tuning else frozenset({"interpolation"})
        ),
    }
    kinds, notes = list(wanted or DEFAULT_KINDS), []
    for reason, missing in lacks.items():
        names = [kind for kind in kinds if kind in missing]
        if names and wanted:
            raise ValueError(f"{', '.join(names)} cannot be made: {reason}")
        if names:
            notes.append(f"{', '.join(names)} left out: {reason}")
            kinds = [kind for kind in kinds if kind not in missing]
    return kinds, notes


@dataclass(frozen=True)
class _Namer:
    """Names the systems and says in what a published figure must agree with each."""

    layout: Layout

    def bm25_systems(self, kind: str, reranker: Model | None) -> list[System]:
        run = self.layout.bm25(self.layout.inputs.test)
        first = System("bm25", run, (run,), self._setting("bm25", bm25=True))
        if kind == "bm25":
            return [first]
        return [self._reranked(first, reranker)] if reranker else []

    def encoder_systems(self, kind: str, encoder: Model, reranker: Model | None) -> list[System]:
        test, tuning = self.layout.inputs.test, self.layout.inputs.tuning
        sparse, dense = self.layout.bm25(test), self.layout.dense(test, encoder)
        if kind == "interpolation":
            if tuning is None:
                return []
            stage = self.layout.interpolated(sparse, dense, encoder, tuning)
            setting = self._setting(kind, encoder=encoder, bm25=True)
            return [System(stage.name, stage, (sparse, dense, stage), setting)]
        if kind.startswith("dense"):
            first = System(encoder.name, dense, (dense,), self._setting("dense", encoder=encoder))
        else:
            stage = self.layout.rrf(sparse, dense, encoder)
            setting = self._setting("rrf", encoder=encoder, bm25=True)
            first = System(stage.name, stage, (sparse, dense, stage), setting)
        if not kind.endswith("rerank"):
            return [first]
        return [self._reranked(first, reranker)] if reranker else []

    def _setting(
        self, kind: str, *, encoder: Model | None = None, bm25: bool = False
    ) -> dict[str, Any]:
        """Say what a published figure must agree in."""
        setting: dict[str, Any] = {
            "kind": kind,
            "collection": self.layout.benchmark.collection,
            "topics": self.layout.benchmark.topics,
            "index_text": self.layout.benchmark.index_text,
            "hits": self.layout.benchmark.depth,
            "removes_query": self.layout.benchmark.removes_query,
        }
        if bm25:
            setting |= {"k1": self.layout.settings.k1, "b": self.layout.settings.b}
        if encoder is not None:
            setting |= {"encoder": encoder.checkpoint, "factory": self.layout.settings.factory}
        if kind == "rrf":
            setting |= {
                "rrf_k": self.layout.settings.rrf_k,
                "fusion_depth": self.layout.settings.fusion_depth,
            }
        return setting

    def _reranked(self, first: System, reranker: Model) -> System:
        stage = self.layout.reranked(first.stage, reranker)
        setting = {
            **first.setting,
            "kind": "rerank",
            "first_stage": first.setting["kind"],
            "reranker": reranker.checkpoint,
            "rerank_depth": self.layout.settings.rerank_depth,
        }
        return System(stage.name, stage, (*first.parts, stage), setting)

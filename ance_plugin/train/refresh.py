"""One refresh: encode the collection with a checkpoint, search it, mine negatives, measure dev.

What a refresh publishes is a function of the checkpoint, the settings, the round and the negatives
before it: a killed one can be repeated, and the same code runs between two training steps (sync)
and in a process beside the trainer (async).
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ance_plugin import artifacts, measures
from ance_plugin.formats.runs import write_run
from ance_plugin.train.diagnostics import describe_margins, measure_overlap
from ance_plugin.train.findings import Findings, search_topics
from ance_plugin.train.folder import REFRESH, TrainingFolder
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.nearest import encode_corpus, remove_vectors
from ance_plugin.train.negatives.mining import Candidates, Miner
from ance_plugin.train.negatives.rows import TopicNegatives
from ance_plugin.train.negatives.settings import TRIPLES
from ance_plugin.train.negatives.table import TABLE, Negatives, read_negatives, write_table
from ance_plugin.train.settings import TrainSettings
from ance_plugin.version import describe_versions

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

logger = logging.getLogger(__name__)

DEV_RUN = "dev.trec"
_TOPICS_FOR_OVERLAP = 1000


@dataclass(frozen=True, slots=True)
class Task:
    """What one refresh is to do.

    Attributes:
        step: Of the checkpoint.
        round: Number of the refresh, from 0.
        mines: Whether negatives are made, or dev measures alone.
        previous: The refresh whose negatives were in use until now.
    """

    step: int
    round: int
    mines: bool = True
    previous: Path | None = None


class Refresher:
    """Make the refreshes of a training run.

    Args:
        folder: The run's.
        settings: The run's.
        inputs: The run's.
        miner: Chooses negatives among candidates.
        device: Where to compute, unless the settings say; None is the best there is.
    """

    def __init__(
        self,
        folder: TrainingFolder,
        settings: TrainSettings,
        inputs: Inputs,
        miner: Miner,
        *,
        device: str | None = None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._inputs = inputs
        self._miner = miner
        self._device = settings.refresh.device or device

    @property
    def num_steps(self) -> int:
        """The run's last step, whose dev topics the trainer itself measures."""
        return self._settings.optimization.num_steps

    @property
    def has_dev(self) -> bool:
        """Whether there are dev topics to measure."""
        return self._inputs.dev is not None

    @property
    def needs_vectors(self) -> bool:
        """Whether the collection must be encoded: for ANN negatives, or to measure dev topics."""
        return self._settings.has_ann or self._inputs.dev is not None

    def run(self, task: Task, *, on_stage: Callable[[str], object] = lambda _: None) -> Path:
        """Make a refresh, or find that it was made already.

        Args:
            task: What to do.
            on_stage: Called with the name of each stage as it begins.

        Returns:
            The refresh's directory.

        Raises:
            ArtifactError: The checkpoint is damaged, or another process makes this refresh.
        """
        output = self._folder.refresh(task.step)
        if output.exists():
            return output
        clock = _Clock(on_stage)
        content: dict[str, Any] = {"step": task.step, "round": task.round}
        found = self._find(task, content, clock) if self.needs_vectors else Findings()
        with artifacts.new_directory(output) as staging:
            self._measure_dev(found, content, clock, staging)
            self._mine(task, found, content, clock, staging)
            content["collection"] = self._inputs.corpus.metadata["collection"]
            content["versions"] = describe_versions("torch", "transformers")
            content["settings"] = self._settings.to_json()
            artifacts.seal(staging, REFRESH, {**content, "seconds": clock.seconds})
        remove_vectors(self._folder.vectors(task.step))
        _log(content, clock.seconds)
        return output

    def encode(self, task: Task, shard: tuple[int, int]) -> "Encoder":
        """Encode a share of the collection: the blocks whose number leaves ``shard[0]``.

        Args:
            task: The refresh to come.
            shard: Which share, of how many.

        Returns:
            The encoder that did it.
        """
        encoder = self._load_encoder(task)
        encode_corpus(
            self._inputs.corpus,
            encoder,
            self._folder.vectors(task.step),
            {"encoder": encoder.identity, "precision": encoder.precision},
            shard=shard,
            chunk_tokens=encoder.settings.max_document_tokens if self._is_chunked else None,
        )
        return encoder

    @property
    def _is_chunked(self) -> bool:
        return self._settings.start.maxp == "chunks"

    def _load_encoder(self, task: Task) -> "Encoder":
        from ance_plugin.encode.encoder import Encoder

        return Encoder.load(
            str(self._folder.checkpoint(task.step)),
            device=self._device,
            precision=self._settings.refresh.precision,
        )

    def _find(self, task: Task, content: dict[str, Any], clock: "_Clock") -> Findings:
        with clock.stage("encode"):
            encoder = self.encode(task, (0, 1))
        with clock.stage("search"):
            found = search_topics(
                self._inputs,
                encoder,
                self._folder.vectors(task.step),
                self._choose_searched(task),
                depth=self._settings.negatives.depth,
                dev_depth=self._settings.refresh.dev_depth,
                is_chunked=self._is_chunked,
            )
        content["encoder"] = {"name": encoder.name, **encoder.identity}
        content["margins"] = describe_margins(
            found.positive_scores, found.score_others(self._inputs)
        )
        return found

    def _choose_searched(self, task: Task) -> list[int]:
        """List the training topics to search: those mined now, or a sample to measure overlap."""
        topics = range(len(self._inputs.topics))
        if task.mines and self._settings.has_ann:
            return [topic for topic in topics if self._is_mined(task, topic)]
        return list(topics[:: -(-len(topics) // _TOPICS_FOR_OVERLAP)])

    def _is_mined(self, task: Task, topic: int) -> bool:
        """Say whether a topic gets new negatives in this round; in the first one all do."""
        parts = max(1, round(1 / self._settings.refresh.refresh_share))
        return task.previous is None or topic % parts == task.round % parts

    def _measure_dev(
        self, found: Findings, content: dict[str, Any], clock: "_Clock", staging: Path
    ) -> None:
        dev, refresh = self._inputs.dev, self._settings.refresh
        if dev is None or found.dev_run is None:
            return
        with clock.stage("dev"):
            write_run(staging / DEV_RUN, found.dev_run, tag=f"step-{content['step']}")
            names = [refresh.dev_measure, "ndcg@10", "mrr@10", f"recall@{refresh.dev_depth}"]
            content["dev"] = measures.means(found.dev_run, dev.qrels, list(dict.fromkeys(names)))

    def _mine(
        self,
        task: Task,
        found: Findings,
        content: dict[str, Any],
        clock: "_Clock",
        staging: Path,
    ) -> None:
        in_use = None if task.previous is None else read_negatives(task.previous)
        if task.mines:
            with clock.stage("mine"):
                content |= write_table(staging, self._iter_mined(task, found, in_use))
            in_use = in_use or read_negatives(staging / TABLE)
        if found.nearest is not None and in_use is not None:
            topics = self._inputs.topics.topics
            qids = [topics[topic].qid for topic in found.places]
            rows = found.nearest.rows
            content["overlap"] = measure_overlap(in_use, qids, rows, self._inputs.corpus)

    def _iter_mined(
        self,
        task: Task,
        found: Findings,
        in_use: Negatives | None,
    ) -> Iterator[TopicNegatives]:
        for number, topic in enumerate(self._inputs.topics.topics):
            if in_use is not None and not self._is_mined(task, number):
                yield in_use.by_qid(topic.qid)
                continue
            yield self._miner.mine(
                topic.qid,
                self._list_candidates(number, found),
                positive_scores=found.score_positives(number, self._inputs),
                round=task.round,
                step=task.step,
            )

    def _list_candidates(self, topic: int, found: Findings) -> Mapping[str, Candidates]:
        candidates = {}
        near = found.list_candidates(topic, self._inputs) if self._settings.has_ann else None
        if near is not None:
            candidates["ann"] = near
        bm25, qid = self._inputs.bm25, self._inputs.topics.topics[topic].qid
        if bm25 is not None and qid in bm25 and self._settings.negatives.mix.get("bm25", 0) > 0:
            candidates["bm25"] = _list_bm25(bm25.by_qid(qid))
        return candidates


def _list_bm25(row: TopicNegatives) -> Candidates:
    """Give a table's negatives as candidates, best first; those that filled it up are left out."""
    if TRIPLES not in row.sources:
        return Candidates.from_negatives(row, "bm25")
    pairs = zip(row.negatives, row.sources, strict=True)
    docids = [docid for docid, source in pairs if source == TRIPLES]
    return Candidates(docids, np.zeros(len(docids), np.float32))  # triples have no scores


@dataclass(slots=True)
class _Clock:
    """Seconds of each stage, and who wants to know which one it is."""

    on_stage: Callable[[str], object]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.on_stage(name)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def _log(content: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    dev = "  ".join(f"{name} {value:.4f}" for name, value in content.get("dev", {}).items())
    overlap = content.get("overlap")
    logger.info(
        "refresh at step %d: %s%s (%s)",
        content["step"],
        dev or "no dev topics",
        "" if overlap is None else f"  overlap {overlap:.3f}",
        ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()) or "nothing to do",
    )

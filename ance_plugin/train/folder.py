"""A training run's output folder: what trainer and refresher tell each other through files.

    training.json                   settings, written once
    tokens/                         the tokenized collection
    negatives/bm25/                 BM25 candidates, where a run mined them
    checkpoints/step-00000500/      encoders, any of which other commands load
    states/step-00000500/           optimiser state of the newest checkpoint, for --resume
    refreshes/step-00000500/        negatives, dev run and measures made with that checkpoint
    refreshes/step-00000500.vectors/  the encoded collection, for as long as that is made
    best.json                       the checkpoint that stands for the folder
    refresher.json                  what a refresher beside the trainer does now
    finished.json                   there once training has come to its end
    log.jsonl, tensorboard/         what happened

Everything published is a sealed directory: whole, or not there.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ance_plugin import artifacts
from ance_plugin.encode.sources import BEST
from ance_plugin.errors import ArtifactError

CHECKPOINT, STATE, REFRESH = "checkpoint", "training state", "refresh"
SETTINGS = "training.json"
_STEP = re.compile(r"step-(\d{8})")
_VECTORS = re.compile(r"\.?step-(\d{8})\.vectors(?:\.partial)?")


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """The paths of a training run's output folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """File of the settings."""
        return self.path / SETTINGS

    @property
    def best(self) -> Path:
        """File that names the best checkpoint."""
        return self.path / BEST

    @property
    def log(self) -> Path:
        """File of one JSON line an event."""
        return self.path / "log.jsonl"

    @property
    def tokens(self) -> Path:
        """Directory of the tokenized collection, where none was named."""
        return self.path / "tokens"

    @property
    def bm25_negatives(self) -> Path:
        """Directory of the BM25 candidates that the run itself mined."""
        return self.path / "negatives" / "bm25"

    @property
    def heartbeat(self) -> Path:
        """File in which a refresher says what it does."""
        return self.path / "refresher.json"

    @property
    def finished(self) -> Path:
        """File that is there once training has come to its end."""
        return self.path / "finished.json"

    def checkpoint(self, step: int) -> Path:
        """Directory of a step's encoder."""
        return self.path / "checkpoints" / _name(step)

    def state(self, step: int) -> Path:
        """Directory of a step's optimiser state."""
        return self.path / "states" / _name(step)

    def refresh(self, step: int) -> Path:
        """Directory of what was made with a step's checkpoint."""
        return self.path / "refreshes" / _name(step)

    def vectors(self, step: int) -> Path:
        """Directory of the collection as a step's checkpoint encodes it, gone once it was used."""
        return self.refresh(step).with_suffix(".vectors")

    def steps_of_vectors(self) -> list[int]:
        """List the steps of which there are vectors, finished or not, lowest first."""
        names = (entry.name for entry in (self.path / "refreshes").glob("*step-*.vectors*"))
        return sorted({int(match[1]) for match in map(_VECTORS.fullmatch, names) if match})

    def steps(self, kind: str) -> list[int]:
        """List the steps of which there is something, lowest first.

        Args:
            kind: ``checkpoint``, ``training state`` or ``refresh``.
        """
        parent = {CHECKPOINT: "checkpoints", STATE: "states", REFRESH: "refreshes"}[kind]
        names = (entry.name for entry in (self.path / parent).glob("step-*"))
        return sorted(int(match[1]) for match in map(_STEP.fullmatch, names) if match)

    def write_best(self, step: int, content: dict[str, Any]) -> None:
        """Name the checkpoint that stands for the folder, and why."""
        checkpoint = self.checkpoint(step).relative_to(self.path).as_posix()
        artifacts.write_json(self.best, {"checkpoint": checkpoint, "step": step, **content})

    def require_settings(self) -> dict[str, Any]:
        """Read the settings of a run that was started.

        Raises:
            FileNotFoundError: No run was started here.
            ArtifactError: The file is damaged, or written by a newer version.
        """
        if not self.settings.is_file():
            raise FileNotFoundError(
                f"{self.path}: has no {SETTINGS}; no training was started there"
            )
        content = artifacts.read_json(self.settings)
        version = content.get("format_version")
        if version != artifacts.FORMAT_VERSION:
            raise ArtifactError(
                f"{self.settings}: has format version {version}, this ance-plugin reads "
                f"{artifacts.FORMAT_VERSION}"
            )
        if content.get("sha256", _hash(content)) != _hash(content):  # older runs have none
            raise ArtifactError(
                f"{self.settings}: is damaged, its content has changed since the run began; put it "
                "back as it was, or start a new run"
            )
        return content

    def write_settings(self, content: dict[str, Any]) -> None:
        """Write what a run was asked for, with a hash by which a change is noticed."""
        content = {"format_version": artifacts.FORMAT_VERSION, **content}
        artifacts.write_json(self.settings, {**content, "sha256": _hash(content)})


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps({**content, "sha256": None}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(step: int) -> str:
    return f"step-{step:08d}"

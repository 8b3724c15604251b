"""Stages: a command of the package, what it makes, and everything that decides what comes out.

An artifact is named by a hash of that everything (the stage's settings and those of the stages
before it), so other settings are another artifact and nothing is ever mixed. Beside a finished one
stands ``NAME.stage.json``: the settings in words, the command, and hashes of what came out and of
what went in. It is written last; an artifact without it, or that is not what it says, is made
again. A stage that was made needs the ones before it no more, so their artifacts may be deleted.

Commands run in this process, which saves loading PyTorch for each, and what a stage held is let go
when it ends. A JVM keeps the heap it once had (3.2 GB after SciFact's index, beside 1.3 for
encoding), so Lucene's stages have a process of their own, which ends with this one.
"""

import contextlib
import hashlib
import importlib
import json
import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ance_plugin import artifacts
from ance_plugin.errors import AnceError, ArtifactError
from ance_plugin.formats.runs import manifest_path
from ance_plugin.version import describe_versions
from evaluation.benchmarks.child import run_child

logger = logging.getLogger(__name__)

_DIGITS = 10
_INTERRUPTED = 130  # what a command that Ctrl-C ended returns, as in a shell
_LIBRARIES = ("pyserini", "faiss-cpu", "torch", "transformers", "numpy", "ranx")


class StageError(AnceError):
    """A stage's command failed; what it said stands before."""


@dataclass(frozen=True)
class Stage:
    """One command and the artifact it makes.

    Attributes:
        name: What a reader calls it, such as ``bm25-index`` or ``dense``.
        folder: Where its artifact goes.
        module: The command, started as ``python -m``.
        words: Its flags, but for ``--output``.
        settings: What decides the bytes beside ``inputs``: hashes and numbers, no paths.
        inputs: The stages whose artifacts it reads.
        kind: The artifact's kind where it is a sealed directory; empty for a file.
        needs_java: Whether it starts a JVM.
        suffix: Of a file's name.
    """

    name: str
    folder: Path
    module: str
    words: tuple[str, ...]
    settings: Mapping[str, Any]
    inputs: tuple["Stage", ...] = ()
    kind: str = ""
    suffix: str = ".trec"
    needs_java: bool = False

    @cached_property
    def key(self) -> str:
        """Hash everything that decides the artifact, back to the first inputs."""
        content = {
            "name": self.name,
            "settings": self.settings,
            "inputs": [stage.key for stage in self.inputs],
        }
        return hash_json(content)

    @property
    def output(self) -> Path:
        """Where the artifact stands."""
        return self.folder / f"{self.name}-{self.key[:_DIGITS]}{'' if self.kind else self.suffix}"

    @property
    def record(self) -> Path:
        """Where it is written what was made."""
        return self.output.with_name(f"{self.output.name}.stage.json")

    @property
    def argv(self) -> list[str]:
        """Give the command's flags in full."""
        overwrite = ["--overwrite"] if self.kind else []
        return [*self.words, "--output", str(self.output), *overwrite]

    @property
    def command(self) -> str:
        """Give the command as one types it."""
        return shlex.join(["python", "-m", *self.module.split(), *self.argv])


@dataclass
class Workshop:
    """Makes what is missing, and remembers what it found.

    Attributes:
        is_verbose: Commands log more.
        made: Names of the stages that were made, in order.
        reused: Names of those whose artifact stood and verified.
    """

    is_verbose: bool = False
    made: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    _sound: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def ensure(self, stage: Stage) -> dict[str, Any]:
        """Reuse a stage's artifact if it verifies, else make it, and what it needs first.

        Args:
            stage: The stage.

        Returns:
            The record beside its artifact.

        Raises:
            StageError: Its command, or one before it, failed.
            KeyboardInterrupt: It was interrupted.
        """
        if stage.output in self._sound:
            return self._sound[stage.output]
        problem = find_problem(stage)
        if problem is None:
            record = artifacts.read_json(stage.record)
            logger.info("%s: is there, %s", stage.name, stage.output)
            self.reused.append(stage.name)
        else:
            inputs = {one.name: self.ensure(one)["sha256"] for one in stage.inputs}
            logger.info("%s: %s; %s", stage.name, problem, stage.command)
            record = self._make(stage, inputs)
            self.made.append(stage.name)
        self._sound[stage.output] = record
        return record

    def _make(self, stage: Stage, inputs: Mapping[str, str]) -> dict[str, Any]:
        stage.record.unlink(missing_ok=True)
        stage.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        self._run(stage)
        check_made(stage)
        record = {
            "stage": stage.name,
            "command": stage.command,
            "settings": dict(stage.settings),
            "key": stage.key,
            "inputs": dict(inputs),
            "sha256": hash_output(stage),
            "manifest_sha256": _hash_manifest(stage),
            "seconds": round(time.monotonic() - started, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": describe_versions(*_LIBRARIES),
        }
        artifacts.write_json(stage.record, record)
        return record

    def _run(self, stage: Stage) -> None:
        module, *first = stage.module.split()
        argv = [*first, *stage.argv, *(["--verbose"] if self.is_verbose else [])]
        if stage.needs_java:
            code = run_child(module, argv)
        else:
            with contextlib.redirect_stdout(sys.stderr):
                code = importlib.import_module(f"{module}.__main__").main(argv)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise StageError(f"stage {stage.name} failed, see the line before; {stage.command}")


def find_problem(stage: Stage) -> str | None:
    """Say why a stage's artifact cannot be reused; None where it can.

    Args:
        stage: The stage.

    Returns:
        A few words, such as ``is not there yet``.
    """
    if not stage.output.exists():
        return "is not there yet"
    if not stage.record.is_file():
        return "was not finished"
    try:
        record = artifacts.read_json(stage.record)
        if record.get("key") != stage.key:
            return "was made with other settings"
        found = (hash_output(stage), _hash_manifest(stage))
        if found != (record.get("sha256"), record.get("manifest_sha256")):
            return "has changed since it was made"
    except (ArtifactError, OSError) as err:
        return f"is damaged ({err})"
    for one in stage.inputs:
        before = _recorded_digest(one)
        if before is not None and before != record.get("inputs", {}).get(one.name):
            return f"was made from another {one.name}"
    return None


def check_made(stage: Stage) -> None:
    """Raise MismatchError where what was made is of other models or documents than was settled.

    A checkpoint or a collection may have been replaced since the benchmark started.
    """
    if stage.suffix != ".trec" and not stage.kind:
        return
    beside = stage.output / artifacts.METADATA if stage.kind else manifest_path(stage.output)
    made = artifacts.read_json(beside)
    for part in ("collection", "encoder", "model"):
        wanted, found = stage.settings.get(part), made.get(part)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            shared = (wanted.keys() & found.keys()) - {"device"}  # cuda:1 is a cuda
            artifacts.require_equal(
                {name: found[name] for name in shared},
                {name: wanted[name] for name in shared},
                what=f"{stage.output}: its {part} changed while the benchmark ran, start it again",
            )


def list_stages(goals: list[Stage]) -> Iterator[Stage]:
    """Yield the goals and all they need, each once and after what it reads."""
    seen: set[Path] = set()
    waiting = [(stage, False) for stage in reversed(goals)]
    while waiting:
        stage, is_ready = waiting.pop()
        if stage.output in seen:
            continue
        if is_ready:
            seen.add(stage.output)
            yield stage
        else:
            waiting.append((stage, True))
            waiting += [(one, False) for one in reversed(stage.inputs)]


def hash_output(stage: Stage) -> str:
    """Hash what a stage made, but for the manifest beside a run, which tells the time it took.

    Args:
        stage: The stage.

    Returns:
        A SHA-256.

    Raises:
        ArtifactError: A directory is not whole, or a file of it is not what its manifest says.
        OSError: A file cannot be read.
    """
    if stage.kind:
        return hash_json(artifacts.verify(stage.output, stage.kind)["files"])
    return artifacts.sha256_file(stage.output)


def _hash_manifest(stage: Stage) -> str | None:
    """Hash the JSON file beside a run; None where the artifact is no run."""
    is_run = not stage.kind and stage.suffix == ".trec"
    return artifacts.sha256_file(manifest_path(stage.output)) if is_run else None


def hash_json(content: Any) -> str:  # noqa: ANN401 - anything JSON can say
    """Hash a value by its JSON, keys sorted."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _recorded_digest(stage: Stage) -> str | None:
    try:
        digest = artifacts.read_json(stage.record).get("sha256")
    except (ArtifactError, OSError):
        return None
    return digest if isinstance(digest, str) else None

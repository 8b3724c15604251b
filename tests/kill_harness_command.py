"""A command that the kill harness kills, and what its output says."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ance_plugin import artifacts
from ance_plugin.artifacts import METADATA
from ance_plugin.train.folder import CHECKPOINT, REFRESH, STATE, TrainingFolder

# What differs from one run to the next though nothing is wrong. Versions are read from what is
# installed at that moment: a package that is just being installed anew says "not installed".
_UNSTABLE = {"seconds", "command", "files", "pairs_per_second", "timings", "log.jsonl"}
_UNSTABLE |= {"created_by", "versions"}


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        name: As people call it.
        module: Whose ``main`` it is.
        words: Its flags but ``--output``.
        output: Name of what it writes.
        content: Gives what the output says, the same for every undisturbed run; raises where it is
            damaged.
        replaces: The flags with which it replaces an older output.
        resumes: Whether it leaves what it can go on with when it is asked to stop.
        needs_java: Whether it starts a JVM.
    """

    name: str
    module: str
    words: list[str]
    output: str
    content: Callable[[Path], object]
    replaces: tuple[str, ...] = ()
    resumes: bool = False
    needs_java: bool = False

    def run(self, folder):
        """Run it in this process, its output in ``folder``."""
        output = folder / self.output
        words = [*self.words, *self.replaces]
        if (output / "training.json").exists():
            words = ["--resume"]
        main = import_module(f"{self.module}.__main__").main
        first = [words.pop(0)] if words[:1] and not words[0].startswith("-") else []
        first = first or self.words[:1] if self.module.endswith("train") else first
        return main([*first, *words, "--output", str(output)])


def sealed(path):
    """Give the hashes of an artifact's files, after comparing them with the files."""
    kind = artifacts.read_json(path / METADATA)["kind"]
    return artifacts.verify(path, kind)["files"]


def lucene(path):
    """Give what the metadata says of a Lucene index, whose bytes are never twice the same."""
    sealed(path)
    return drop(artifacts.read_json(path / METADATA))


def run(path):
    """Give the bytes of a run; its manifest, where it is there, is whole."""
    manifest = path.with_name(f"{path.name}.json")
    if manifest.exists():
        json.loads(manifest.read_text())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(path):
    """Give the hash of every file that says the same each time."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in {*_UNSTABLE, METADATA}
    }


def trained(path):
    """Verify everything that a training published; give the last weights once it is over."""
    folder = TrainingFolder(path)
    paths = {CHECKPOINT: folder.checkpoint, STATE: folder.state, REFRESH: folder.refresh}
    for kind, place in paths.items():
        for step in folder.steps(kind):
            artifacts.verify(place(step), kind)
    if not folder.finished.exists():
        return None
    return sealed(folder.checkpoint(folder.steps(CHECKPOINT)[-1]))["model.safetensors"]


def drop(content):
    """Leave out what differs from run to run."""
    return {name: value for name, value in content.items() if name not in _UNSTABLE}

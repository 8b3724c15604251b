"""The scores of finished topics beside the output, so that a killed run goes on where it was.

A hidden file ``.RUN.scored``: a first line that says what the scores were made from and with, then
a line for each topic. What a killed process left half written at its end is cut off. A file that
says anything else than this run would is of another run, and is started anew.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ance_plugin.artifacts import claim

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoredTopic:
    """Scores of a topic's documents in the order of the first-stage run.

    Attributes:
        qid: The topic.
        scores: float32 values, one a document.
        seconds: How long scoring took.
    """

    qid: str
    scores: list[float]
    seconds: float


class Journal:
    """The topics that are scored, read at the start and added to as they come.

    Args:
        file: Open for reading and writing bytes, at its beginning.
        settings: Everything that decides the scores, as JSON.
    """

    def __init__(self, file: IO[bytes], settings: Mapping[str, Any]) -> None:
        self._file = file
        self.topics: dict[str, ScoredTopic] = {}
        self._read(json.loads(json.dumps(settings)))

    def add(self, topic: ScoredTopic) -> None:
        """Write a topic's scores to the disk."""
        self._write(asdict(topic))
        self.topics[topic.qid] = topic

    def _read(self, settings: dict[str, Any]) -> None:
        end = 0
        for number, line in enumerate(self._file):
            content = _parse(line)
            if content is None:
                break
            if number == 0 and content != settings:
                names = sorted(name for name in settings if content.get(name) != settings[name])
                logger.warning("rerank: starts anew, as %s changed since it was killed", names)
                break
            if number > 0:
                topic = _to_topic(content)
                if topic is None:
                    break
                self.topics[topic.qid] = topic
            end += len(line)
        self._file.seek(end)
        self._file.truncate()
        if end == 0:
            self._write(settings)

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def open_journal(output: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
    """Yield the journal of a run; it goes when the block ends without an error.

    Args:
        output: The run that is to be written.
        settings: Everything that decides the scores, as JSON.

    Yields:
        The topics scored so far.

    Raises:
        ArtifactError: Another process reranks into the same output.
    """
    path = journal_path(output)
    with claim(path):
        with path.open("a+b") as file:
            file.seek(0)
            yield Journal(file, settings)
        path.unlink()


def journal_path(output: Path) -> Path:
    """Name the hidden file beside a run in which its scores grow."""
    return output.with_name(f".{output.name}.scored")


def _to_topic(content: Mapping[str, Any]) -> ScoredTopic | None:
    """Make a topic of a line; None where it says anything else."""
    match content:
        case {"qid": str(qid), "scores": list(scores), "seconds": float(seconds)} if all(
            type(score) is float for score in scores
        ):
            return ScoredTopic(qid, scores, seconds)
        case _:
            return None


def _parse(line: bytes) -> dict[str, Any] | None:
    """Read a whole line; None where it was cut off, or is no JSON object."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None

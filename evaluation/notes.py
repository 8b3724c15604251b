"""What a reader of a comparison must be told: gaps in runs and qrels, and tuning on the topics."""

from pathlib import Path
from typing import Any

from ance_plugin.artifacts import read_json
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.runs import manifest_path
from ance_plugin.records import Qrels


def count_without_relevant(qrels: Qrels) -> int:
    """Count the topics in which no document has a relevance of 1 or more."""
    return sum(all(grade < 1 for grade in judged.values()) for judged in qrels.values())


def about_qrels(qrels: Qrels) -> list[str]:
    """Say how many topics cannot be above zero."""
    count = count_without_relevant(qrels)
    if not count:
        return []
    return [f"{count} of {len(qrels)} topics have no relevant document; they count zero"]


def about_topics(name: str, num_missing: int, num_unjudged: int) -> list[str]:
    """Say how many topics of the qrels a run lacks, and how many of the run the qrels lack."""
    notes = []
    if num_missing:
        notes.append(f"{name} has no hits for {num_missing} topics; they count zero")
    if num_unjudged:
        notes.append(f"{name} has {num_unjudged} topics without judgments; ignored")
    return notes


def about_tuning(name: str, path: Path, qrels: Qrels) -> list[str]:
    """Say where a run's parameters were tuned on topics that are evaluated."""
    manifest = manifest_path(path)
    if not manifest.is_file():
        return []
    try:
        tuned_on, qids = tuned_topics(read_json(manifest))
    except ArtifactError as err:
        return [f"cannot tell on what {name} was tuned: {err}"]
    count = len(qids & qrels.keys())
    if not count:
        return []
    return [
        f"{name} was tuned on {count} of the {len(qrels)} topics evaluated (tuned on {tuned_on}): "
        "its values are no test result"
    ]


def tuned_topics(manifest: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """Read from a run's manifest on which qrels and qids its fusion parameters were tuned.

    Args:
        manifest: Content of the JSON file beside the run.

    Returns:
        Name of the qrels and the qids; empty where nothing was tuned.
    """
    found: Any = manifest
    for key in ("fusion", "tuned_on"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("qids"), list):
        return "", frozenset()
    return str(found.get("qrels", "")), frozenset(map(str, found["qids"]))

"""What a reader of a comparison must be told: gaps in runs and qrels, and tuning on the topics.

A flag makes a system's values doubtful and stands beside its name; a note is for all to read.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ance_plugin import measures
from ance_plugin.artifacts import read_json, sha256_file
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.runs import manifest_path
from ance_plugin.records import Qrels, Run


def count_without_relevant(qrels: Qrels) -> int:
    """Count the topics in which no document has a relevance of 1 or more."""
    return sum(all(grade < 1 for grade in judged.values()) for judged in qrels.values())


def about_qrels(qrels: Qrels) -> list[str]:
    """Say how many topics cannot be above zero."""
    count = count_without_relevant(qrels)
    if not count:
        return []
    return [f"{count} of {len(qrels)} topics have no relevant document; they count zero"]


def flag_run(name: str, path: Path, run: Run, qrels: Qrels) -> list[str]:
    """Say what makes the values of a run doubtful: gaps, foreign docids, tuning on the topics."""
    flags = []
    num_missing = sum(not run.get(qid) for qid in qrels)
    if num_missing:
        flags.append(
            f"{name} has no hits for {num_missing} of {len(qrels)} topics; they count zero"
        )
    if not any(hit.docid in judged for qid, judged in qrels.items() for hit in run.get(qid, ())):
        flags.append(f"no hit of {name} is judged{_show_docids(run, qrels)}")
    return flags + _flag_tuning(name, path, qrels)


def about_unjudged(name: str, num_unjudged: int, num_topics: int) -> list[str]:
    """Say how many topics of a run the qrels lack."""
    if not num_unjudged:
        return []
    return [f"{num_unjudged} of the {num_topics} topics of {name} have no judgments; ignored"]


def about_depths(num_hits: Mapping[str, int], measured: Sequence[str]) -> list[str]:
    """Say which measures look deeper than the hits of which systems.

    Args:
        num_hits: name -> the largest number of hits of a topic.
        measured: Measures.

    Returns:
        At most one note a measure.
    """
    notes = []
    for measure in measured:
        cutoff = measures.find_cutoff(measure) or 0
        short = [f"{name} ({count})" for name, count in num_hits.items() if count < cutoff]
        if short:
            notes.append(f"{measure} looks deeper than the hits a topic has in {', '.join(short)}")
    return notes


def about_directions(measured: Sequence[str]) -> list[str]:
    """Say of which measures less is better."""
    return [
        f"less is better of {name}; a topic without hits counts 0, which is best"
        for name in measured
        if measures.is_lower_better(name)
    ]


def hash_ranking(run: Run) -> bytes:
    """Hash which documents a run has in which order; scores, tags and formats do not matter."""
    digest = hashlib.blake2b(digest_size=16)
    for qid in sorted(run):  # no id has white space
        digest.update(" ".join([qid, *(hit.docid for hit in run[qid])]).encode() + b"\n")
    return digest.digest()


def flag_copies(rankings: Mapping[str, bytes]) -> dict[str, str]:
    """Find runs that rank as an earlier one does.

    Args:
        rankings: name -> what ``hash_ranking`` gives of the run.

    Returns:
        name -> what to say, for the later ones.
    """
    first: dict[bytes, str] = {}
    found = {}
    for name, ranking in rankings.items():
        if first.setdefault(ranking, name) != name:
            found[name] = f"{name} ranks in every topic as {first[ranking]} does; is it a copy?"
    return found


def _show_docids(run: Run, qrels: Qrels) -> str:
    retrieved = next((hit.docid for hits in run.values() for hit in hits), None)
    judged = next((docid for judged in qrels.values() for docid in judged), None)
    return (
        f": it has docids such as {retrieved!r}, the qrels {judged!r}, "
        "so they may be of different collections"
    )


def _flag_tuning(name: str, path: Path, qrels: Qrels) -> list[str]:
    """Say where a run, or one it was made from, was tuned on topics that are evaluated."""
    flags = []
    for made_from in _iter_sources(path):
        if not manifest_path(made_from).is_file():
            continue
        try:
            tuned_on, qids = tuned_topics(read_json(manifest_path(made_from)))
        except ArtifactError as err:
            flags.append(f"cannot tell on what {name} was tuned: {err}")
            continue
        count = len(qids & qrels.keys())
        through = "" if made_from == path else f" through {made_from.name}"
        if count:
            flags.append(
                f"{name} was tuned{through} on {count} of the {len(qrels)} topics evaluated "
                f"(tuned on {tuned_on}): its values are no test result"
            )
    return flags


def _iter_sources(path: Path) -> Iterator[Path]:
    """Yield a run and, by their manifests, the runs it was fused or reranked from, each once."""
    waiting, seen = [path], set()
    while waiting:
        run = waiting.pop(0)
        if run.resolve() in seen:
            continue
        seen.add(run.resolve())
        yield run
        waiting += find_inputs(run)


def find_inputs(path: Path) -> list[Path]:
    """Find the runs that a run was fused or reranked from, if they still are what they were.

    Args:
        path: A run.

    Returns:
        Runs whose SHA-256 is the recorded one, where they were or beside this one; none without a
        manifest that can be read.
    """
    try:
        manifest = read_json(manifest_path(path))
    except (FileNotFoundError, ArtifactError):
        return []
    recorded = manifest.get("runs")
    listed = [*(recorded if isinstance(recorded, list) else []), manifest.get("run")]
    found = []
    for entry in listed:
        if isinstance(entry, dict) and entry.get("path"):
            places = [Path(str(entry["path"])), path.parent / Path(str(entry["path"])).name]
            same = (
                place
                for place in places
                if place.is_file() and sha256_file(place) == entry.get("sha256")
            )
            found += [next(same, None)]
    return [place for place in found if place is not None]


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

"""Run files: TREC (``qid Q0 docid rank score tag``) and MS MARCO (``qid<TAB>docid<TAB>rank``)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ance_plugin.artifacts import new_file, write_json
from ance_plugin.errors import FormatError
from ance_plugin.formats.lines import read_lines
from ance_plugin.formats.regular_runs import read_regular_run
from ance_plugin.packed_hits import docids_of, scores_of
from ance_plugin.ranking import order
from ance_plugin.records import Hit, Run

type RunFormat = Literal["trec", "msmarco"]


def read_run(path: Path) -> Run:
    """Read a TREC run, plain or gzipped; hits are ordered by score, the rank column is ignored.

    Returns:
        qid -> hits in the order of ``ranking``; topics in the order of their first line.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: A line has other than six columns, a score that is no finite number, or a
            docid that its topic has already.
    """
    run = read_regular_run(path)
    return _read_lines(path) if run is None else run


def _read_lines(path: Path) -> Run:
    scores: dict[str, dict[str, float]] = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            problem = f'expected "qid Q0 docid rank score tag", found {len(columns)} columns'
            raise FormatError.at(path, number, problem)
        qid, _, docid, _, score, _ = columns
        hits = scores.setdefault(qid, {})
        if docid in hits:
            raise FormatError.at(path, number, f"topic {qid} has document {docid} twice")
        hits[docid] = _parse_score(score, path, number)
    return {qid: order(Hit(*pair) for pair in hits.items()) for qid, hits in scores.items()}


def read_tag(path: Path) -> str:
    """Read the tag (last column) of a run's first line; an empty run is named by its file."""
    for _, line in read_lines(path):
        columns = line.split()
        if columns:
            return columns[-1]
    return path.name.removesuffix(".gz").removesuffix(".trec")


def write_run(path: Path, run: Run, *, tag: str, output_format: RunFormat = "trec") -> None:
    """Write a run file; it appears whole or not at all.

    A topic without hits has no line, as the format has none for it.

    Raises:
        ValueError: ``tag``, a qid or a docid is not one word, or a score is not finite.
    """
    check_tag(tag)
    for qid, hits in run.items():
        words = [qid, *docids_of(hits)]
        if " ".join(words).split() != words:
            wrong = next(word for word in words if word.split() != [word])
            raise ValueError(
                f"topic {qid!r}: {wrong!r} must be one word: it is a column of the run"
            )
        if not all(map(math.isfinite, scores_of(hits))):
            raise ValueError(f"topic {qid} has a score that is not finite")
    with new_file(path) as file:
        for qid, hits in run.items():
            file.write("".join(_format_hits(qid, hits, tag, output_format)))


def check_tag(tag: str) -> None:
    """Raise ValueError unless a tag is one word."""
    if tag.split() != [tag]:
        raise ValueError(f"tag {tag!r} must be one word: it is a column of the run")


def save_run(
    path: Path, run: Run, manifest: Mapping[str, Any], *, tag: str, output_format: RunFormat
) -> None:
    """Write a run, then the JSON file beside it that says how it was made.

    An older manifest goes first, so that a process killed in between leaves none that describes
    another run.
    """
    manifest_path(path).unlink(missing_ok=True)
    write_run(path, run, tag=tag, output_format=output_format)
    write_manifest(path, manifest)


def manifest_path(path: Path) -> Path:
    """Name the JSON file beside a run that says how the run was made."""
    return path.with_name(f"{path.name}.json")


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON file beside a run; ``content`` is everything needed to make it again."""
    write_json(manifest_path(path), content)


def _format_hits(
    qid: str, hits: Sequence[Hit], tag: str, output_format: RunFormat
) -> Iterator[str]:
    docids = docids_of(hits)
    if output_format == "msmarco":
        for rank, docid in enumerate(docids, start=1):
            yield f"{qid}\t{docid}\t{rank}\n"
        return
    for rank, (docid, score) in enumerate(zip(docids, scores_of(hits), strict=True), start=1):
        yield f"{qid} Q0 {docid} {rank} {float(score)!r} {tag}\n"


def _parse_score(text: str, path: Path, number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score) or "_" in text:  # Python takes 1_0 for 10
        raise FormatError.at(path, number, f"score must be a finite number, found {text!r}")
    return score

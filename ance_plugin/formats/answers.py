"""Answers to questions: DPR's and Pyserini's files, JSON lines, or the answers of a dataset."""

import ast
import csv
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ance_plugin.errors import FormatError
from ance_plugin.formats import datasets, prebuilt_topics
from ance_plugin.formats.lines import read_json_lines, read_lines, require_id

_ID_FIELDS = ("qid", "id", "_id", "query_id")
_QUESTION_FIELDS = ("question", "query", "text")
_ANSWER_FIELDS = ("answers", "answer")


class Answered(NamedTuple):
    """A question and its answers.

    Attributes:
        answers: Texts, or regular expressions; there may be none.
        qid: The topic's id; None where the source has none.
        question: Its text; None where the file has none.
        source: File and line, for messages.
    """

    answers: tuple[str, ...]
    qid: str | None
    question: str | None
    source: str


def read_answers(name: str) -> list[Answered]:
    """Read answers; nothing in a file is ever evaluated.

    Args:
        name: A file of DPR lines (``question<TAB>['answer', ...]``, quoted as CSV or not), of JSON
            lines (``qid`` or ``id``, or ``question``, and ``answers``), a JSON list of DPR's
            records, or Pyserini's retrieval JSON (qid to ``question`` and ``answers``), each plain
            or ``.gz``; else one of Pyserini's topics names, such as dpr-nq-test, or an ir-datasets
            id whose topics have answers.

    Returns:
        The questions in the order of the source.

    Raises:
        FileNotFoundError: There is no such file or dataset.
        FormatError: The file is in none of these formats, or has no questions.
    """
    path = Path(name)
    if path.is_dir():
        raise FormatError(f"{path}: is a folder, expected a file of answers")
    if path.is_file():
        found = list(_read_file(path))
    elif prebuilt_topics.is_topics_name(name):
        found = [_of_topic(*row, name) for row in prebuilt_topics.read_answers(name)]
    else:
        rows = datasets.iter_answers(name)
        found = [Answered(answers, qid, text, name) for qid, text, answers in rows]
    if not found:
        raise FormatError(f"{name}: has no answers")
    return found


def parse_qa_line(line: str) -> tuple[str, list[str]] | None:
    r"""Read a DPR line, ``question<TAB>['answer', ...]``; None where it is none.

    The list may stand in double quotes, its own doubled, as the csv module writes it. The question
    is left as it stands, as Pyserini leaves it.
    """
    columns = line.split("\t")
    if len(columns) != 2:
        return None
    answers = parse_list(columns[1])
    return None if answers is None else (columns[0].strip(), answers)


def parse_list(text: str) -> list[str] | None:
    """Read a Python literal that is a list of strings; None where the text is none."""
    text = text.strip()
    if text.startswith('"[') and text.endswith(']"'):
        text = text[1:-1].replace('""', '"')
    if not text.startswith("["):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # a backslash in an answer
            found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    is_list = isinstance(found, list) and all(isinstance(answer, str) for answer in found)
    return found if is_list else None


def unquote(question: str) -> str:
    """Give a question as the csv module reads it: without the quotes around it."""
    rows = list(csv.reader([question], delimiter="\t")) if question.startswith('"') else []
    return rows[0][0] if rows and len(rows[0]) == 1 else question


def _read_file(path: Path) -> Iterator[Answered]:
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        first = next((line for _, line in read_lines(path) if line.strip()), "")
        if first.lstrip().startswith("[") or not _is_json(first):
            return _read_whole(path)
        return _read_lines_of_json(path)
    return _read_qa(path)


def _is_json(line: str) -> bool:
    """Say whether a line is a record of its own and not the beginning or all of a document."""
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and any(field in record for field in _ANSWER_FIELDS)


def _read_qa(path: Path) -> Iterator[Answered]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        parsed = parse_qa_line(line)
        if parsed is None:
            problem = "expected \"question<TAB>['answer', ...]\", a list of strings"
            raise FormatError.at(path, number, problem)
        yield Answered(tuple(parsed[1]), None, parsed[0], f"{path}:{number}")


def _read_lines_of_json(path: Path) -> Iterator[Answered]:
    for number, record in read_json_lines(path):
        qid = next((record[field] for field in _ID_FIELDS if field in record), None)
        name = None if qid is None else require_id(qid, path, number, "qid")
        yield _of_record(record, name, f"{path}:{number}")


def _read_whole(path: Path) -> Iterator[Answered]:
    """Read one JSON document: a list of DPR's records, or Pyserini's qid -> record."""
    try:
        content = json.loads("\n".join(line for _, line in read_lines(path)))
    except (ValueError, RecursionError) as err:
        raise FormatError(f"{path}: is not valid JSON ({err})") from err
    if isinstance(content, dict):
        pairs: Any = content.items()
    else:
        pairs = ((None, record) for record in content)
    for number, (qid, record) in enumerate(pairs, start=1):
        where = f"{path}: record {number}" if qid is None else f"{path}: topic {qid}"
        if not isinstance(record, dict):
            raise FormatError(f"{where}: expected an object with answers, found {record!r:.60}")
        yield _of_record(record, qid, where)


def _of_record(record: dict[str, Any], qid: str | None, where: str) -> Answered:
    answers = next((record[field] for field in _ANSWER_FIELDS if field in record), None)
    if isinstance(answers, str):
        answers = parse_list(answers) or [answers]
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        found = ", ".join(record) if answers is None else f"{answers!r:.60}"
        raise FormatError(f'{where}: expected "answers", a list of strings, found {found or "{}"}')
    question = next((record[field] for field in _QUESTION_FIELDS if field in record), None)
    if not isinstance(question, str):
        question = None
    if qid is None and question is None:
        raise FormatError(f'{where}: expected "qid" or "question" beside "answers"')
    return Answered(tuple(answers), qid, question, where)


def _of_topic(qid: str, text: str, answers: str | None, name: str) -> Answered:
    found = None if answers is None else parse_list(answers)
    if found is None:
        problem = "has no answers" if answers is None else f"has answers {answers!r:.60}"
        raise FormatError(f"{name}: topic {qid} {problem}, expected a list; give a file of answers")
    return Answered(tuple(found), qid, text, name)

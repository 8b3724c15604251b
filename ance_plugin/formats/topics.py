"""Topics: TSV, JSONL, TREC and DPR question files, plain or gzipped, or a dataset id."""

import re
from collections.abc import Iterator
from pathlib import Path

from ance_plugin.errors import FormatError
from ance_plugin.formats import datasets, prebuilt_topics
from ance_plugin.formats.answers import parse_qa_line
from ance_plugin.formats.lines import is_header, read_json_lines, read_lines, require_id
from ance_plugin.records import Topic

_ID_FIELDS = ("qid", "id", "_id", "query_id")
_TEXT_FIELDS = ("text", "query", "question", "title", "contents")
_HEADER = frozenset({*_ID_FIELDS, *_TEXT_FIELDS, "query-id", "topic"})
_TREC_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TREC_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]*)", re.IGNORECASE)


def read_topics(name: str) -> list[Topic]:
    """Read topics, told apart by content where endings do not tell.

    Args:
        name: A file of ``qid<TAB>text`` lines, the first of which may name the columns, JSON lines
            (``qid`` or ``id``; ``text``, ``query`` or ``title``), TREC ``<top>`` records, or DPR
            ``question<TAB>['answer', ...]`` lines, whose qids are line numbers from 0 as in
            Pyserini; else ``pydoc/<split>``, an ir-datasets id, or one of Pyserini's names, such as
            msmarco-passage-dev-subset.

    Returns:
        The topics in the order of the source.

    Raises:
        FileNotFoundError: There is no such file or dataset.
        FormatError: A line is not what it should be, a qid is there twice, or there are no topics.
    """
    path = Path(name)
    if path.is_dir():
        raise FormatError(f"{path}: is a folder, expected a file of topics")
    if path.is_file():
        topics = list(_read_file(path))
    elif prebuilt_topics.is_topics_name(name):
        topics = prebuilt_topics.read_topics(name)
    else:
        topics = datasets.read_topics(name)
    if not topics:
        raise FormatError(f"{name}: has no topics")
    _refuse_duplicates(topics, name)
    return topics


def _read_file(path: Path) -> Iterator[Topic]:
    if path.name.removesuffix(".gz").endswith((".jsonl", ".json")):
        return _read_jsonl(path)
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if first.lstrip().lower().startswith("<top>"):
        return _read_trec(path)
    if parse_qa_line(first) is not None:
        return _read_dpr(path)
    return _read_tsv(path)


def _read_tsv(path: Path) -> Iterator[Topic]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) != 2:
            problem = f'expected "qid<TAB>text", found {len(columns)} columns'
            raise FormatError.at(path, number, problem)
        if is_header(columns, _HEADER, path, number):
            continue
        yield Topic(require_id(columns[0].strip(), path, number, "qid"), columns[1].strip())


def _read_jsonl(path: Path) -> Iterator[Topic]:
    for number, record in read_json_lines(path):
        qid = next((record[field] for field in _ID_FIELDS if field in record), None)
        text = next((record[field] for field in _TEXT_FIELDS if field in record), None)
        if not isinstance(text, str):
            found = ", ".join(record) or "none"
            problem = f'expected "qid" and "text" (or "query", "title"), found {found}'
            raise FormatError.at(path, number, problem)
        yield Topic(require_id(qid, path, number, "qid"), text.strip())


def _read_trec(path: Path) -> Iterator[Topic]:
    start, record = 0, ""
    for number, line in read_lines(path):
        if line.strip().lower().startswith("<top>"):
            start, record = number, ""
        record += f"{line}\n"
        if line.strip().lower().startswith("</top>"):
            qid, title = _TREC_NUMBER.search(record), _TREC_TITLE.search(record)
            if not qid or not title:
                raise FormatError.at(path, start, "<top> without <num> and <title>")
            text = " ".join(title[1].split())
            yield Topic(require_id(qid[1], path, start, "qid"), text)
            record = ""
    if record.strip():
        raise FormatError.at(path, start, "<top> has no </top>")


def _read_dpr(path: Path) -> Iterator[Topic]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        parsed = parse_qa_line(line)
        if parsed is None:
            problem = "expected \"question<TAB>['answer', ...]\" as in the lines before"
            raise FormatError.at(path, number, problem)
        yield Topic(str(number - 1), parsed[0])


def _refuse_duplicates(topics: list[Topic], name: str) -> None:
    seen: set[str] = set()
    for topic in topics:
        if topic.qid in seen:
            raise FormatError(f"{name}: topic {topic.qid} is there twice")
        seen.add(topic.qid)

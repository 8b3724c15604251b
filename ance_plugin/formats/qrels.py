"""Relevance judgments: TREC qrels, BEIR TSV, or an ir-datasets id."""

import re
from pathlib import Path

from ance_plugin.errors import FormatError
from ance_plugin.formats import datasets
from ance_plugin.formats.lines import read_lines
from ance_plugin.records import Qrels

_GRADE = re.compile(r"[+-]?[0-9]{1,9}")
_BEIR_HEADER = ["query-id", "corpus-id", "score"]


def read_qrels(name: str) -> Qrels:
    """Read judgments from a file (TREC ``qid 0 docid relevance`` or BEIR TSV) or a dataset id.

    Raises:
        FileNotFoundError: ``name`` is neither a file nor a known dataset.
        FormatError: A line is in neither format, judges a pair twice with different grades, or
            there are no judgments at all.
    """
    path = Path(name)
    if path.is_dir():
        raise FormatError(f"{path}: is a folder, expected a file of judgments")
    if path.is_file():
        return _read_file(path)
    return datasets.read_qrels(name)


def _read_file(path: Path) -> Qrels:
    qrels: Qrels = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns or (number == 1 and columns == _BEIR_HEADER):
            continue
        if len(columns) == 4:
            qid, _, docid, grade = columns
        elif len(columns) == 3:
            qid, docid, grade = columns
        else:
            problem = f'expected "qid 0 docid relevance", found {len(columns)} columns'
            raise FormatError.at(path, number, problem)
        judged = qrels.setdefault(qid, {})
        relevance = _parse_grade(grade, path, number)
        if judged.setdefault(docid, relevance) != relevance:
            problem = f"topic {qid} judges document {docid} twice: {judged[docid]} and {relevance}"
            raise FormatError.at(path, number, problem)
    if not qrels:
        raise FormatError(f"{path}: has no judgments")
    return qrels


def _parse_grade(text: str, path: Path, number: int) -> int:
    if not _GRADE.fullmatch(text):
        problem = f"relevance must be an integer, found {text!r}; at most nine digits are taken"
        raise FormatError.at(path, number, problem)
    return int(text)

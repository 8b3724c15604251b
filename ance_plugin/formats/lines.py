"""Text lines of a local file, plain or gzipped, with the errors that name file and line."""

import gzip
import io
import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ance_plugin.errors import FormatError

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 1 << 28  # a bomb of zeros in a .gz would fill the memory
MAX_ID_LETTERS = 8_000  # Lucene takes 32,766 bytes, four of which are a letter's at most


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line without its end); a BOM and CR are dropped.

    Only ``\n`` and ``\r\n`` end a line: texts may hold the other characters Python splits at.

    Raises:
        FormatError: The bytes are not UTF-8, or not gzip where the name ends in ``.gz``, or a line
            is longer than ``MAX_LINE_BYTES``.
    """
    number = 0
    with path.open("rb") as raw:
        data = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        reader = io.BufferedReader(data)
        try:
            read_one = partial(reader.readline, MAX_LINE_BYTES + 1)
            for number, line in enumerate(iter(read_one, b""), start=1):
                if len(line) > MAX_LINE_BYTES:
                    problem = f"is longer than {MAX_LINE_BYTES >> 20} MiB, which no text is"
                    raise FormatError.at(path, number, problem)
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, text.removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as err:
            raise FormatError.at(path, number, f"is not UTF-8 ({err.reason})") from err
        except (gzip.BadGzipFile, EOFError, zlib.error) as err:
            raise FormatError.at(path, number + 1, f"gzip data is damaged ({err})") from err
        finally:
            reader.close()


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line that is not blank.

    Raises:
        FormatError: A line is not a JSON object.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if "\\ud" in line.lower():  # only an escape can make half a surrogate pair
                json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as err:
            problem = "holds half a surrogate pair, such as \\ud83d alone; it is no text"
            raise FormatError.at(path, number, problem) from err
        except (ValueError, RecursionError) as err:
            raise FormatError.at(path, number, f"is not valid JSON ({err})") from err
        if not isinstance(record, dict):
            raise FormatError.at(path, number, "expected a JSON object")
        yield number, record


def require_id(value: object, path: Path, number: int, name: str) -> str:
    """Return an id as a string, or say why it cannot be one.

    Raises:
        FormatError: The id is missing, empty, neither string nor integer, or holds white space,
            which the columns of a TREC run cannot carry.
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise FormatError.at(path, number, f"expected a {name} that is a string, found {value!r}")
    text = str(value)
    problem = find_id_problem(text)
    if problem is not None:
        raise FormatError.at(path, number, f"{name} {problem}")
    return text


def find_id_problem(text: str) -> str | None:
    """Say why a text cannot be an id in a TREC run; None where it can."""
    if text.isascii() and text.isalnum() and len(text) <= MAX_ID_LETTERS:  # nearly every id
        return None
    if text.split() != [text]:
        problem = f"has white space: {text!r}" if text.strip() else "is empty"
        return f"{problem}; TREC runs separate columns by spaces"
    if len(text) > MAX_ID_LETTERS:
        return f"of {len(text):,} letters is too long, at most {MAX_ID_LETTERS:,} are taken"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"{text!r} holds half a surrogate pair"
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in text):
        return f"holds a control character: {text!r}"
    return None


def is_header(columns: Sequence[str], names: frozenset[str], path: Path, number: int) -> bool:
    """Say whether a first line names the columns and is no data; a warning says so too.

    Args:
        columns: Of the line.
        names: What columns of such a file are called.
        path: The file.
        number: Of the line; only the first can be a header.
    """
    is_one = number == 1 and all(column.strip().lower() in names for column in columns)
    if is_one:
        logger.warning('%s:1: "%s" is taken as a header, not as data', path, " ".join(columns))
    return is_one

"""Text lines of a local file, plain or gzipped, with the errors that name file and line."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ance_plugin.errors import FormatError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line without its end); a BOM and CR are dropped.

    Only ``\n`` and ``\r\n`` end a line: texts may hold the other characters Python splits at.

    Raises:
        FormatError: The bytes are not UTF-8, or not gzip where the name ends in ``.gz``.
    """
    number = 0
    with path.open("rb") as raw:
        data = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        reader = io.BufferedReader(data)
        try:
            for number, line in enumerate(reader, start=1):
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
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise FormatError.at(path, number, f"{name} {text!r} holds half a surrogate pair")
    if not text or text.split() != [text]:
        problem = "is empty" if not text.strip() else f"has white space: {text!r}"
        raise FormatError.at(
            path, number, f"{name} {problem}; TREC runs separate columns by spaces"
        )
    return text

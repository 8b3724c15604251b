"""Topics by Pyserini's names, read by Anserini, which downloads and caches them.

Names are looked up in the installed Pyserini's source as data; importing it would load PyTorch.
"""

import ast
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from ance_plugin import jvm
from ance_plugin.records import Topic

_PACKAGE = "io.anserini.search.topicreader"
_MAPPING = "topics_mapping"


def is_topics_name(name: str) -> bool:
    """Say whether the installed Pyserini knows topics by that name."""
    return name in _read_names()


def read_topics(name: str) -> list[Topic]:
    """Read the topics that Pyserini knows by a name; a TREC topic's title is its text.

    Args:
        name: One that ``is_topics_name``.

    Returns:
        The topics in Anserini's order: by qid, where those are numbers.

    Raises:
        FileNotFoundError: They are not in Pyserini's cache and could not be downloaded.
        JavaError: There is no usable Java.
    """
    records = _read_records(name)
    return [Topic(qid, str(record["title"]).strip()) for qid, record in records.items()]


def read_answers(name: str) -> list[tuple[str, str, str | None]]:
    """Read the answers that come with topics, as the literal of a list that the file holds.

    Args:
        name: One that ``is_topics_name``.

    Returns:
        qid, text and answers of each topic; None where it has no answers.

    Raises:
        FileNotFoundError: They are not in Pyserini's cache and could not be downloaded.
        JavaError: There is no usable Java.
    """
    found = _read_records(name).items()
    return [(qid, str(record["title"]).strip(), record.get("answers")) for qid, record in found]


def _read_records(name: str) -> dict[str, dict[str, Any]]:
    """Read what Anserini holds of each topic: qid -> field -> text."""
    topics = jvm.autoclass(f"{_PACKAGE}.Topics").valueOf(_read_names()[name])
    reader = jvm.autoclass(f"{_PACKAGE}.TopicReader")
    from jnius import JavaException

    try:
        found = reader.getTopicsWithStringIds(topics)
    except JavaException as err:
        raise _not_downloaded(name, topics.path, err) from err
    if found is None:
        raise _not_downloaded(name, topics.path, "its reader gave nothing")
    mapper = jvm.autoclass("com.fasterxml.jackson.databind.ObjectMapper")()
    records: dict[str, dict[str, Any]] = json.loads(mapper.writeValueAsString(found))
    return records


def _not_downloaded(name: str, file: str, reason: object) -> FileNotFoundError:
    path = jvm.autoclass("java.nio.file.Path").of(file)
    place = jvm.autoclass(f"{_PACKAGE}.TopicReader").getNewTopicsAbsPath(path).toString()
    first_line = str(reason).partition("\n")[0]
    return FileNotFoundError(
        f"{name}: Anserini could not download these topics ({first_line}); put the file {file} at "
        f"{place}, or give a topics file"
    )


@cache
def _read_names() -> dict[str, str]:
    """Read which of Anserini's topics each name stands for; empty where Pyserini does not say."""
    package = importlib.util.find_spec("pyserini")
    if package is None or package.origin is None:
        return {}
    module = Path(package.origin).parent / "search" / "_base.py"
    nodes = ast.parse(module.read_text("utf-8")).body if module.is_file() else []
    for node in nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == _MAPPING:
            return _read_constants(node)
    return {}


def _read_constants(node: ast.stmt) -> dict[str, str]:
    """Read the dictionary that a statement assigns; empty where it is none of constants."""
    value = node.value if isinstance(node, ast.Assign) else None
    if not isinstance(value, ast.Dict):
        return {}
    names: dict[str, str] = ast.literal_eval(value)
    return names

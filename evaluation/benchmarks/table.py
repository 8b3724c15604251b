"""The table of benchmarks: TOML files beside this one, or a local file that describes another.

A file that comes along holds ``[[benchmark]]`` tables and a ``[defaults]`` table; in its texts
``{name}`` stands for the last part of the benchmark's name. A local file is one such table, and
its paths count from its own folder.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ance_plugin.errors import FormatError
from ance_plugin.measures import check_measures

TABLES_DIR = Path(__file__).parent
_PATHS = ("collection", "topics", "qrels", "answers")
_NAMES = "abcdefghijklmnopqrstuvwxyz0123456789-_./"


@dataclass(frozen=True, slots=True)
class Tuning:
    """The topics that weights are tuned on, never those that are judged.

    Attributes:
        topics: A file, or a dataset id.
        qrels: Their judgments.
        measure: What is maximised.
    """

    topics: str
    qrels: str
    measure: str = "ndcg@10"

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown measure."""
        check_measures([self.measure])


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A collection, its topics, and how runs of them are judged.

    Attributes:
        name: What it is called here.
        collection: As ``--collection`` takes it.
        topics: As ``--topics`` takes it; empty where the user must give a file.
        qrels: Judgments; empty where answers are the judge.
        answers: A file of answers, which passages are searched for; empty where qrels judge.
        tuning: What weights are tuned on; None where there is nothing but test topics.
        measures: In trec_eval's conventions, as ``measures`` names them.
        topk: Depths of answer accuracy.
        depth: Hits a topic.
        maxp: How long documents are encoded (``segments`` or ``chunks``); empty for one vector.
        removes_query: Whether a document that is the topic itself is left out of its hits.
        index_text: What of a document is indexed, in words; published figures must agree in it.
        num_documents: Size of the collection; None where it is not known.
        num_topics: Judged topics.
        licence: What one must know before using the data.
        note: What else a reader should know, such as why nothing else could be tuned on.
        files: Part (``documents``, ``topics``, ``qrels``) -> files in ir-datasets' home, any of
            which shows that the part is there.
    """

    name: str
    collection: str
    topics: str = ""
    qrels: str = ""
    answers: str = ""
    tuning: Tuning | None = None
    measures: tuple[str, ...] = ("ndcg@10", "recall@100", "mrr@10")
    topk: tuple[int, ...] = (1, 5, 20, 100)
    depth: int = 1000
    maxp: str = ""
    removes_query: bool = False
    index_text: str = "title and text"
    num_documents: int | None = None
    num_topics: int | None = None
    licence: str = ""
    note: str = ""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        if not self.name or set(self.name.lower()) - set(_NAMES):
            raise ValueError(f"name must be of letters, digits and -_./, found {self.name!r}")
        check_measures(self.measures)
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, found {self.depth}")
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f"topk must be numbers of at least 1, found {list(self.topk)}")
        if self.maxp not in ("", "segments", "chunks"):
            raise ValueError(f"maxp must be segments or chunks, found {self.maxp!r}")


def list_benchmarks() -> list[Benchmark]:
    """Read the table that comes along, file by file, each in its own order."""
    found: list[Benchmark] = []
    for path in sorted(TABLES_DIR.glob("*.toml")):
        content = _read_toml(path)
        defaults = content.get("defaults", {})
        for number, own in enumerate(content["benchmark"], start=1):
            name = str(own.get("name", "")).rpartition("/")[2]
            files = {**defaults.get("files", {}), **own.get("files", {})}
            filled = _fill({**defaults, **own, "files": files}, name)
            found.append(_parse(filled, f"{path}: benchmark {number}"))
    return found


def find_benchmark(name: str) -> Benchmark:
    """Find a benchmark by its name, or read the one that a local TOML file describes.

    Args:
        name: A name of the table, or a path that ends in ``.toml``.

    Returns:
        The benchmark; a local file's paths are made absolute.

    Raises:
        FileNotFoundError: There is no such benchmark or file.
        FormatError: The file is no TOML, lacks what is needed, or has what does not exist.
    """
    if name.endswith(".toml"):
        return _read_local(Path(name))
    for benchmark in list_benchmarks():
        if benchmark.name == name:
            return benchmark
    near = [one.name for one in list_benchmarks() if one.name.startswith(name.partition("/")[0])]
    hint = f"; did you mean {', '.join(near[:6])}?" if near else ""
    raise FileNotFoundError(
        f'{name}: no benchmark of that name, "python -m evaluation list" shows them all{hint}'
    )


def _read_local(path: Path) -> Benchmark:
    content = _read_toml(path)
    folder = path.resolve().parent
    benchmark = _parse({"name": path.stem, **content}, str(path))
    if not benchmark.topics or not (benchmark.qrels or benchmark.answers):
        raise FormatError(f"{path}: must name collection, topics, and qrels or answers")
    found: dict[str, Any] = {name: _locate(getattr(benchmark, name), folder) for name in _PATHS}
    tuning = benchmark.tuning
    if tuning is not None:
        topics, qrels = _locate(tuning.topics, folder), _locate(tuning.qrels, folder)
        tuning = replace(tuning, topics=topics, qrels=qrels)
    return replace(benchmark, **found, tuning=tuning)


def _locate(name: str, folder: Path) -> str:
    """Take a name as a path from the file's folder where there is one, else as a dataset id."""
    return str(folder / name) if name and (folder / name).exists() else name


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise FormatError(f"{path}: is not valid TOML ({err})") from err


def _fill(value: Any, name: str) -> Any:  # noqa: ANN401 - any value of TOML
    """Put the benchmark's short name in place of ``{name}``, in tables and lists too."""
    if isinstance(value, str):
        return value.replace("{name}", name)
    if isinstance(value, list):
        return [_fill(one, name) for one in value]
    if isinstance(value, dict):
        return {key: _fill(one, name) for key, one in value.items()}
    return value


def _parse(content: Mapping[str, Any], where: str) -> Benchmark:
    _check_kinds(content, Benchmark, where)
    values = dict(content)
    try:
        if values.get("tuning"):
            _check_kinds(values["tuning"], Tuning, f"{where}: tuning")
            values["tuning"] = Tuning(**values["tuning"])
        else:
            values.pop("tuning", None)
        for name in ("measures", "topk"):
            if name in values:
                values[name] = tuple(values[name])
        files = {part: tuple(names) for part, names in values.get("files", {}).items()}
        return Benchmark(**{**values, "files": MappingProxyType(files)})
    except (TypeError, ValueError) as err:
        raise FormatError(f"{where}: {err}") from err


def _check_kinds(content: Mapping[str, Any], kind: type, where: str) -> None:
    """Raise FormatError for a missing or unknown key, or a value of another type."""
    known = {one.name: str(one.type) for one in fields(kind)}
    unknown = sorted(content.keys() - known.keys())
    if unknown:
        raise FormatError(
            f"{where}: unknown {', '.join(unknown)}; a key is one of {', '.join(known)}"
        )
    needed = ("collection",) if kind is Benchmark else ("topics", "qrels")
    for name in needed:
        if name not in content:
            raise FormatError(f"{where}: must name its {name}")
    for name, value in content.items():
        expected, words = _KINDS.get(name, (str, "a text"))
        is_list = isinstance(value, list)
        is_fit = isinstance(value, expected) and isinstance(value, bool) == (expected is bool)
        if is_list and is_fit:
            member = int if name == "topk" else str
            is_fit = all(isinstance(one, member) for one in value)
        if not is_fit:
            raise FormatError(f"{where}: {name} must be {words}, found {value!r}")


_KINDS: dict[str, tuple[type, str]] = {
    "tuning": (dict, "a table"),
    "files": (dict, "a table"),
    "measures": (list, "a list of measures"),
    "topk": (list, "a list of whole numbers"),
    "depth": (int, "a whole number"),
    "num_documents": (int, "a whole number"),
    "num_topics": (int, "a whole number"),
    "removes_query": (bool, "true or false"),
}

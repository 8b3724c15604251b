"""Collections of documents: files in the formats of Pyserini, BEIR and DPR, or a dataset id."""

import csv
import hashlib
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ance_plugin.errors import FormatError
from ance_plugin.formats import datasets
from ance_plugin.formats.lines import is_header, read_json_lines, read_lines, require_id
from ance_plugin.records import Document

_ID_FIELDS = ("id", "_id", "docid", "doc_id")
_HEADER = frozenset({*_ID_FIELDS, "pid", "docno", "text", "contents", "passage", "title", "body"})
_BEIR_CORPUS = "corpus.jsonl"
_DPR_HEADER = ["id", "text", "title"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a pass over a whole collection found: its size and a hash of all it says."""

    num_documents: int
    sha256: str


class Collection:
    """Documents that can be read again and again, in one order.

    Args:
        name: A JSONL file or a folder of them (Pyserini: ``id`` and ``contents``, or ``title`` and
            ``text``), a BEIR folder, a TSV file (DPR's ``id, text, title`` with its header, or
            ``id<TAB>text``), each plain or gzipped; else ``pydoc`` or an ir-datasets id.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        FormatError: The name's ending tells no format that can be read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._files = _find_files(Path(name))
        if not self._files:
            datasets.check_collection(name)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents; FormatError where a line is not what it should be."""
        if not self._files:
            yield from datasets.iter_documents(self.name)
        for path in self._files:
            yield from _reader(path)(path)

    def scan(self) -> Fingerprint:
        """Read everything once, so that bad input shows before any long work starts.

        Holds eight bytes a document.

        Raises:
            FormatError: A document is malformed, a docid is there twice, or there are no documents.
        """
        content = hashlib.sha256()
        keys = array("Q")
        for document in self:
            for text in (document.docid, document.title, document.text):
                content.update(text.encode("utf-8", "surrogatepass"))
                content.update(b"\0")
            keys.append(_key(document.docid))
        if not keys:
            raise FormatError(f"{self.name}: the collection has no documents")
        self._refuse_duplicates(np.frombuffer(keys, dtype=np.uint64))
        return Fingerprint(len(keys), content.hexdigest())

    def describe(self, fingerprint: Fingerprint) -> dict[str, str | int]:
        """Give what an artifact records of the collection it was made from."""
        return {"name": self.name, **asdict(fingerprint)}

    def _refuse_duplicates(self, keys: np.ndarray) -> None:
        values, counts = np.unique(keys, return_counts=True)
        suspects = set(values[counts > 1].tolist())
        if not suspects:
            return
        seen: set[str] = set()
        for position, document in enumerate(self, start=1):
            if _key(document.docid) in suspects:
                if document.docid in seen:
                    problem = f"docid {document.docid} is there twice, again in document {position}"
                    raise FormatError(f"{self.name}: {problem}")
                seen.add(document.docid)


def _key(docid: str) -> int:
    digest = hashlib.blake2b(docid.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest())


def _find_files(path: Path) -> list[Path]:
    """List the files of a local collection in the order they are read; none for a dataset id."""
    if path.is_file():
        _reader(path)
        return [path]
    if not path.is_dir():
        return []
    corpora = [path / f"{_BEIR_CORPUS}{ending}" for ending in ("", ".gz")]
    beir = [file for file in corpora if file.is_file()]
    if beir:
        return beir[:1]
    endings = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
    files = sorted(file for file in path.iterdir() if file.name.endswith(endings))
    if not files:
        raise FormatError(f"{path}: expected {_BEIR_CORPUS} or .jsonl files (plain or .gz) in it")
    return files


def _reader(path: Path) -> Callable[[Path], Iterator[Document]]:
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        return _read_jsonl
    if name.endswith(".tsv"):
        return _read_tsv
    raise FormatError(f"{path}: expected a .jsonl, .json or .tsv file (plain or .gz), or a folder")


def _read_jsonl(path: Path) -> Iterator[Document]:
    for number, record in read_json_lines(path):
        docid = next((record[field] for field in _ID_FIELDS if field in record), None)
        name = "contents" if "contents" in record else "text"
        if name not in record:
            found = ", ".join(record) or "none"
            problem = f'expected "id" and "contents" (or "title" and "text"), found {found}'
            raise FormatError.at(path, number, problem)
        title = "" if name == "contents" else record.get("title") or ""
        text = record[name]
        if not isinstance(text, str) or not isinstance(title, str):
            raise FormatError.at(path, number, f"{name} and title must be strings")
        yield Document(require_id(docid, path, number, "docid"), text, title)


def _read_tsv(path: Path) -> Iterator[Document]:
    lines = read_lines(path)
    for number, line in lines:
        if not line.strip():
            continue
        if number == 1 and line.split("\t") == _DPR_HEADER:
            yield from _read_dpr(path, lines)
            return
        if is_header(line.split("\t"), _HEADER, path, number):
            continue
        docid, tab, text = line.partition("\t")
        if not tab:
            problem = f'expected "id<TAB>text", found {len(line.split())} words and no tab'
            raise FormatError.at(path, number, problem)
        yield Document(require_id(docid, path, number, "docid"), text)


def _read_dpr(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Document]:
    """Read the rows after DPR's header; fields may be quoted, as the csv module writes them."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is 131,072 characters
    for number, line in lines:
        if not line.strip():
            continue
        try:
            columns = next(csv.reader([line], delimiter="\t"), [])
        except csv.Error as err:
            raise FormatError.at(path, number, f"is not valid TSV ({err})") from err
        if len(columns) != len(_DPR_HEADER):
            problem = f'expected "id<TAB>text<TAB>title", found {len(columns)} columns'
            raise FormatError.at(path, number, problem)
        docid, text, title = columns
        yield Document(require_id(docid, path, number, "docid"), text, title)

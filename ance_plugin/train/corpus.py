"""A collection as token ids on disk: tokenized once, read at random, encoded again and again.

Training reads documents in random order and each refresh encodes them all. Both start from token
ids, which at two bytes a token are smaller than the texts and need no tokenizer.
"""

import hashlib
import io
import logging
from array import array
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError
from ance_plugin.formats.collection import Collection, Fingerprint
from ance_plugin.progress import count

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

logger = logging.getLogger(__name__)

KIND = "tokens"
_BLOCK_SIZE = 8192


class Corpus:
    """Tokenized documents, memory-mapped; a document is a row.

    Args:
        path: The directory that ``tokenize_corpus`` made.

    Attributes:
        docids: Docid of each row.
        hashes: Hash of each document's rendered text, shape (n,), uint64: equal texts have equal
            hashes.
        rows: Row of each docid.

    Raises:
        FileNotFoundError: There is no such directory.
        ArtifactError: It is no tokenized collection, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata = artifacts.open_sealed(path, KIND)
        self.docids = (path / "docids").read_text(encoding="utf-8").split("\n")[:-1]
        self.hashes: NDArray[np.uint64] = np.load(path / "hashes.npy", allow_pickle=False)
        self.rows = {docid: row for row, docid in enumerate(self.docids)}
        self._offsets: NDArray[np.int64] = np.load(path / "offsets.npy", allow_pickle=False)
        dtype = np.dtype(self.metadata["token_type"])
        self._tokens = np.memmap(path / "tokens", dtype=dtype, mode="r")
        if len(self._offsets) != len(self.docids) + 1 or self._offsets[-1] != len(self._tokens):
            raise ArtifactError(f"{path}: its files do not fit together; tokenize again")

    @property
    def num_documents(self) -> int:
        """How many documents there are."""
        return len(self.docids)

    def tokens(self, row: int) -> NDArray[np.integer]:
        """Give a document's token ids, special tokens included, cut to the length of the cache."""
        found: NDArray[np.integer] = self._tokens[self._offsets[row] : self._offsets[row + 1]]
        return found


def tokenize_corpus(
    collection: Collection, encoder: "Encoder", output: Path, *, max_tokens: int
) -> Corpus:
    """Tokenize a collection, or open what an earlier call made of the same one.

    Args:
        collection: What to tokenize.
        encoder: Whose tokenizer, template and lower-casing to use.
        output: The directory to make.
        max_tokens: Tokens a document is cut to, special tokens included.

    Returns:
        The tokenized documents.

    Raises:
        FormatError: A document is malformed, a docid is there twice, or there are none.
        MismatchError: ``output`` was made of another collection, or with another tokenizer.
    """
    fingerprint = collection.scan()
    described = _describe(collection, fingerprint, encoder, max_tokens)
    if output.exists():
        return _open_same(output, described)
    with artifacts.new_directory(output) as staging:
        _write(collection, encoder, staging, max_tokens, fingerprint.num_documents)
        artifacts.seal(staging, KIND, described)
    return Corpus(output)


def _open_same(output: Path, described: dict[str, Any]) -> Corpus:
    artifacts.verify(output, KIND)  # a flipped bit in them would train on other texts unnoticed
    corpus = Corpus(output)
    found = {name: corpus.metadata.get(name) for name in described}
    for content in (found, described):
        content["collection"] = {**(content["collection"] or {}), "name": None}
    artifacts.require_equal(described, found, what=str(output))
    return corpus


def _describe(
    collection: Collection, fingerprint: Fingerprint, encoder: "Encoder", max_tokens: int
) -> dict[str, Any]:
    rendering = ("is_lowercased", "template", "is_document_pair", "replacements")
    settings = {name: encoder.identity.get(name) for name in rendering}
    return {
        "collection": collection.describe(fingerprint),
        "tokenizer_sha256": encoder.identity["tokenizer_sha256"],
        "max_tokens": max_tokens,
        "token_type": np.dtype(_token_type(encoder)).name,
        **settings,
    }


def _token_type(encoder: "Encoder") -> type[np.unsignedinteger[Any]]:
    return np.uint16 if encoder.vocabulary_size <= 1 << 16 else np.uint32


def _write(
    collection: Collection, encoder: "Encoder", staging: Path, max_tokens: int, total: int
) -> None:
    offsets, hashes = array("q", [0]), array("Q")
    dtype = _token_type(encoder)
    with (
        (staging / "tokens").open("wb") as tokens,
        (staging / "docids").open("w", encoding="utf-8", newline="\n") as docids,
        count(what="tokenize", total=total) as advance,
    ):
        for documents in batched(collection, _BLOCK_SIZE):
            for row in encoder.tokenize_documents(documents, max_tokens):
                tokens.write(np.asarray(row, dtype=dtype).tobytes())
                offsets.append(offsets[-1] + len(row))
            for document in documents:
                docids.write(f"{document.docid}\n")
                hashes.append(hash_text(encoder.settings.render(document.title, document.text)))
            advance(len(documents))
    _save(staging / "offsets.npy", np.frombuffer(offsets, dtype=np.int64))
    _save(staging / "hashes.npy", np.frombuffer(hashes, dtype=np.uint64))


def hash_text(rendered: str) -> int:
    """Hash a rendered text in 64 bits; white space counts as one blank."""
    text = " ".join(rendered.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _save(path: Path, values: NDArray[Any]) -> None:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    path.write_bytes(content.getbuffer())

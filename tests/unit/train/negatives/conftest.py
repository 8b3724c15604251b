"""A collection of a few texts, and miners over it."""

import hashlib

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.mining import Miner, MiningSettings


@pytest.fixture
def make_corpus(tmp_path):
    """Return a function that writes texts (docid -> text) as a tokenized collection."""

    def make(texts):
        with artifacts.new_directory(tmp_path / "tokens", overwrite=True) as staging:
            digests = [hashlib.blake2b(t.encode(), digest_size=8).digest() for t in texts.values()]
            hashes = np.array([int.from_bytes(digest) for digest in digests], dtype=np.uint64)
            (staging / "docids").write_text("".join(f"{docid}\n" for docid in texts))
            np.ones(len(texts), dtype=np.uint16).tofile(staging / "tokens")
            np.save(staging / "hashes.npy", hashes)
            np.save(staging / "offsets.npy", np.arange(len(texts) + 1, dtype=np.int64))
            artifacts.seal(staging, "tokens", {"token_type": "uint16"})
        return Corpus(tmp_path / "tokens")

    return make


@pytest.fixture
def make_miner(make_corpus):
    """Return a function that makes a miner; documents are d0, d1, ... unless texts are given."""

    def make(qrels, *, num_documents=1000, texts=None, seed=1, teacher=None, **settings):
        texts = texts or {f"d{n}": f"text {n}" for n in range(num_documents)}
        return Miner(
            make_corpus(texts), qrels, MiningSettings(**settings), seed=seed, teacher=teacher
        )

    return make

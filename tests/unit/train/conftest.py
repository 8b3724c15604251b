"""A world to train in, and small tokenized collections without an encoder."""

import hashlib

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.encode.encoder import Encoder
from ance_plugin.records import Topic
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.topics import TrainingTopics
from tests.synthetic import make_world


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_training():
    """Compute with one thread: for models this small more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The world of tests/synthetic.py."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def encoder(world):
    """The world's encoder, untrained."""
    return Encoder.load(world.init, device="cpu", precision="fp32")


@pytest.fixture
def make_corpus(tmp_path):
    """Return a function that writes texts (docid -> text) as a tokenized collection.

    The tokens of row r are ``tokens[r]``, or 100 + r alone.
    """

    def make(texts, *, tokens=None):
        tokens = tokens or [[100 + row] for row in range(len(texts))]
        digests = [
            hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.values()
        ]
        hashes = np.array([int.from_bytes(digest) for digest in digests], dtype=np.uint64)
        with artifacts.new_directory(tmp_path / "made-tokens", overwrite=True) as staging:
            (staging / "docids").write_text("".join(f"{docid}\n" for docid in texts))
            np.concatenate(tokens).astype(np.uint16).tofile(staging / "tokens")
            np.save(staging / "hashes.npy", hashes)
            np.save(staging / "offsets.npy", np.cumsum([0, *map(len, tokens)], dtype=np.int64))
            artifacts.seal(staging, "tokens", {"token_type": "uint16"})
        return Corpus(tmp_path / "made-tokens")

    return make


@pytest.fixture
def make_topics():
    """Return a function that makes training topics of rows of positives (qid -> rows)."""

    def make(positives):
        topics = [Topic(qid, f"query {qid}") for qid in positives]
        tokens = [np.array([10 + place]) for place in range(len(topics))]
        rows = [np.array(rows, dtype=np.int64) for rows in positives.values()]
        return TrainingTopics(topics, tokens, rows)

    return make

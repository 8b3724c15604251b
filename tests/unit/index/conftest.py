"""Finished vectors to index, without an encoder."""

import numpy as np
import pytest

from ance_plugin.formats.vectors import GrowingVectors, Vectors

SETTINGS = {
    "collection": {"name": "corpus.jsonl", "num_documents": 400, "sha256": "c0ffee"},
    "encoder": {
        "name": "tiny",
        "weights_sha256": "f00d",
        "tokenizer_sha256": "beef",
        "dimension": 16,
        "pooling": "cls",
        "max_query_tokens": 64,
        "overrides": {},
    },
    "precision": "fp32",
}


@pytest.fixture(scope="session")
def make_vectors(tmp_path_factory):
    """Return a function that writes rows of length one as finished vectors, in blocks of 150."""

    def make(num_documents=400, vector_type="float32"):
        rows = np.random.default_rng(7).standard_normal((num_documents, 16))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(vector_type)
        path = tmp_path_factory.mktemp("vectors") / "vectors"
        growing = GrowingVectors(path, {**SETTINGS, "dimension": 16, "vector_type": vector_type})
        starts = range(0, num_documents, 150)
        for block, start in enumerate(starts):
            part = rows[start : start + 150]
            growing.write_block(block, [f"d{start + n}" for n in range(len(part))], part)
        assert growing.finish(len(starts), num_documents)
        return Vectors(path)

    return make


@pytest.fixture(scope="session")
def vectors(make_vectors):
    """400 documents of 16 dimensions in three blocks."""
    return make_vectors()


@pytest.fixture(scope="session")
def rows(vectors):
    """The same as one array."""
    return np.concatenate([block for _, block in vectors.iter_blocks()])

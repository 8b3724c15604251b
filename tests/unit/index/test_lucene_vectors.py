"""The numbers behind a Lucene index of vectors, and what its commands refuse; no Java needed."""

import numpy as np
import pytest

from ance_plugin.errors import ArtifactError
from ance_plugin.index.lucene_vectors import build_lucene_index, lengthen, to_dot_products


def test_lengthened_documents_are_equally_long():
    """The added number fills each document up to the longest; that one gets nothing."""
    vectors = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32)

    lengthened = lengthen(vectors, 5.0)

    assert lengthened.shape == (3, 3)
    assert lengthened.dtype == np.float32
    assert lengthened[:, 2] == pytest.approx([0, 24**0.5, 5])
    assert np.linalg.norm(lengthened, axis=1) == pytest.approx([5, 5, 5])


def test_lengthening_keeps_inner_products():
    """A query gets 0, so its inner product with every document is what it was."""
    generator = np.random.default_rng(0)
    documents = generator.normal(size=(20, 8)).astype(np.float32)
    queries = generator.normal(size=(5, 8)).astype(np.float32)

    products = lengthen(queries, 9.0, are_queries=True) @ lengthen(documents, 9.0).T

    np.testing.assert_allclose(products, queries @ documents.T, atol=1e-6)


def test_without_a_longest_vector_nothing_is_added():
    """A flat index takes vectors as they are, as float32."""
    vectors = np.ones((2, 3), dtype=np.float16)

    plain = lengthen(vectors, None)

    assert plain.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert plain.dtype == np.float32


def test_scores_turn_back_into_inner_products():
    """Lucene scores dot + 1 from 0 up and 1 / (1 - dot) below; both are undone."""
    dots = np.array([703.25, 1.0, 0.0, -0.5, -1.0, -703.25])
    scores = [dot + 1 if dot >= 0 else 1 / (1 - dot) for dot in dots]

    assert to_dot_products(np.float32(scores)) == pytest.approx(dots, abs=1e-4)


def test_an_index_that_exists_is_kept(tmp_path):
    """Without overwrite, an output that stands there is an error before Java starts."""
    with pytest.raises(ArtifactError, match="exists already"):
        build_lucene_index(None, tmp_path)

"""Interpolation gives the scores of Pyserini's own ``HybridSearcher._hybrid_results``."""

import ast
from collections import namedtuple
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ance_plugin.fusion.fuse import fuse_hits
from ance_plugin.fusion.methods import FusionParams
from ance_plugin.ranking import rank

Result = namedtuple("Result", ["docid", "score"])


@pytest.fixture(scope="module")
def hybrid_results():
    """Take the function from Pyserini's source: importing the package would start a JVM."""
    folder = Path(find_spec("pyserini").submodule_search_locations[0])
    source = (folder / "search/hybrid/_searcher.py").read_text(encoding="utf-8")
    (function,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "_hybrid_results"
    ]
    function.decorator_list = []
    scope = {"DenseSearchResult": Result}
    exec(compile(ast.Module([function], []), "_searcher.py", "exec"), scope)
    return scope["_hybrid_results"]


def draw_hits(rng, docids, scale, offset):
    chosen = rng.permutation(docids)[: rng.integers(2, len(docids) + 1)]
    return rank([str(docid) for docid in chosen], rng.random(len(chosen)) * scale + offset)


@pytest.mark.parametrize("weight_on_dense", [False, True])
@pytest.mark.parametrize("normalization", [False, True])
@pytest.mark.parametrize("is_disjoint", [False, True])
def test_interpolation_equals_pyserini(hybrid_results, is_disjoint, normalization, weight_on_dense):
    """On random lists, overlapping or disjoint, every document has Pyserini's score."""
    rng = np.random.default_rng(7)
    for alpha in (0.0, 0.05, 0.1, 1.3):
        sparse = draw_hits(rng, [f"a{number}" for number in range(30)], 20, 5)
        prefix = "b" if is_disjoint else "a"
        dense = draw_hits(rng, [f"{prefix}{number}" for number in range(40)], 6, 700)
        params = FusionParams(
            "interpolation",
            numbers={"alpha": alpha},
            normalization=normalization,
            weight_on_dense=weight_on_dense,
        )

        expected = hybrid_results(dense, sparse, alpha, 1000, normalization, weight_on_dense)
        found = dict(fuse_hits([sparse, dense], params))

        assert len(found) == len(expected)
        for docid, score in expected:
            assert found[docid] == pytest.approx(score, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("normalization", [False, True])
@pytest.mark.parametrize("missing", ["sparse", "dense"])
def test_empty_list_is_treated_as_in_pyserini(hybrid_results, missing, normalization):
    """A side without hits adds the same to every document, as in Pyserini."""
    hits = rank(["a", "b", "c"], [3.0, 2.0, 0.5])
    sparse, dense = ([], hits) if missing == "sparse" else (hits, [])
    params = FusionParams("interpolation", normalization=normalization)

    expected = hybrid_results(dense, sparse, 0.1, 10, normalization)
    found = fuse_hits([sparse, dense], params)

    assert [hit.docid for hit in found] == [docid for docid, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected])

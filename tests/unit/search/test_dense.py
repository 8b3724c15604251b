"""What holds for dense search, with encoders made up here."""

import math
from types import SimpleNamespace

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.ranking import rank
from ance_plugin.records import Hit
from ance_plugin.search.dense import DenseSearcher
from ance_plugin.search.vectors import QUERIES_AT_ONCE

IDENTITY = {"weights_sha256": "f00d", "pooling": "cls", "max_query_tokens": 64}


class StubEncoder:
    """Reads the vector out of the query's text: ``"1 0 -2"``."""

    def __init__(self, dimension=4, identity=None):
        self.dimension = dimension
        self.calls = []
        if identity is not None:
            self.identity = identity

    def encode_queries(self, queries):
        self.calls.append(len(queries))
        return np.array([query.split() for query in queries], dtype=np.float32)


class PyseriniLikeEncoder:
    """Has nothing but ``encode``, as Pyserini's query encoders have."""

    def encode(self, query):
        return np.array(query.split(), dtype=np.float32)


def write_index(path, rows, factory="Flat", docids=None, encoder=None):
    """Write rows as an index folder; docids sort otherwise than rows."""
    rows = np.asarray(rows, dtype=np.float32)
    index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(rows)
    index.add(rows)
    path.mkdir(exist_ok=True)
    faiss.write_index(index, str(path / "index"))
    names = docids or name_rows(len(rows))
    (path / "docid").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    if encoder is not None:
        artifacts.seal(path, "dense-index", {"encoder": {"name": "tiny", **encoder}})
    return path


def name_rows(num_rows):
    return [f"d{(row * 7) % 1009}" for row in range(num_rows)]


def brute_force(rows, query, k):
    rows, query = np.asarray(rows, dtype=np.float32), np.asarray(query, dtype=np.float32)
    return rank(name_rows(len(rows)), rows @ query, k)


@pytest.fixture(scope="module")
def rows():
    """300 vectors of small whole numbers: exact scores, many of them equal."""
    return np.random.default_rng(5).integers(-2, 3, (300, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def searcher(folder, rows):
    """A flat index of them."""
    return DenseSearcher(write_index(folder / "flat", rows), StubEncoder())


VECTORS = st.lists(st.tuples(*[st.integers(-1, 1)] * 3), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=VECTORS, query=st.tuples(*[st.integers(-1, 1)] * 3), k=st.integers(1, 70))
def test_hits_are_those_of_a_brute_force_search(folder, rows, query, k):
    """Ties at the last place are cut by docid descending, however many there are."""
    searcher = DenseSearcher(write_index(folder / "any", rows), StubEncoder(3))

    assert searcher.search(np.array(query, dtype=np.float32), k) == brute_force(rows, query, k)


@pytest.mark.parametrize("k", [1, 10, 50, 291, 292, 300, 5_000])
def test_any_k_gives_what_there_is(searcher, rows, k):
    """All documents where ``k`` is beyond them."""
    hits = searcher.search("1 -1 2 0", k)

    assert hits == brute_force(rows, [1, -1, 2, 0], k)
    assert len(hits) == min(k, 300)


def test_search_leaves_as_many_threads_as_there_were(searcher):
    """PyTorch may count the same threads as FAISS; it encodes the next query with them."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    searcher.search("1 0 0 0", 5)

    left = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(before)
    assert left == 3


def test_all_documents_tied_are_ordered_by_docid(folder):
    """A query of zeros ties them all, far beyond the last hit."""
    searcher = DenseSearcher(write_index(folder / "zeros", np.ones((200, 4))), StubEncoder())

    assert [hit.docid for hit in searcher.search("0 0 0 0", 3)] == sorted(name_rows(200))[:-4:-1]


def test_only_queries_that_are_cut_in_a_tie_are_searched_deeper(folder, monkeypatch):
    """One query that ties with everything does not have all others search everything."""
    rows = np.random.default_rng(3).integers(-999, 1000, (300, 4)).astype(np.float32)
    searcher = DenseSearcher(write_index(folder / "cut", rows), StubEncoder())
    queries = rows[:5].copy()
    queries[2] = 0
    asked = []
    search = searcher.index.search
    index = SimpleNamespace(
        search=lambda v, depth: asked.append((len(v), depth)) or search(v, depth)
    )
    monkeypatch.setattr(searcher, "index", index)

    found = searcher.search_vectors(queries, 10)

    assert found == [brute_force(rows, query, 10) for query in queries]
    assert asked == [(5, 18), (1, 36), (1, 72), (1, 144), (1, 288), (1, 300)]


def test_exact_ivf_search_is_brute_force_too(folder, rows):
    """With every list visited."""
    path = write_index(folder / "ivf", rows, "IVF8,Flat")
    searcher = DenseSearcher(path, StubEncoder(), nprobe=8)

    assert searcher.search("1 -1 2 0", 20) == brute_force(rows, [1, -1, 2, 0], 20)


def test_places_that_an_index_leaves_empty_are_no_hits(folder, rows):
    """One list of eight holds fewer than ``k``."""
    path = write_index(folder / "ivf", rows, "IVF8,Flat")
    hits = DenseSearcher(path, StubEncoder(), nprobe=1).search("1 -1 2 0", 300)

    assert 0 < len(hits) < 300
    assert len({hit.docid for hit in hits}) == len(hits)
    assert set(hits) < set(brute_force(rows, [1, -1, 2, 0], 300))


@pytest.mark.parametrize("factory", ["HNSW16", "SQ8", "SQfp16"])
@pytest.mark.parametrize("k", [1, 20, 400])
def test_inexact_indexes_give_ordered_hits(folder, rows, factory, k):
    """No document twice, best first, by the one rule."""
    searcher = DenseSearcher(write_index(folder / factory, rows, factory), StubEncoder())
    hits = searcher.search("1 -1 2 0", k)

    assert 0 < len(hits) <= min(k, 300)
    assert len({hit.docid for hit in hits}) == len(hits)
    assert hits == rank([hit.docid for hit in hits], [hit.score for hit in hits])


class TestQueries:
    def test_text_and_vector_find_the_same(self, searcher):
        """A vector may be flat or one row, of any real type."""
        expected = searcher.search("1 -1 2 0", 10)

        for vector in ([1, -1, 2, 0], [[1, -1, 2, 0]]):
            for dtype in (np.float32, np.float64, np.int64):
                assert searcher.search(np.array(vector, dtype=dtype), 10) == expected

    def test_vectors_in_any_layout_are_taken(self, searcher):
        """A transposed array is no other query."""
        vectors = np.asfortranarray([[1, -1, 2, 0], [0, 1, 1, 1]], dtype=np.float32)

        run = searcher.batch_search(vectors, ["a", "b"])
        assert run == {"a": searcher.search("1 -1 2 0"), "b": searcher.search("0 1 1 1")}

    def test_batch_finds_what_single_searches_find(self, searcher):
        """Beyond what is searched at once, too, and in the order of the qids."""
        numbers = np.random.default_rng(6).integers(-2, 3, (QUERIES_AT_ONCE + 40, 4))
        queries = [" ".join(map(str, row)) for row in numbers]
        qids = [f"q{number}" for number in range(len(queries))][::-1]
        run = searcher.batch_search(queries, qids, 12)

        assert list(run) == qids
        assert all(
            run[qid] == searcher.search(query, 12) for qid, query in zip(qids, queries, strict=True)
        )
        assert searcher.batch_search(numbers.astype(np.float32), qids, 12) == run

    def test_queries_are_encoded_in_parts(self, folder):
        """At most 512 a call, and of one size."""
        encoder = StubEncoder()
        searcher = DenseSearcher(folder / "flat", encoder)
        searcher.batch_search(["1 0 0 0"] * 1100, [str(n) for n in range(1100)], 1)

        assert encoder.calls == [366, 367, 367]

    def test_no_query_is_an_empty_run(self, searcher):
        """Nothing is encoded."""
        assert searcher.batch_search([], []) == {}

    def test_threads_do_not_change_the_hits(self, searcher):
        """Only the time."""
        expected = searcher.batch_search(["1 -1 2 0", "0 1 1 1"], ["a", "b"])

        assert searcher.batch_search(["1 -1 2 0", "0 1 1 1"], ["a", "b"], threads=2) == expected

    def test_encoder_that_encodes_one_query_only_is_taken(self, searcher, folder):
        """Any of Pyserini's."""
        theirs = DenseSearcher(folder / "flat", PyseriniLikeEncoder())

        assert theirs.search("1 -1 2 0", 10) == searcher.search("1 -1 2 0", 10)
        queries, qids = ["1 -1 2 0", "0 1 1 1"], ["a", "b"]
        assert theirs.batch_search(queries, qids, 5) == searcher.batch_search(queries, qids, 5)

    def test_hits_have_pyserinis_attributes(self, searcher):
        """Docids are strings, scores plain floats that name a float32."""
        [hit] = searcher.search("1 -1 2 0.1", 1)

        assert (type(hit), type(hit.docid), type(hit.score)) == (Hit, str, float)
        assert len(repr(hit.score).replace(".", "")) <= 9


class TestRefusals:
    @pytest.mark.parametrize("k", [0, -1])
    def test_k_is_at_least_one(self, searcher, k):
        """For one query and for several."""
        with pytest.raises(ValueError, match=f"k must be at least 1, found {k}"):
            searcher.search("1 0 0 0", k)
        with pytest.raises(ValueError, match=f"k must be at least 1, found {k}"):
            searcher.batch_search(["1 0 0 0"], ["a"], k)

    def test_each_query_has_its_qid(self, searcher):
        """Neither is dropped."""
        with pytest.raises(ValueError, match="2 queries but 1 qids"):
            searcher.batch_search(["1 0 0 0", "0 1 0 0"], ["a"])

    def test_query_of_another_dimension_is_refused(self, searcher):
        """With both."""
        with pytest.raises(ValueError, match="the queries have 3 dimensions, the index 4"):
            searcher.search(np.ones(3, dtype=np.float32))
        with pytest.raises(ValueError, match="the queries have 5 dimensions, the index 4"):
            searcher.search("1 2 3 4 5")

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_query_that_is_not_finite_is_refused(self, searcher, value):
        """Its hits would be noise."""
        with pytest.raises(ValueError, match="finite"):
            searcher.search(np.array([1, value, 0, 0], dtype=np.float32))

    def test_encoder_of_another_dimension_is_refused_at_once(self, folder, rows):
        """Before any query is encoded."""
        path = write_index(folder / "flat4", rows)

        with pytest.raises(MismatchError, match="4 dimensions but the encoder produces 8"):
            DenseSearcher(path, StubEncoder(dimension=8))

    def test_encoder_that_did_not_make_the_index_is_refused(self, folder, rows):
        """The message names the setting."""
        path = write_index(folder / "sealed", rows, encoder=IDENTITY)
        other = StubEncoder(identity={**IDENTITY, "pooling": "mean"})

        expected = "made by another encoder: pooling is 'cls' there but 'mean' here; search it with"
        with pytest.raises(MismatchError, match=expected):
            DenseSearcher(path, other)
        assert DenseSearcher(path, StubEncoder(identity=IDENTITY)).num_docs == 300

    @pytest.mark.parametrize(
        ("factory", "option", "name", "kind"),
        [
            ("Flat", "ef_search", "efSearch", "IndexFlat"),
            ("Flat", "nprobe", "nprobe", "IndexFlat"),
            ("HNSW16", "nprobe", "nprobe", "IndexHNSWFlat"),
            ("IVF8,Flat", "ef_search", "efSearch", "IndexIVFFlat"),
        ],
    )
    def test_parameter_that_the_index_lacks_is_refused(
        self, folder, rows, factory, option, name, kind
    ):
        """It would be passed over in silence otherwise."""
        path = write_index(folder / "parameter", rows, factory)

        with pytest.raises(ValueError, match=rf"parameter: {kind}\w* has no parameter {name}"):
            DenseSearcher(path, StubEncoder(), **{option: 8})

    def test_missing_and_damaged_indexes_are_refused(self, folder, tmp_path):
        """As ``open_index`` does."""
        with pytest.raises(FileNotFoundError):
            DenseSearcher(tmp_path / "none", StubEncoder())
        with pytest.raises(ArtifactError):
            DenseSearcher(tmp_path, StubEncoder())


def test_breadth_of_the_search_is_set(folder, rows):
    """HNSW's and IVF's, each where it belongs."""
    hnsw = DenseSearcher(write_index(folder / "h", rows, "HNSW16"), StubEncoder(), ef_search=77)
    ivf = DenseSearcher(write_index(folder / "i", rows, "IVF8,Flat"), StubEncoder(), nprobe=5)

    assert faiss.downcast_index(hnsw.index).hnsw.efSearch == 77
    assert faiss.downcast_index(ivf.index).nprobe == 5

"""Queries encoded before: the safe file, Pyserini's pickle, and pickles that mean harm."""

import copyreg
import pickle

import numpy as np
import pytest

from ance_plugin.encode.queries import (
    EncodedQueries,
    read_encoded_queries,
    write_encoded_queries,
)
from ance_plugin.errors import FormatError
from ance_plugin.search.dense import DenseSearcher

TEXTS = ["what is ance", "Ünïcode 日本"]
VECTORS = np.array([[1.0, 2.0, 3.0], [0.25, -1.0, 7.5]], dtype=np.float32)


def make_frame(qids=("q1", "q2"), rows=None):
    import pandas as pd

    rows = list(VECTORS) if rows is None else rows
    return pd.DataFrame({"id": list(qids), "text": TEXTS, "embedding": rows})


def assert_holds(queries, qids=("q1", "q2")):
    assert queries.qids == list(qids)
    assert queries.texts == TEXTS
    np.testing.assert_array_equal(queries.vectors, VECTORS)


def test_npz_keeps_everything(tmp_path):
    """Ids, texts, vectors and the encoder's identity come back as they went."""
    file = tmp_path / "new" / "queries.npz"
    write_encoded_queries(EncodedQueries(["q1", "q2"], TEXTS, VECTORS, identity={"a": 1}), file)

    for path in (file, file.parent):
        queries = read_encoded_queries(path)
        assert_holds(queries)
        assert queries.identity == {"a": 1}
    assert [path.name for path in file.parent.iterdir()] == ["queries.npz"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("rows", [None, VECTORS.tolist()], ids=["arrays", "lists"])
@pytest.mark.parametrize("qids", [(1, 2), ("q1", "q2")])
def test_pyserinis_pickle_is_read(tmp_path, protocol, rows, qids):
    """``embedding.pkl`` as this pandas writes it, by every protocol; qids become strings."""
    make_frame(qids, rows).to_pickle(tmp_path / "embedding.pkl", protocol=protocol)

    assert_holds(read_encoded_queries(tmp_path), map(str, qids))


def test_plain_strings_are_read(tmp_path):
    """Columns of Python's own strings, as pandas before 3 has them."""
    frame = make_frame().astype({"id": object, "text": object})
    frame.to_pickle(tmp_path / "embedding.pkl")

    assert_holds(read_encoded_queries(tmp_path))


class OldFrame:
    """Pickles as a DataFrame of pandas 1.2 does: a block manager with the state of version 0.14."""

    def __reduce__(self):
        import pandas as pd

        names = np.array(["id", "text", "embedding"], dtype=object)
        values = np.empty((3, 2), dtype=object)
        values[0], values[1] = ["q1", "q2"], TEXTS
        values[2, 0], values[2, 1] = VECTORS
        blocks = [{"values": values, "mgr_locs": slice(0, 3, 1)}]
        state = ([], [], [], {"0.14.1": {"axes": [names, np.arange(2)], "blocks": blocks}})
        return copyreg.__newobj__, (pd.DataFrame,), {"_data": OldManager(state)}


class OldManager:
    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        from pandas.core.internals.managers import BlockManager

        return copyreg.__newobj__, (BlockManager,), self.state


class OldPickler(pickle._Pickler):
    """Writes an instance of one class as an instance of another, which pickle itself refuses."""

    def save_reduce(self, func, args, state=None, *rest, obj=None):
        super().save_reduce(func, args, state, *rest, obj=None)


def test_the_pickle_of_an_older_pandas_is_read(tmp_path):
    """Pyserini's own files of encoded queries are from then."""
    with (tmp_path / "embedding.pkl").open("wb") as file:
        OldPickler(file, protocol=4).dump(OldFrame())

    assert_holds(read_encoded_queries(tmp_path))


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    """Neither a bare call nor one hidden in a frame is made; unsafely read, it would be."""
    import pandas as pd

    target = tmp_path / "written"
    harm = Calls(open, str(target), "w")
    for content in (harm, pd.DataFrame({"id": ["1"], "text": ["a"], "embedding": [harm]})):
        file = tmp_path / "embedding.pkl"
        file.write_bytes(pickle.dumps(content))

        with pytest.raises(FormatError, match=r"names _?io\.open, .*nothing of it was run; encode"):
            read_encoded_queries(tmp_path)

        assert not target.exists()
    pickle.loads(pickle.dumps(harm)).close()  # noqa: S301 - shows that it is armed
    assert target.exists()


def make_state(target, state):
    """Write a pickle that pushes a name of pandas and sets the state of what it names."""
    return b"".join(
        [b"\x80\x04", b"c", target, b"\n", pickle.dumps(state, protocol=2)[2:-1], b"b", b"."]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_state(b"pandas\nDataFrame", {"x": 1}), "sets the state of a type"),
        (make_state(b"pandas\n_new_Index", {"x": 1}), "sets the state of a function"),
        (pickle.dumps(np.zeros(2, dtype="M8[s]")), "has an array of the type 'M8'"),
        (pickle.dumps(np.zeros(2, dtype="i4,f4")), "has an array of the type 'V8'"),
        (pickle.dumps(np.zeros(2, dtype=">f4"), protocol=2), "another byte order"),
        (pickle.dumps({"id": 1}), "expected columns id, text, embedding, found a dict"),
        (b"\x80\x04Pabc\n.", "refers to objects outside"),
        (b"", "is no pickled DataFrame"),
        (b"not a pickle", "is no pickled DataFrame|could not find|invalid"),
    ],
    ids=["class", "function", "dates", "records", "order", "dict", "pid", "empty", "text"],
)
def test_what_is_no_frame_of_queries_is_refused(tmp_path, content, message):
    """Types are not patched, bytes are not taken for pointers."""
    (tmp_path / "embedding.pkl").write_bytes(content)

    with pytest.raises(FormatError, match=message):
        read_encoded_queries(tmp_path)


def test_a_frame_without_the_columns_is_refused(tmp_path):
    """The columns that were found are named."""
    make_frame().rename(columns={"embedding": "vector"}).to_pickle(tmp_path / "embedding.pkl")

    with pytest.raises(
        FormatError, match="expected columns id, text, embedding, found id, text, v"
    ):
        read_encoded_queries(tmp_path)


def test_damaged_or_pickled_npz_is_refused(tmp_path):
    """Objects in a .npz are pickles too."""
    file = tmp_path / "queries.npz"
    file.write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match=r"is no \.npz file, or damaged"):
        read_encoded_queries(file)
    with file.open("wb") as content:
        np.save(content, np.ones(3))
    with pytest.raises(FormatError, match=r"is no \.npz file, or damaged"):
        read_encoded_queries(file)
    parts = {"ids": ["q1"], "texts": ["a"], "vectors": np.zeros((1, 2))}
    np.savez(file, identity=np.array("[1]"), **parts)
    with pytest.raises(FormatError, match=r"expected an identity with names, found \[1\]"):
        read_encoded_queries(file)
    np.savez(file, **parts)
    intact = file.read_bytes()
    file.write_bytes(intact.replace(b"NUMPY", b"NUMPX"))
    with pytest.raises(FormatError, match="holds no encoded queries"):
        read_encoded_queries(file)
    np.savez(file, ids=np.array(["q1"]))
    with pytest.raises(FormatError, match="expected ids, texts and vectors, found ids"):
        read_encoded_queries(file)
    np.savez(file, ids=np.array([{}]), texts=np.array(["a"]), vectors=np.zeros((1, 2)))
    with pytest.raises(FormatError, match=r"holds no encoded queries .*allow_pickle"):
        read_encoded_queries(file)


def test_an_empty_pickle_is_said(tmp_path):
    """The reason in the brackets is not empty."""
    (tmp_path / "embedding.pkl").touch()

    with pytest.raises(FormatError, match=r"is no pickled DataFrame \(EOFError\); encode the"):
        read_encoded_queries(tmp_path)


def test_what_is_not_there_is_said(tmp_path):
    """Neither file, or a file of another kind."""
    with pytest.raises(
        FileNotFoundError, match=r"nor a folder with queries\.npz or embedding\.pkl"
    ):
        read_encoded_queries(tmp_path)
    (tmp_path / "q.txt").touch()
    with pytest.raises(FormatError, match=r"q\.txt: expected a \.npz or \.pkl file"):
        read_encoded_queries(tmp_path / "q.txt")


def test_queries_are_found_by_their_exact_text():
    """Of two alike the first counts; one that was not encoded is named."""
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    queries = EncodedQueries(["1", "2", "3"], ["a", "b", "a"], vectors)

    assert queries.encode("a").tolist() == [0.0, 1.0]
    assert queries.encode_queries(["b", "a"]).tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert queries.dimension == 2
    with pytest.raises(
        ValueError, match="1 queries were not encoded before, such as 'A'; give --e"
    ):
        queries.encode_queries(["a", "A"])


def test_lengths_that_differ_are_refused():
    """Ids, texts and vectors are as many."""
    with pytest.raises(ValueError, match=r"1 qids, 2 texts and vectors of shape \(2, 3\)"):
        EncodedQueries(["1"], TEXTS, VECTORS)


def test_a_dense_searcher_takes_them(tmp_path):
    """They are a query encoder: an index is searched without a model."""
    import faiss

    index = faiss.IndexFlatIP(3)
    index.add(VECTORS)
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("d1\nd2\n")
    searcher = DenseSearcher(tmp_path, EncodedQueries(["q1", "q2"], TEXTS, VECTORS))

    run = searcher.batch_search(TEXTS, ["q1", "q2"], k=1)

    assert [(qid, hits[0].docid) for qid, hits in run.items()] == [("q1", "d2"), ("q2", "d2")]
    assert searcher.search(TEXTS[0], k=1)[0].score == 20.75  # 0.25 - 2 + 22.5


def test_damage_is_an_error_and_no_crash(tmp_path):
    """Bytes changed at random give other values or a FormatError; numpy's own reader crashes."""
    file = tmp_path / "embedding.pkl"
    make_frame().to_pickle(file)
    intact = file.read_bytes()
    generator = np.random.default_rng(1)

    num_refused = 0
    for _ in range(400):
        content = bytearray(intact)
        for place in generator.integers(0, len(content), size=3):
            content[place] = generator.integers(256)
        file.write_bytes(content)
        try:
            read_encoded_queries(file)
        except FormatError:
            num_refused += 1

    assert 300 < num_refused <= 400

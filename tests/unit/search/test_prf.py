"""Feedback in numbers worked out by hand, from any index that can give its vectors back."""

import faiss
import numpy as np
import pytest

from ance_plugin.records import Hit
from ance_plugin.search.dense import DenseSearcher
from ance_plugin.search.prf import AncePrf, AveragePrf, PrfSearcher, RocchioPrf
from ance_plugin.search.vectors import Feedback

QUERY = np.array([[1.0, 0.0]], dtype=np.float32)
FOUND = [
    Feedback(
        [Hit("a", 3.0), Hit("b", 2.0), Hit("c", 1.0)],
        np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 6.0]], dtype=np.float32),
    )
]
NOTHING = [Feedback([], np.empty((0, 2), dtype=np.float32))]


def test_average_weighs_the_query_as_one_hit():
    """(1 + 3 + 2 + 1) / 4 and (0 + 1 + 2 + 6) / 4."""
    revised = AveragePrf().revise(["q"], QUERY, FOUND)

    assert revised.tolist() == [[1.75, 2.25]]
    assert revised.dtype == np.float32


def test_rocchio_moves_towards_the_first_hits():
    """0.9 (1, 0) + 0.1 mean((3, 1), (2, 2)) = (1.15, 0.15)."""
    revised = RocchioPrf(topk=2).revise(["q"], QUERY, FOUND)

    assert revised[0] == pytest.approx([1.15, 0.15])


def test_rocchio_moves_away_from_the_last_hits():
    """The same, minus 0.5 mean((2, 2), (1, 6)) = (0.75, 2)."""
    revised = RocchioPrf(gamma=0.5, topk=2, bottomk=2).revise(["q"], QUERY, FOUND)

    assert revised[0] == pytest.approx([0.4, -1.85])


def test_a_query_without_hits_stays_itself():
    """The average of one vector is that vector; Rocchio weighs it and adds nothing."""
    assert AveragePrf().revise(["q"], QUERY, NOTHING).tolist() == [[1, 0]]
    assert RocchioPrf(0.5, bottomk=1).revise(["q"], QUERY, NOTHING).tolist() == [[0.5, 0]]


@pytest.mark.parametrize("name", ["topk", "bottomk"])
def test_rocchio_refuses_counts_below_their_least(name):
    """The first hits are one at least, the last none at least."""
    with pytest.raises(ValueError, match=f"Rocchio's {name} must be at least"):
        RocchioPrf(**{name: -1})


class Recorder:
    """An encoder that keeps what it is given."""

    name, identity = "recorder", {"dimension": 2}
    num_positions = 512
    special_tokens = ("<s>", "</s>")

    def __init__(self, *, is_lowercased):
        self.settings = type("Settings", (), {"is_lowercased": is_lowercased})

    def tokenize(self, texts, max_tokens, *, adds_special_tokens):
        self.given = texts, max_tokens, adds_special_tokens
        return [[0] for _ in texts]

    def encode_tokens(self, rows):
        return np.ones((len(rows), 2), dtype=np.float32)


@pytest.mark.parametrize(("is_lowercased", "expected"), [(False, "Who"), (True, "who")])
def test_ance_prf_joins_the_query_and_the_hits(is_lowercased, expected):
    """One first token, a separator after each text, no special tokens from the tokenizer."""
    encoder = Recorder(is_lowercased=is_lowercased)
    method = AncePrf(encoder, {"a": "one", "b": "two", "c": "three"}.__getitem__)

    revised = method.revise(["Who"], QUERY, FOUND)

    assert encoder.given == ([f"<s>{expected}</s>one</s>two</s>three</s>"], 512, False)
    assert revised.tolist() == [[1, 1]]
    assert method.to_json()["encoder"] == {"name": "recorder", "dimension": 2}


def test_ance_prf_needs_the_positions_of_its_texts():
    """A body of 511 positions is refused when the method is made, not in the middle of a search."""
    encoder = Recorder(is_lowercased=False)
    encoder.num_positions = 511

    with pytest.raises(ValueError, match=r"to 512 tokens, but recorder has 511 positions; give an"):
        AncePrf(encoder, {}.__getitem__)
    assert AncePrf(encoder, {}.__getitem__, max_tokens=511).max_tokens == 511


class OfPyserini:
    """An encoder of Pyserini's shape."""

    tokenizer = type("Tokenizer", (), {"cls_token": "<s>", "sep_token": "</s>"})
    sizes = ()

    def prf_batch_encode(self, texts):
        self.sizes = (*self.sizes, len(texts))
        return np.array([[len(text), 0.0] for text in texts])


def test_ance_prf_takes_pyserinis_encoder_in_small_batches():
    """It pads what it is given to the longest; 40 queries are 32 and 8, without lower-casing."""
    encoder = OfPyserini()

    revised = AncePrf(encoder, {}.__getitem__).revise(["Who"] * 40, QUERY, NOTHING * 40)

    assert encoder.sizes == (32, 8)
    assert revised.tolist() == [[len("<s>Who</s>"), 0]] * 40
    with pytest.raises(ValueError, match="Pyserini's encoder cuts to 512, not 256"):
        AncePrf(encoder, {}.__getitem__, max_tokens=256)


class Ready:
    """An encoder whose queries are rows of numbers."""

    def encode(self, query):
        return np.array([float(number) for number in query.split()], dtype=np.float32)


DOCUMENTS = np.array([[4, 0], [3, 1], [0, 5], [-1, 0]], dtype=np.float32)


def write_index(folder, factory):
    folder.mkdir()
    index = faiss.index_factory(2, factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(DOCUMENTS)
    if factory.startswith("IDMap"):
        index.add_with_ids(DOCUMENTS, np.arange(len(DOCUMENTS)))
    else:
        index.add(DOCUMENTS)
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"d{row}\n" for row in range(len(DOCUMENTS))))
    return folder


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF1,Flat", "SQfp16"])
def test_feedback_comes_with_the_vectors_of_the_hits(tmp_path, factory):
    """Each index gives back the documents' vectors in the order of the hits."""
    searcher = DenseSearcher(write_index(tmp_path / "index", factory), Ready())

    (found,) = searcher.search_feedback(np.array([[1, 0]], dtype=np.float32), 2)

    assert [hit.docid for hit in found.hits] == ["d0", "d1"]
    assert found.vectors.tolist() == [[4, 0], [3, 1]]


def test_an_index_without_its_vectors_is_refused(tmp_path):
    """The message names the index, its kind, and kinds that can."""
    searcher = DenseSearcher(write_index(tmp_path / "index", "IDMap,Flat"), Ready())

    with pytest.raises(ValueError, match=r"index: IndexIDMap cannot give vectors back.*Flat, HNSW"):
        searcher.search_feedback(np.array([[1, 0]], dtype=np.float32), 2)


def test_the_second_search_uses_the_revised_query(tmp_path):
    """(0.1, 1) finds d2 first; averaged with its two best, d2 and d1, it is (1.03, 2.33)."""
    searcher = DenseSearcher(write_index(tmp_path / "index", "Flat"), Ready())
    feedback = PrfSearcher(searcher, AveragePrf(), 2)

    run = feedback.batch_search(["0.1 1", "1 0"], ["q1", "q2"], 4)

    assert list(run) == ["q1", "q2"]
    assert feedback.revise(["0.1 1"])[0] == pytest.approx([3.1 / 3, 7 / 3])
    assert [hit.docid for hit in run["q1"]] == ["d2", "d1", "d0", "d3"]
    assert run["q1"][0].score == pytest.approx(35 / 3)
    assert run["q1"] == feedback.search("0.1 1", 4)


def test_depth_and_lengths_are_checked(tmp_path):
    """Feedback of no hits is no feedback, and every query has its qid."""
    searcher = DenseSearcher(write_index(tmp_path / "index", "Flat"), Ready())

    with pytest.raises(ValueError, match="depth of feedback must be at least 1, found 0"):
        PrfSearcher(searcher, AveragePrf(), 0)
    with pytest.raises(ValueError, match="1 queries but 2 qids"):
        PrfSearcher(searcher, AveragePrf(), 1).batch_search(["1 0"], ["q1", "q2"])


def test_an_encoder_with_pyserinis_batch_method_encodes_in_one_call(tmp_path):
    """What has encode_batch is called once for all queries."""

    class Batch(Ready):
        calls = 0

        def encode_batch(self, queries):
            self.calls += 1
            return np.stack([self.encode(query) for query in queries])

    encoder = Batch()
    searcher = DenseSearcher(write_index(tmp_path / "index", "Flat"), encoder)

    run = searcher.batch_search(["1 0", "0 1"], ["q1", "q2"], 1)

    assert [run[qid][0].docid for qid in ("q1", "q2")] == ["d0", "d2"]
    assert encoder.calls == 1

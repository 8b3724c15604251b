"""The encoded collection of a refresh: resumable, searched exactly, documents of several chunks."""

import numpy as np
import pytest

from ance_plugin.formats.vectors import Vectors
from ance_plugin.train import nearest
from ance_plugin.train.nearest import EncodedCorpus, encode_corpus, remove_vectors

NUM_DOCUMENTS, CHUNK = 23, 4


class KilledError(Exception):
    """Stands for the death of the process."""


@pytest.fixture
def corpus(make_corpus, encoder):
    """Documents of 1 to 16 tokens, so of 1 to 4 chunks."""
    rng = np.random.default_rng(0)
    tokens = [rng.integers(5, encoder.vocabulary_size, 1 + row % 16) for row in range(23)]
    return make_corpus({f"d{row}": f"text {row}" for row in range(NUM_DOCUMENTS)}, tokens=tokens)


@pytest.fixture
def encode(corpus, encoder, tmp_path, monkeypatch):
    """Return a function that encodes in blocks of five documents, and gives the directory."""
    monkeypatch.setattr(nearest, "BLOCK_SIZE", 5)

    def encode(name="vectors", **options):
        settings = {"encoder": encoder.identity, "precision": encoder.precision}
        encode_corpus(corpus, encoder, tmp_path / name, settings, **options)
        return tmp_path / name

    return encode


@pytest.fixture
def chunk_vectors(corpus, encoder):
    """Each document's vectors, encoded chunk by chunk here."""
    found = []
    for row in range(NUM_DOCUMENTS):
        tokens = corpus.tokens(row).tolist()
        chunks = [tokens[start : start + CHUNK] for start in range(0, len(tokens), CHUNK)]
        found.append(encoder.encode_tokens(chunks))
    return found


def content(folder):
    """Read all files but the metadata, which has times in it."""
    files = sorted(path for path in folder.iterdir() if path.name != "metadata.json")
    return {path.name: path.read_bytes() for path in files}


def draw_queries(encoder, number=7):
    return np.random.default_rng(1).standard_normal((number, encoder.dimension)).astype(np.float32)


def test_vectors_are_those_of_the_tokens(encode, corpus, encoder):
    """A document is one vector, that of its tokens."""
    blocks = list(Vectors(encode()).iter_blocks())

    assert [docid for docids, _ in blocks for docid in docids] == corpus.docids
    assert [len(docids) for docids, _ in blocks] == [5, 5, 5, 5, 3]
    found = np.concatenate([vectors for _, vectors in blocks])
    expected = encoder.encode_tokens([corpus.tokens(r).tolist() for r in range(NUM_DOCUMENTS)])
    assert np.allclose(found, expected, atol=1e-6)


def test_killed_encoding_goes_on_with_the_same_bytes(encode):
    """Blocks that are there are not encoded again, and the result is as if undisturbed."""

    def die(block):
        if block == 3:
            raise KilledError

    encoded = []
    with pytest.raises(KilledError):
        encode(on_block=die)
    folder = encode(on_block=encoded.append)

    assert encoded == [3, 4]
    assert content(folder) == content(encode("undisturbed"))


def test_shards_make_what_one_process_makes(encode):
    """Each encodes its share of the blocks, and the last to end publishes them all."""
    ends, encoded = [], []
    for shard in range(2):
        folder = encode(shard=(shard, 2), on_block=encoded.append)
        ends.append(folder.exists())

    assert ends == [False, True]
    assert encoded == [0, 2, 4, 1, 3]
    assert content(folder) == content(encode("alone"))


def test_another_rank_may_finish_first(encode, monkeypatch):
    """Vectors that another process published between a look and the start are taken as they are."""
    start = nearest.GrowingVectors

    def start_late(*args, **kwargs):
        monkeypatch.setattr(nearest, "GrowingVectors", start)
        encode()
        return start(*args, **kwargs)

    monkeypatch.setattr(nearest, "GrowingVectors", start_late)
    folder = encode(shard=(1, 2))

    assert [len(docids) for docids, _ in Vectors(folder).iter_blocks()] == [5, 5, 5, 5, 3]


def test_finished_vectors_are_not_touched(encode):
    """What is there is the answer."""
    encode()
    encoded = []

    encode(on_block=encoded.append)

    assert encoded == []


def test_search_is_exact(encode, corpus, encoder):
    """The hits are those of sorting all inner products."""
    queries = draw_queries(encoder)
    vectors = encoder.encode_tokens([corpus.tokens(r).tolist() for r in range(NUM_DOCUMENTS)])

    found = EncodedCorpus(corpus, encode(), device="cpu").search(queries, 6)

    expected = queries @ vectors.T
    assert np.array_equal(found.rows, np.argsort(-expected, axis=1)[:, :6])
    assert np.allclose(found.scores, -np.sort(-expected, axis=1)[:, :6], atol=1e-4)


@pytest.mark.parametrize("k", [1, 6, NUM_DOCUMENTS])
def test_best_chunk_speaks_for_a_document(encode, corpus, encoder, chunk_vectors, k):
    """With MaxP a query has k documents, each with the highest score of its chunks."""
    queries = draw_queries(encoder)
    best = np.stack([(queries @ chunks.T).max(axis=1) for chunks in chunk_vectors], axis=1)

    folder = encode(chunk_tokens=CHUNK)
    found = EncodedCorpus(corpus, folder, device="cpu", is_chunked=True).search(queries, k)

    # Two documents may share their best chunk; the encoder's last bits depend on the batch.
    assert np.allclose(found.scores, -np.sort(-best, axis=1)[:, :k], atol=1e-4)
    assert np.allclose(found.scores, np.take_along_axis(best, found.rows, 1), atol=1e-4)
    assert all(len(set(rows)) == k for rows in found.rows.tolist())


def test_fewer_documents_than_k(encode, corpus, encoder):
    """With MaxP what is missing has row -1 and minus infinity."""
    folder = encode(chunk_tokens=CHUNK)
    queries = draw_queries(encoder)

    found = EncodedCorpus(corpus, folder, device="cpu", is_chunked=True).search(queries, 25)

    assert (found.rows[:, NUM_DOCUMENTS:] == -1).all()
    assert np.isneginf(found.scores[:, NUM_DOCUMENTS:]).all()
    assert np.sort(found.rows[:, :NUM_DOCUMENTS]).tolist() == [list(range(NUM_DOCUMENTS))] * 7


WANTED = [[0], [22, 3, 3], [], [9, 10, 4]]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunks"])
def test_score_gives_the_scores_of_some_documents(
    encode, corpus, encoder, chunk_vectors, is_chunked
):
    """In the order given, of documents in any block; none where none is asked for."""
    queries = draw_queries(encoder, 4)
    texts = [corpus.tokens(row).tolist() for row in range(NUM_DOCUMENTS)]
    vectors = chunk_vectors if is_chunked else encoder.encode_tokens(texts)[:, None]

    folder = encode(chunk_tokens=CHUNK if is_chunked else None)
    encoded = EncodedCorpus(corpus, folder, device="cpu", is_chunked=is_chunked)
    scores = encoded.score(queries, [np.array(rows, dtype=np.int64) for rows in WANTED])

    assert [len(found) for found in scores] == [1, 3, 0, 3]
    for query, rows, found in zip(queries, WANTED, scores, strict=True):
        expected = [float((vectors[row] @ query).max()) for row in rows]
        assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_no_queries_have_no_scores(encode, corpus, encoder):
    """A refresh whose share of the topics is none of them has nothing to score."""
    encoded = EncodedCorpus(corpus, encode(), device="cpu")

    assert encoded.score(np.empty((0, encoder.dimension), np.float32), []) == []


def test_vectors_are_removed_finished_or_not(encode, tmp_path):
    """Neither a directory nor its beginning is left; nothing to remove is no error."""

    def die(block):
        if block == 1:
            raise KilledError

    encode("whole")
    with pytest.raises(KilledError):
        encode("begun", on_block=die)

    for name in ("whole", "begun", "never"):
        remove_vectors(tmp_path / name)

    assert [path.name for path in tmp_path.iterdir() if "made-tokens" not in path.name] == []

"""Both kinds of MaxP against a straightforward reference, and what is masked in chunks."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from ance_plugin.encode import corpus
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.corpus import Shard, encode_collection
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.maxp import NUM_CHUNKS, split_into_chunks, tokenize_passages
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.vectors import Vectors
from ance_plugin.index.dense import build_dense_index
from ance_plugin.ranking import best_passages
from ance_plugin.records import Document
from ance_plugin.search.dense import DenseSearcher

CHUNK = 32
WORDS = tuple("abcdefghijklmnop")
# Words of each document: with the two special tokens, exactly one chunk, one token more, all four
# chunks, and more than fits.
LENGTHS = (0, 5, CHUNK - 2, CHUNK - 1, 2 * CHUNK + 3, NUM_CHUNKS * CHUNK - 2, 200)
EXPECTED_CHUNKS = (1, 1, 1, 2, 3, 4, 4)


@pytest.fixture(scope="module")
def checkpoint(make_tiny_checkpoint):
    return str(make_tiny_checkpoint(seed=3, pooling="cls"))


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return Encoder.load(checkpoint, precision="fp32")


@pytest.fixture(scope="module")
def documents():
    generator = np.random.default_rng(5)
    return [
        Document(f"d{place}", " ".join(generator.choice(WORDS, length)), "")
        for place, length in enumerate(LENGTHS)
    ]


def score_as_microsoft(checkpoint, documents, query):
    """Pad to 4 chunks, encode each by its first token, mask those that are padding, take the max.

    Returns:
        A score a document, and the mask of real chunks, (n, 4).
    """
    loaded = load_checkpoint(checkpoint)
    inputs = loaded.tokenizer(
        [document.text for document in documents],
        padding="max_length",
        truncation=True,
        max_length=NUM_CHUNKS * CHUNK,
        return_tensors="pt",
    )
    ids = inputs["input_ids"].reshape(-1, CHUNK)
    mask = inputs["attention_mask"].reshape(-1, CHUNK)
    is_real = mask[:, 0].bool()
    states = torch.zeros(len(ids), loaded.model.dimension)
    with torch.inference_mode():
        for place in torch.nonzero(is_real).flatten():
            row = slice(place, place + 1)
            states[row] = loaded.model.body(ids[row], attention_mask=mask[row])[0][:, 0]
    scores = states @ torch.from_numpy(query)
    scores[~is_real] = -9999
    shape = (len(documents), NUM_CHUNKS)
    return scores.reshape(shape).max(dim=1).values.numpy(), is_real.reshape(shape).numpy()


def encode_passages(encoder, documents, kind):
    """Give docids and vectors, as ``encode_collection`` writes them."""
    docids, rows = tokenize_passages(encoder, documents, kind)
    return docids, encoder.encode_tokens(rows)


def test_chunks_score_as_microsofts_do(checkpoint, encoder, documents):
    """The maximum over our chunks of a document is that over four padded and masked ones."""
    query = encoder.encode("bear sees goat")

    docids, vectors = encode_passages(encoder, documents, "chunks")

    expected, is_real = score_as_microsoft(checkpoint, documents, query)
    assert is_real.sum(axis=1).tolist() == list(EXPECTED_CHUNKS)
    assert len(docids) == len(vectors) == is_real.sum() == sum(EXPECTED_CHUNKS)
    assert (~is_real).sum() == len(documents) * NUM_CHUNKS - len(vectors)  # what was masked
    for place, document in enumerate(documents):
        own = [row for row, docid in enumerate(docids) if docid.split("#")[0] == document.docid]
        assert [docids[row] for row in own] == [f"{document.docid}#{n}" for n in range(len(own))]
        assert (vectors[own] @ query).max() == pytest.approx(expected[place], abs=1e-4)


def test_a_chunk_has_no_special_tokens_of_its_own():
    """One sequence is cut as it is; its ends are at the first chunk's start and the last's end."""
    row = [101, *range(1000, 1067), 102]

    chunks = split_into_chunks(row, CHUNK)

    assert [len(chunk) for chunk in chunks] == [32, 32, 5]
    assert [token for chunk in chunks for token in chunk] == row


def test_segments_are_encoded_as_documents_of_their_own(encoder):
    """A segment is its own sequence, with special tokens, whatever the others of its document."""
    segments = [Document("a#0", "ant bear", ""), Document("a#1", "cat", "")]

    docids, vectors = encode_passages(encoder, segments, "segments")

    assert docids == ["a#0", "a#1"]
    np.testing.assert_allclose(vectors[1], encoder.encode_documents(segments[1:])[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["segments", "chunks"])
def test_search_takes_the_best_passage(tmp_path, encoder, documents, kind):
    """Encode, index, search, best passages: a document scores its best passage's inner product."""
    if kind == "segments":
        units = [
            Document(f"{document.docid}#{n}", document.text[60 * n : 60 * (n + 1)], "")
            for document in documents
            for n in range(3)
        ]
    else:
        units = documents
    lines = [json.dumps({"id": unit.docid, "contents": unit.text or "."}) for unit in units]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    collection = Collection(str(tmp_path / "c.jsonl"))
    encode_collection(collection, encoder, tmp_path / "vectors", maxp=kind, block_size=3)
    build_dense_index(Vectors(tmp_path / "vectors"), tmp_path / "index")
    query = encoder.encode("fox likes owl")

    searcher = DenseSearcher(tmp_path / "index", encoder)
    hits = best_passages(searcher.search(query, searcher.num_docs), "#")

    docids, vectors = encode_passages(encoder, list(collection), kind)
    best = {}
    for docid, score in zip(docids, vectors @ query, strict=True):
        document = docid.split("#")[0]
        best[document] = max(score, best.get(document, -np.inf))
    assert {hit.docid: pytest.approx(hit.score, abs=1e-4) for hit in hits} == best
    metadata = json.loads((tmp_path / "index" / "metadata.json").read_text())
    assert metadata["maxp"] == kind
    assert metadata["num_vectors"] == len(docids) == searcher.num_docs
    chunks = {name: metadata.get(name) for name in ("num_chunks", "chunk_tokens")}
    expected = (4, CHUNK) if kind == "chunks" else (None, None)
    assert tuple(chunks.values()) == expected


@pytest.mark.parametrize("block_size", [1, 2])
def test_progress_counts_documents(encoder, documents, tmp_path, monkeypatch, block_size):
    """Chunks count as the documents they are of, and so do blocks that were there already."""
    counted = []
    monkeypatch.setattr(corpus, "count", lambda **_: nullcontext(counted.append))
    lines = [json.dumps({"id": unit.docid, "contents": unit.text or "."}) for unit in documents]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    collection = Collection(str(tmp_path / "c.jsonl"))

    for shard in (Shard(0, 2), Shard(1, 2)):
        encode_collection(
            collection, encoder, tmp_path / "v", maxp="chunks", shard=shard, block_size=block_size
        )

    assert sum(counted) == 2 * len(documents)


@pytest.mark.parametrize(
    ("docid", "kind", "message"),
    [
        ("plain", "segments", "docid plain: MaxP over segments needs docids that read docid#"),
        ("a#0", "chunks", "docid a#0: MaxP over chunks adds #number to a docid"),
    ],
)
def test_docids_that_do_not_fit_are_refused(encoder, docid, kind, message):
    """Segments need a number in the docid, chunks bring their own."""
    with pytest.raises(ValueError, match=message):
        tokenize_passages(encoder, [Document(docid, "ant", "")], kind)

"""What holds for encoding a whole collection: resumed, shared out, or in one go, the same bytes."""

import itertools
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from ance_plugin.encode.corpus import Shard, encode_collection
from ance_plugin.encode.encoder import Encoder
from ance_plugin.errors import ArtifactError, FormatError, MismatchError
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.vectors import Vectors

ANIMALS = "ant bear cat dog elk fox goat hare ibis jay kite lynx mole newt owl pig quail"
WORDS = ANIMALS.split()
NUM_DOCUMENTS = 23
BLOCK = 4  # so that there are six blocks, the last of three documents

KILLED = """
import itertools, os, signal, sys
from pathlib import Path
import torch
from ance_plugin.encode.corpus import encode_collection
from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection

torch.set_num_threads(1)
encoder = Encoder.load(sys.argv[2], device="cpu", precision="fp32")
encode, calls = encoder.encode_tokens, itertools.count()
def die_in_the_third_block(rows, **options):
    if next(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(rows, **options)
encoder.encode_tokens = die_in_the_third_block
encode_collection(Collection(sys.argv[1]), encoder, Path(sys.argv[3]), block_size=4)
"""


def write_collection(path, last="last"):
    texts = [" ".join(WORDS[n % 5 : n % 5 + n % 9]) for n in range(NUM_DOCUMENTS - 1)] + [last]
    records = [{"id": f"d{n}", "title": WORDS[n % 17], "text": t} for n, t in enumerate(texts)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return Collection(str(path))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """23 short documents."""
    return write_collection(tmp_path_factory.mktemp("collection") / "corpus.jsonl")


@pytest.fixture
def encoder(tiny_checkpoint):
    """The tiny encoder in fp32 on the CPU."""
    return Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, collection, tiny_checkpoint):
    """What one undisturbed run makes."""
    path = tmp_path_factory.mktemp("whole") / "vectors"
    encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")
    assert encode_collection(collection, encoder, path, block_size=BLOCK)
    return path


@pytest.fixture
def interrupt(encoder, monkeypatch):
    """Return a function after which the encoder fails at its n-th block; it counts the blocks."""
    tokenize = encoder.tokenize_documents

    def arm(at, error=KeyboardInterrupt):
        calls = itertools.count()
        encoded = []

        def tokenize_or_fail(documents, max_tokens):
            if next(calls) == at:
                raise error
            encoded.append(documents[0].docid)
            return tokenize(documents, max_tokens)

        monkeypatch.setattr(encoder, "tokenize_documents", tokenize_or_fail)
        return encoded

    return arm


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_vectors_are_those_of_the_documents_in_order(whole, collection, encoder):
    """Block by block."""
    blocks = list(Vectors(whole).iter_blocks())
    docids = [docid for ids, _ in blocks for docid in ids]

    assert docids == [f"d{number}" for number in range(NUM_DOCUMENTS)]
    assert [len(ids) for ids, _ in blocks] == [4, 4, 4, 4, 4, 3]
    vectors = np.concatenate([block for _, block in blocks])
    expected = encoder.encode_documents(list(collection))
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=0)


def test_metadata_says_what_decides_the_bytes(whole, collection, encoder):
    """Enough to refuse another encoder, and to make them again."""
    metadata = Vectors(whole).metadata

    assert metadata["collection"] == collection.describe(collection.scan())
    assert metadata["encoder"] == {"name": encoder.name, **encoder.identity, "overrides": {}}
    expected = {"precision": "fp32", "device": "cpu", "block_size": 4, "vector_type": "float32"}
    assert {name: metadata[name] for name in expected} == expected
    assert (metadata["num_documents"], metadata["num_blocks"]) == (23, 6)


def test_interrupted_run_ends_in_the_same_bytes(collection, encoder, interrupt, tmp_path, whole):
    """And encodes no block twice."""
    output = tmp_path / "vectors"
    before = interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        encode_collection(collection, encoder, output, block_size=BLOCK)
    assert not output.exists()
    after = interrupt(None)

    assert encode_collection(collection, encoder, output, block_size=BLOCK)
    assert content(output) == content(whole)
    assert before + after == ["d0", "d4", "d8", "d12", "d16", "d20"]


@pytest.mark.slow
def test_killed_process_leaves_what_a_new_one_completes(
    collection, encoder, interrupt, tmp_path, whole, tiny_checkpoint
):
    """SIGKILL gives it no time to tidy up."""
    output = tmp_path / "vectors"
    command = [sys.executable, "-c", KILLED, collection.name, str(tiny_checkpoint), str(output)]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    after = interrupt(None)

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert encode_collection(collection, encoder, output, block_size=BLOCK)
    assert content(output) == content(whole)
    assert after == ["d8", "d12", "d16", "d20"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_shards_make_the_bytes_of_one(collection, encoder, tmp_path, whole, order):
    """In any order; the last says that the vectors are finished."""
    output = tmp_path / "vectors"
    finished = [
        encode_collection(collection, encoder, output, shard=Shard(id_, 3), block_size=BLOCK)
        for id_ in order
    ]

    assert finished == [False, False, True]
    assert content(output) == content(whole)
    assert [file.name for file in tmp_path.iterdir()] == ["vectors"]


def test_more_shards_than_blocks_are_no_error(collection, encoder, tmp_path, whole):
    """Those without a block have nothing to do."""
    output = tmp_path / "vectors"
    finished = [
        encode_collection(collection, encoder, output, shard=Shard(id_, 8), block_size=BLOCK)
        for id_ in (7, 6, 5, 4, 3, 2, 1, 0)
    ]

    assert finished == [False] * 7 + [True]
    assert content(output) == content(whole)


def test_shards_may_be_divided_otherwise_on_resume(collection, encoder, tmp_path, whole):
    """One machine of three broke; the others take over."""
    output = tmp_path / "vectors"
    encode_collection(collection, encoder, output, shard=Shard(1, 3), block_size=BLOCK)

    assert encode_collection(collection, encoder, output, block_size=BLOCK)
    assert content(output) == content(whole)


def test_changed_collection_is_refused_on_resume(encoder, interrupt, tmp_path):
    """Half of one and half of another would be vectors of neither."""
    collection = write_collection(tmp_path / "corpus.jsonl")
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        encode_collection(collection, encoder, tmp_path / "vectors", block_size=BLOCK)
    interrupt(None)
    write_collection(tmp_path / "corpus.jsonl", last="changed")

    with pytest.raises(
        MismatchError, match=r"collection: sha256 is .* finish these vectors with the same"
    ):
        encode_collection(collection, encoder, tmp_path / "vectors", block_size=BLOCK)


@pytest.mark.parametrize(
    ("name", "options"),
    [("block_size", {"block_size": 5}), ("vector_type", {"vector_type": "float16"})],
)
def test_other_options_are_refused_on_resume(
    collection, encoder, interrupt, tmp_path, name, options
):
    """The message names the one that differs."""
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        encode_collection(collection, encoder, tmp_path / "vectors", block_size=BLOCK)

    with pytest.raises(MismatchError, match=f"{name} is "):
        encode_collection(
            collection, encoder, tmp_path / "vectors", **{"block_size": BLOCK, **options}
        )


def test_path_to_the_collection_may_be_written_otherwise_on_resume(
    collection, encoder, interrupt, tmp_path, whole, monkeypatch
):
    """The documents decide the bytes; the name they were found under does not."""
    output = tmp_path / "vectors"
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        encode_collection(collection, encoder, output, block_size=BLOCK)
    interrupt(None)
    folder, _, name = collection.name.rpartition("/")
    monkeypatch.chdir(folder)

    assert encode_collection(Collection(name), encoder, output, block_size=BLOCK)
    blocks = {name: data for name, data in content(whole).items() if name != "metadata.json"}
    assert blocks.items() <= content(output).items()


def test_finished_vectors_are_refused_before_the_collection_is_read(encoder, whole, monkeypatch):
    """Not after an hour of scanning."""
    monkeypatch.setattr(Collection, "scan", lambda self: pytest.fail("it was read"))

    with pytest.raises(ArtifactError, match="exists already"):
        encode_collection(Collection("pydoc"), encoder, whole)


def test_malformed_document_is_found_before_any_is_encoded(encoder, interrupt, tmp_path):
    """However late in the collection."""
    path = tmp_path / "corpus.jsonl"
    write_collection(path)
    path.write_text(path.read_text(encoding="utf-8") + '{"id": "d0"}\n', encoding="utf-8")
    encoded = interrupt(None)

    with pytest.raises(FormatError, match=r"corpus\.jsonl:24: "):
        encode_collection(Collection(str(path)), encoder, tmp_path / "vectors", block_size=BLOCK)
    assert encoded == []


def test_float16_vectors_are_the_rounded_ones(collection, encoder, tmp_path, whole):
    """Half the size on disk."""
    encode_collection(
        collection, encoder, tmp_path / "vectors", block_size=BLOCK, vector_type="float16"
    )

    pairs = zip(
        Vectors(tmp_path / "vectors").iter_blocks(), Vectors(whole).iter_blocks(), strict=True
    )
    for (_, half), (_, full) in pairs:
        assert half.dtype == np.float16
        assert half.tolist() == full.astype(np.float16).tolist()


def test_vector_too_large_for_float16_is_refused_with_the_remedy(
    collection, encoder, tmp_path, monkeypatch
):
    """Its largest number is 65,504; the precision of the model is not to blame."""
    vectors = np.full((BLOCK, 32), 70_000, dtype=np.float32)
    monkeypatch.setattr(encoder, "encode_tokens", lambda rows, **options: vectors)

    with pytest.raises(ValueError, match=r"document d0 .*--vector-type float32"):
        encode_collection(
            collection, encoder, tmp_path / "vectors", block_size=BLOCK, vector_type="float16"
        )


@pytest.mark.parametrize(("shard_id", "shard_num"), [(3, 3), (-1, 3), (0, 0)])
def test_share_that_does_not_exist_is_refused(shard_id, shard_num):
    """Ids count from 0."""
    with pytest.raises(ValueError, match=f"for {shard_num} shards, found {shard_id}"):
        Shard(shard_id, shard_num)


def test_each_block_belongs_to_one_share():
    """Every third to each of three."""
    owners = [[id_ for id_ in range(3) if Shard(id_, 3).has(block)] for block in range(7)]

    assert owners == [[0], [1], [2], [0], [1], [2], [0]]

"""What holds for opening a dense index: ours, stock Pyserini's, or a damaged one."""

import logging
import re
import shutil

import faiss
import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.index.dense import build_dense_index
from ance_plugin.index.stored import open_index, summarise_metadata

FACTORIES = ["Flat", "HNSW32", "IVF16,Flat", "SQfp16", "SQ8", "PQ8np"]


@pytest.fixture(scope="module")
def built(tmp_path_factory, vectors):
    """An index of 400 documents as ours stand."""
    path = tmp_path_factory.mktemp("built") / "index"
    build_dense_index(vectors, path, threads=1)
    return path


@pytest.fixture
def ours(built, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(built, tmp_path / "ours")


@pytest.fixture
def stock(ours):
    """The same as Pyserini leaves it: without metadata."""
    (ours / "metadata.json").unlink()
    return ours


@pytest.fixture
def identity(vectors):
    """What the encoder that made the vectors says of itself."""
    encoder = vectors.metadata["encoder"]
    return {name: encoder[name] for name in encoder.keys() - {"name", "overrides"}}


def truncate(file, size):
    file.write_bytes(file.read_bytes()[:size])


class TestOpening:
    def test_index_has_its_vectors_docids_and_metadata(self, built, rows):
        """Row by row."""
        stored = open_index(built)

        assert stored.docids == [f"d{number}" for number in range(400)]
        np.testing.assert_array_equal(stored.faiss_index.reconstruct_n(0, 400), rows)
        assert stored.metadata["encoder"]["name"] == "tiny"

    def test_stock_folder_opens_without_metadata(self, stock):
        """``index`` and ``docid`` are all that Pyserini writes."""
        stored = open_index(stock)

        assert (stored.metadata, len(stored.docids)) == ({}, 400)

    @pytest.mark.parametrize("text", ["\r\n", "\n"])
    @pytest.mark.parametrize("has_last_end", [True, False])
    def test_docids_of_any_line_ends_are_read(self, stock, text, has_last_end):
        """Other tools wrote them."""
        lines = text.join(f"d{number}" for number in range(400)) + text * has_last_end
        (stock / "docid").write_bytes(lines.encode())

        assert open_index(stock).docids == [f"d{number}" for number in range(400)]


class TestDamage:
    def test_missing_folder_is_a_missing_file(self, tmp_path):
        """As everywhere in Python."""
        with pytest.raises(FileNotFoundError, match="no such directory"):
            open_index(tmp_path / "none")

    def test_folder_that_is_no_index_is_refused(self, tmp_path):
        """The message says what was wanted."""
        with pytest.raises(ArtifactError, match="it is not a dense-index made by ance-plugin"):
            open_index(tmp_path)

    @pytest.mark.parametrize("kind", ["bm25-index", "vectors"])
    def test_artifact_of_another_kind_is_refused(self, tmp_path, kind):
        """A common slip: ``--index`` and ``--sparse-index`` exchanged."""
        artifacts.seal(tmp_path, kind, {})

        with pytest.raises(ArtifactError, match=f"is a {kind}, expected a dense-index"):
            open_index(tmp_path)

    @pytest.mark.parametrize("name", ["index", "docid"])
    def test_truncated_file_of_ours_is_refused(self, ours, name):
        """Its size is recorded."""
        truncate(ours / name, 100)

        with pytest.raises(ArtifactError, match=f"{name}: has 100 bytes, expected .* make the"):
            open_index(ours)

    @pytest.mark.parametrize("name", ["index", "docid"])
    def test_missing_file_of_ours_is_refused(self, ours, name):
        """Half a copy is no index."""
        (ours / name).unlink()

        with pytest.raises(ArtifactError, match=f"{name}: is missing"):
            open_index(ours)

    def test_missing_docids_of_a_stock_folder_are_refused(self, stock):
        """Vectors without names are of no use."""
        (stock / "docid").unlink()

        with pytest.raises(ArtifactError, match="docid: is missing; expected a dense index folder"):
            open_index(stock)

    @pytest.mark.parametrize("factory", FACTORIES)
    @pytest.mark.parametrize("kept", [0, 4, 0.5, 0.999])
    def test_truncated_stock_index_is_refused(self, stock, vectors, tmp_path, factory, kept):
        """Mapped into memory, its missing end would be a crash."""
        build_dense_index(vectors, tmp_path / "whole", factory=factory, threads=1)
        data = (tmp_path / "whole" / "index").read_bytes()
        (stock / "index").write_bytes(data[: kept if kept > 1 else int(kept * len(data))])

        with pytest.raises(ArtifactError, match="index: FAISS cannot read it") as caught:
            open_index(stock)
        assert "\n" not in str(caught.value)

    def test_file_that_is_no_index_is_refused(self, ours):
        """Same size, other content."""
        size = (ours / "index").stat().st_size
        (ours / "index").write_bytes(b"\0" * size)

        with pytest.raises(ArtifactError, match="index: FAISS cannot read it"):
            open_index(ours)

    @pytest.mark.parametrize("num_docids", [0, 399, 401])
    def test_other_number_of_docids_is_refused(self, stock, num_docids):
        """Each hit would have another document's name."""
        lines = "".join(f"d{number}\n" for number in range(num_docids))
        (stock / "docid").write_text(lines, encoding="utf-8")

        expected = f"has 400 vectors but {num_docids} docids; index it again"
        with pytest.raises(ArtifactError, match=expected):
            open_index(stock)


class TestEncoder:
    def test_encoder_that_made_the_vectors_is_taken(self, built, identity):
        """Whatever it is called."""
        open_index(built).require_encoder(identity, 16)

    def test_encoder_of_another_dimension_is_refused(self, built, identity):
        """With both, and the remedy."""
        expected = (
            f"{built}: the index has 16 dimensions but the encoder produces 24; encode the "
            "collection with the same checkpoint"
        )
        with pytest.raises(MismatchError, match=re.escape(expected)):
            open_index(built).require_encoder(identity, 24)

    @pytest.mark.parametrize(
        ("name", "there", "here"),
        [
            ("weights_sha256", "'f00d'", "'0bad'"),
            ("pooling", "'cls'", "'mean'"),
            ("max_query_tokens", "64", "32"),
        ],
    )
    def test_setting_that_differs_is_named(self, built, identity, name, there, here):
        """With what it is there and here, and the encoder to use."""
        value = int(here) if here.isdigit() else here.strip("'")
        expected = (
            f"{built} was made by another encoder: {name} is {there} there but {here} here; "
            "search it with tiny as it was encoded"
        )

        with pytest.raises(MismatchError, match=re.escape(expected)):
            open_index(built).require_encoder({**identity, name: value}, 16)

    def test_stock_index_takes_any_encoder_with_a_warning(self, stock, identity, caplog):
        """It does not say what made it."""
        with caplog.at_level(logging.WARNING):
            open_index(stock).require_encoder(identity, 16)

        assert "does not say which encoder made it; taking yours" in caplog.text

    def test_encoder_without_identity_is_taken_with_a_warning(self, built, caplog):
        """Such as one of Pyserini's; whoever reads the log knows which side was silent."""
        with caplog.at_level(logging.WARNING):
            open_index(built).require_encoder(None, 16)

        (record,) = caplog.records
        assert "the queries do not say which encoder made them" in record.getMessage()

    def test_stock_index_of_another_dimension_is_refused(self, stock, identity):
        """That much is known of it."""
        with pytest.raises(MismatchError, match="16 dimensions but the encoder produces 24"):
            open_index(stock).require_encoder(identity, 24)


def test_summary_is_what_a_runs_manifest_says(built):
    """Enough to find the index again."""
    summary = summarise_metadata(built)

    assert summary["path"] == str(built)
    assert summary["metadata_sha256"] == artifacts.sha256_file(built / "metadata.json")
    assert (summary["kind"], summary["factory"]) == ("dense-index", "Flat")
    assert summary["collection"]["name"] == "corpus.jsonl"
    assert "encoder" not in summary


def test_summary_of_a_stock_index_is_its_path(stock):
    """Nothing else is known."""
    assert summarise_metadata(stock) == {"path": str(stock)}


def test_index_of_pyserinis_own_making_is_by_inner_product_too(tmp_path):
    """Its folder as ``pyserini.encode --to-faiss`` writes it."""
    index = faiss.IndexFlatIP(2)
    index.add(np.eye(2, dtype=np.float32))
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("a\nb\n", encoding="utf-8")

    assert open_index(tmp_path).docids == ["a", "b"]

"""An export is loaded by the library it is for, gives the same vectors, and comes back the same.

Pyserini's own classes are held in tests/reference/test_ance_layouts.py.
"""

import json

import numpy as np
import pytest
import torch

from ance_plugin.encode.__main__ import main
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.export import export_checkpoint
from ance_plugin.errors import ArtifactError
from ance_plugin.records import Document

TOLERANCE = 1e-6


def encode(folder, texts, titles):
    """Encode queries and documents in fp32; the settings are the folder's own."""
    encoder = Encoder.load(str(folder), device="cpu", precision="fp32")
    pairs = zip(titles, texts, strict=True)
    documents = [Document(str(row), text, title) for row, (title, text) in enumerate(pairs)]
    return encoder.encode_queries(texts), encoder.encode_documents(documents)


@pytest.mark.parametrize("layout", ["pyserini", "sentence-transformers", "ance"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"is_lowercased": False, "max_query_tokens": 16, "template": "{text} {title}"}],
    ids=["ance's", "others"],
)
def test_a_round_trip_keeps_vectors_and_identity(
    make_ance, tmp_path, texts, titles, layout, settings
):
    """Settings that the other layout has no place for come back too."""
    checkpoint = load_checkpoint(str(make_ance()), **settings)
    export_checkpoint(checkpoint, "ance", tmp_path / "first")

    export_checkpoint(load_checkpoint(str(tmp_path / "first")), layout, tmp_path / "out")

    again = load_checkpoint(str(tmp_path / "out"))
    assert again.identify() == checkpoint.identify()
    expected = encode(tmp_path / "first", texts, titles)
    for found, vectors in zip(encode(tmp_path / "out", texts, titles), expected, strict=True):
        np.testing.assert_allclose(found, vectors, rtol=0, atol=TOLERANCE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_normalized", [False, True])
def test_sentence_transformers_loads_its_export(make_ance, tmp_path, texts, is_normalized):
    """Body, pooling, head and normalisation work there, lower-casing included."""
    from sentence_transformers import SentenceTransformer

    checkpoint = load_checkpoint(str(make_ance()), is_normalized=is_normalized)
    export_checkpoint(checkpoint, "sentence-transformers", tmp_path / "out")
    reference = SentenceTransformer(str(tmp_path / "out"), device="cpu")

    expected = reference.encode(texts, convert_to_numpy=True)

    _, documents = encode(tmp_path / "out", texts, [""] * len(texts))
    np.testing.assert_allclose(documents, expected, rtol=0, atol=1e-5)
    names = [type(module).__name__ for module in reference]
    middle = ["Transformer", "Pooling", "Dense", "LayerNorm"]
    assert names == middle + ["Normalize"] * is_normalized


@pytest.mark.filterwarnings("ignore")
def test_a_body_of_another_kind_goes_to_sentence_transformers(tiny_checkpoint, tmp_path):
    """A mean-pooled BERT without a head needs two modules."""
    from sentence_transformers import SentenceTransformer

    texts = ["the cat eats", "red dog", "a"]
    export_checkpoint(
        load_checkpoint(str(tiny_checkpoint)), "sentence-transformers", tmp_path / "out"
    )

    expected = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts)

    found, _ = encode(tmp_path / "out", texts, [""] * len(texts))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_context_encoder_stays_one(make_ance, tmp_path):
    """Our layout keeps the side of a tower; a context encoder has no place elsewhere."""
    checkpoint = load_checkpoint(str(make_ance()))
    object.__setattr__(checkpoint, "tower", "document")

    with pytest.raises(ValueError, match="no module for pairs of title and text"):
        export_checkpoint(checkpoint, "sentence-transformers", tmp_path / "out")
    export_checkpoint(checkpoint, "ance", tmp_path / "out")
    assert load_checkpoint(str(tmp_path / "out")).tower == "document"


def test_pyserini_takes_only_what_its_class_can_hold(tiny_checkpoint, make_ance, tmp_path):
    """The refusal says what does not fit and what to do instead."""
    with pytest.raises(
        ValueError, match="a bert body and no ANCE head and 32 dimensions, not 768 "
    ):
        export_checkpoint(load_checkpoint(str(tiny_checkpoint)), "pyserini", tmp_path / "out")
    narrow = load_checkpoint(str(make_ance(dimension=48)), is_normalized=True)
    with pytest.raises(ValueError, match=r"48 dimensions, not 768 and normalised vectors; export"):
        export_checkpoint(narrow, "pyserini", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_command_exports(make_ance, tmp_path):
    """``export`` is a sub-word; the folder is made once, and again only if told to."""
    words = ["export", "--encoder", str(make_ance()), "--output", str(tmp_path / "out")]

    assert main([*words, "--to", "pyserini", "--recipe", "ance-msmarco-doc-maxp"]) == 0
    assert main([*words, "--to", "ance"]) == 1
    assert main([*words, "--to", "ance", "--overwrite"]) == 0

    settings = load_checkpoint(str(tmp_path / "out")).settings
    assert settings.replacements == ()


def test_a_recipe_is_exported_with_the_checkpoint(make_ance, tmp_path):
    """The settings in force are the ones written."""
    checkpoint = load_checkpoint(str(make_ance()), recipe="ance-msmarco-doc-maxp")
    export_checkpoint(checkpoint, "pyserini", tmp_path / "out")

    config = json.loads((tmp_path / "out" / "config.json").read_text())
    weights = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)

    assert config["ance_plugin"]["replacements"] == [["document", "\n", " <sep> "]]
    assert config["architectures"] == ["AnceEncoder"]
    assert {key.partition(".")[0] for key in weights} == {"roberta", "embeddingHead", "norm"}


def test_wrong_usage_of_the_command(tmp_path, capsys):
    """An unknown layout is wrong usage; an unknown encoder a failed job."""
    words = ["export", "--encoder", str(tmp_path / "none"), "--output", str(tmp_path / "out")]

    assert main([*words, "--to", "ance"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert main([*words, "--to", "onnx"]) == 2


def test_an_unknown_layout_or_an_output_that_exists_is_refused(make_ance, tmp_path):
    """The function says the same as the command."""
    checkpoint = load_checkpoint(str(make_ance()))

    with pytest.raises(
        ValueError, match="to one of pyserini, sentence-transformers, ance, found 'o"
    ):
        export_checkpoint(checkpoint, "onnx", tmp_path / "out")
    with pytest.raises(ArtifactError, match="exists already"):
        export_checkpoint(checkpoint, "ance", tmp_path)

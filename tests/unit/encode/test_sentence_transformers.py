"""What holds for folders that sentence-transformers wrote: the same vectors, or a refusal."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.errors import FormatError
from ance_plugin.records import Document

TEXTS = ["the cat", "A Dog sees the CAT", "", "  spaced  out ", "the cat sees a dog " * 30]


@pytest.fixture(scope="session")
def library():
    """The library and its modules."""
    import sentence_transformers
    from sentence_transformers.sentence_transformer import modules

    return sentence_transformers.SentenceTransformer, modules


@pytest.fixture
def write(library, tmp_path):
    """Return a function that makes a model, writes its folder, and gives both."""
    sentence_transformer, modules = library

    def make(body, pooling="mean", rest=(), **options):
        with torch.random.fork_rng():
            torch.manual_seed(4)
            transformer = modules.Transformer(str(body), max_seq_length=32)
            parts = [transformer, modules.Pooling(32, pooling), *(part(modules) for part in rest)]
        model = sentence_transformer(modules=parts, device="cpu", **options)
        folder = tmp_path / "model"
        model.save(str(folder), create_model_card=False)
        return model, folder

    return make


def normalize(modules):
    return modules.Normalize()


def dense(modules, activation=torch.nn.Identity, **options):
    return modules.Dense(32, 24, activation_function=activation(), **options)


def layer_norm(modules):
    layer = modules.LayerNorm(24)
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    return layer


def encoder_of(folder, **overrides):
    return Encoder.load(str(folder), overrides=overrides, device="cpu", precision="fp32")


def edit(path, **changes):
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("pooling", "rest"),
    [
        ("mean", ()),
        ("cls", ()),
        ("mean", (normalize,)),
        ("cls", (dense, layer_norm)),
        ("mean", (dense, layer_norm, normalize)),
    ],
    ids=["mean", "cls", "mean-normalize", "cls-head", "mean-head-normalize"],
)
def test_vectors_are_sentence_transformers_own(write, plain_folder, pooling, rest):
    """Queries and documents, short, long, cut and empty."""
    model, folder = write(plain_folder, pooling, rest)
    expected = model.encode(TEXTS)
    encoder = encoder_of(folder)

    assert encoder.dimension == expected.shape[1]
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected, atol=1e-5, rtol=0)
    stripped = [Document(str(number), text) for number, text in enumerate(TEXTS)]
    expected = model.encode([text.strip() for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_documents(stripped), expected, atol=1e-5, rtol=0)


def test_settings_are_read_from_the_modules(write, bert_folder):
    """Pooling, normalisation, and one length for queries and documents."""
    _, folder = write(bert_folder, "cls", (normalize,))

    assert load_checkpoint(str(folder)).settings == EncoderSettings(
        "cls", is_normalized=True, max_query_tokens=32, max_document_tokens=32
    )


def test_older_files_are_read(write, bert_folder):
    """Length and lower-casing in sentence_bert_config.json, one flag for each kind of pooling."""
    _, folder = write(bert_folder)
    config = folder / "sentence_bert_config.json"
    config.write_text('{"max_seq_length": 20, "do_lower_case": true}', encoding="utf-8")
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    old = json.dumps({"word_embedding_dimension": 32, **flags, "pooling_mode_max_tokens": False})
    (folder / "1_Pooling" / "config.json").write_text(old, encoding="utf-8")

    assert load_checkpoint(str(folder)).settings == EncoderSettings(
        "cls", max_query_tokens=20, max_document_tokens=20, is_lowercased=True
    )


def test_lowercasing_is_done_before_a_cased_tokenizer(write, roberta_folder, library):
    """``do_lower_case`` of the folder."""
    _, folder = write(roberta_folder)
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = library[0](str(folder), device="cpu")
    encoder = encoder_of(folder)

    assert encoder.settings.is_lowercased
    expected = encoder.encode_queries([text.lower() for text in TEXTS])
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS), expected)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_lengths_of_queries_and_documents_may_differ(write, bert_folder):
    """As sentence-transformers 6 writes them."""
    _, folder = write(bert_folder)
    edit(folder / "sentence_bert_config.json", query_length=8, document_length=16)
    settings = load_checkpoint(str(folder)).settings

    assert (settings.max_query_tokens, settings.max_document_tokens) == (8, 16)


def test_lengths_may_be_overridden(write, bert_folder):
    """As sentence-transformers' ``max_seq_length`` may."""
    model, folder = write(bert_folder)
    model.max_seq_length = 8

    found = encoder_of(folder, max_query_tokens=8).encode_queries(TEXTS)
    np.testing.assert_allclose(found, model.encode(TEXTS), atol=1e-5, rtol=0)


def test_pickled_head_is_read_as_plain_tensors(write, bert_folder):
    """Older folders have pytorch_model.bin in each module."""
    from safetensors.torch import load_file

    model, folder = write(bert_folder, "cls", (dense, layer_norm))
    for file in folder.rglob("model.safetensors"):
        torch.save(load_file(file), file.with_name("pytorch_model.bin"))
        file.unlink()

    found = encoder_of(folder).encode_queries(TEXTS)
    np.testing.assert_allclose(found, model.encode(TEXTS), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "rest",
    [(dense,), (layer_norm,), (dense, normalize), (dense, dense, layer_norm)],
    ids=["dense", "layer norm", "dense normalize", "dense twice"],
)
def test_modules_that_are_no_ance_head_are_refused(bert_folder, write, rest):
    """The message lists what was found."""
    _, folder = write(bert_folder)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    names = {dense: "Dense", layer_norm: "LayerNorm", normalize: "Normalize"}
    for part in rest:
        modules.append({"path": "", "type": f"sentence_transformers.models.{names[part]}"})
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")

    found = ", ".join(["Transformer", "Pooling", *(names[part] for part in rest)])
    with pytest.raises(FormatError, match=f"modules.json: expected .*; found {found}$"):
        load_checkpoint(str(folder))
    (folder / "modules.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError, match=r"modules.json: expected .*; found none$"):
        load_checkpoint(str(folder))


def test_normalisation_before_the_head_is_not_moved_behind_it(write, bert_folder):
    """Other vectors would come out; it is refused, or done where it stands."""
    model, folder = write(bert_folder, "cls", (normalize, dense, layer_norm))
    try:
        encoder = encoder_of(folder)
    except FormatError:
        return

    np.testing.assert_allclose(encoder.encode_queries(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_prompt_that_the_folder_puts_first_is_not_dropped(write, bert_folder):
    """``default_prompt_name``: it is refused, or put before each text."""
    options = {"prompts": {"search": "the dog sees "}, "default_prompt_name": "search"}
    model, folder = write(bert_folder, **options)
    try:
        encoder = encoder_of(folder)
    except FormatError:
        return

    np.testing.assert_allclose(encoder.encode_queries(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_head_with_an_activation_is_refused(write, bert_folder):
    """ANCE's has none; sentence-transformers' default is tanh."""
    rest = (lambda modules: dense(modules, torch.nn.Tanh), layer_norm)
    _, folder = write(bert_folder, "cls", rest)

    with pytest.raises(FormatError, match=r"expected no activation function, found .*Tanh"):
        load_checkpoint(str(folder))


def test_head_without_bias_is_refused(write, bert_folder):
    """It would be random otherwise."""
    rest = (lambda modules: dense(modules, bias=False), layer_norm)
    _, folder = write(bert_folder, "cls", rest)

    with pytest.raises(FormatError, match="expected bias True, found False"):
        load_checkpoint(str(folder))


def test_head_with_a_residual_connection_is_refused(write, bert_folder):
    """ANCE's has none, and the connection has weights of its own."""
    rest = (lambda modules: dense(modules, use_residual=True), layer_norm)
    _, folder = write(bert_folder, "cls", rest)

    with pytest.raises(FormatError, match="residual"):
        load_checkpoint(str(folder))


def test_head_without_weights_is_refused(write, bert_folder):
    """A file of other weights is none."""
    from safetensors.torch import save_file

    _, folder = write(bert_folder, "cls", (dense, layer_norm))
    [head] = [file for file in folder.rglob("model.safetensors") if "Dense" in file.parent.name]
    save_file({"other": torch.ones(1)}, head)

    with pytest.raises(FormatError, match=r"expected a matrix linear\.weight"):
        load_checkpoint(str(folder))


@pytest.mark.parametrize("pooling", ["max", "lasttoken", "weightedmean"])
def test_other_pooling_is_refused(write, bert_folder, pooling):
    """The message has its name."""
    _, folder = write(bert_folder, pooling)

    with pytest.raises(ValueError, match=pooling):
        load_checkpoint(str(folder))


def test_folder_without_its_pooling_is_refused(write, bert_folder):
    """A copy without subfolders, as some tools make."""
    _, folder = write(bert_folder)
    shutil.rmtree(folder / "1_Pooling")

    with pytest.raises(FormatError, match=r"expected cls or mean pooling, found none"):
        load_checkpoint(str(folder))


@pytest.mark.parametrize("content", ["", "{}", "[{}]", "[]", '[{"type": "x"}]'])
def test_damaged_list_of_modules_is_an_error_of_ours(write, bert_folder, content):
    """Not a traceback."""
    _, folder = write(bert_folder)
    Path(folder, "modules.json").write_text(content, encoding="utf-8")

    with pytest.raises(FormatError):
        load_checkpoint(str(folder))

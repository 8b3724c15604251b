"""What a checkpoint is refused for, in the words a user reads; and nothing of it runs."""

import json
import pickle

import pytest
import torch

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.errors import FormatError


def drop(*names):
    return lambda weights: {k: v for k, v in weights.items() if not k.startswith(names)}


def test_a_missing_head_is_named(make_ance):
    """A folder that says it is ANCE and has no head is no plain body."""
    folder = make_ance(change=drop("embeddingHead.", "norm."))

    with pytest.raises(FormatError) as caught:
        load_checkpoint(str(folder))

    assert str(caught.value).startswith(
        f"{folder}: is an ANCE checkpoint without embeddingHead.weight, embeddingHead.bias, "
        "norm.weight, norm.bias; it has roberta.embeddings."
    )


def test_half_a_head_is_named(make_ance):
    """The keys that are missing are listed, whatever the configuration says."""
    folder = make_ance(change=drop("norm.bias"), config_change={"architectures": None})

    with pytest.raises(FormatError, match=r"without norm\.bias; it has embeddingHead\.bias, "):
        load_checkpoint(str(folder))


@pytest.mark.parametrize(("shape", "found"), [((768, 33), r"\(768, 33\)"), ((24,), r"\(24,\)")])
def test_a_misshapen_head_is_named(make_ance, shape, found):
    """The head must take the body's width; the shape that was found stands in the message."""

    def change(weights):
        return {**weights, "embeddingHead.weight": torch.zeros(shape)}

    with pytest.raises(FormatError, match=f"embeddingHead.weight has shape {found}, expected"):
        load_checkpoint(str(make_ance(change=change)))


def test_a_missing_body_weight_is_named(make_ance):
    """No weight of the body stays as it was made at random."""
    folder = make_ance(change=drop("roberta.encoder.layer.1.attention.self.key.bias"))

    message = (
        r"1 weights are missing: roberta\.encoder\.layer\.1\.attention\.self\.key\.bias; it has"
    )
    with pytest.raises(FormatError, match=message):
        load_checkpoint(str(folder))


@pytest.mark.parametrize("key", ["projection.weight", "roberta.adapter.weight", "head.weight"])
def test_an_unexpected_weight_is_named(make_ance, key):
    """A key that could belong to the encoder is not dropped in silence."""
    folder = make_ance(change=lambda weights: {**weights, key: torch.zeros(1)})

    with pytest.raises(FormatError, match=f"1 weights have no place in this .* encoder: {key}"):
        load_checkpoint(str(folder))


def test_keys_that_no_vector_comes_from_are_passed_over(make_ance):
    """Poolers, buffers, and heads of other tasks are left where they are."""
    unused = ("roberta.pooler.dense.bias", "roberta.embeddings.position_ids", "lm_head.bias")
    folder = make_ance(change=lambda w: {**w, **dict.fromkeys(unused, torch.zeros(1))})

    assert load_checkpoint(str(folder)).model.dimension == 768


def test_the_same_key_with_and_without_a_wrapper_is_refused(make_ance):
    """Which of two weights is meant cannot be known."""
    folder = make_ance(change=lambda w: {**w, "module.norm.bias": torch.zeros(768)})

    with pytest.raises(FormatError, match=r"has norm\.bias twice, once as module\.norm\.bias"):
        load_checkpoint(str(folder))


def test_a_body_without_a_name_or_roberta_weights_is_refused(make_ance):
    """A configuration of transformers 2 is taken for RoBERTa's only if the weights are."""

    def rename(weights):
        return {key.replace("roberta.", "bert."): value for key, value in weights.items()}

    folder = make_ance(change=rename, config_change={"model_type": None})

    with pytest.raises(FormatError, match=r"names no model_type, and the weights have no roberta"):
        load_checkpoint(str(folder))


def test_a_training_state_is_refused(make_ance):
    """A file of something beside tensors is told apart by what it holds."""
    folder = make_ance(change=lambda weights: {"model": weights, "step": 3})

    with pytest.raises(FormatError, match=r"found a dictionary with model, step"):
        load_checkpoint(str(folder))


def test_a_body_alone_needs_a_pooling(make_ance):
    """Without ANCE's class and head it is a plain body, which does not say how to pool."""
    folder = make_ance(
        change=drop("embeddingHead.", "norm."), config_change={"architectures": None}
    )

    with pytest.raises(FormatError, match="does not say how to pool; give --pooling cls"):
        load_checkpoint(str(folder))
    assert load_checkpoint(str(folder), pooling="mean").model.dimension == 32


def test_an_empty_folder_is_told_what_is_expected(tmp_path):
    """Every layout's telling file is named."""
    with pytest.raises(FormatError, match=r"expected modules\.json .* metadata\.json .* config\."):
        load_checkpoint(str(tmp_path))


def test_dpr_without_a_tower_is_refused(tmp_path):
    """A DPR reader, or a body alone, is no encoder."""
    (tmp_path / "config.json").write_text('{"model_type": "dpr"}')
    torch.save({"span_predictor.qa_outputs.bias": torch.zeros(2)}, tmp_path / "pytorch_model.bin")

    with pytest.raises(FormatError, match=r"expected weights named question_encoder\.bert_model\."):
        load_checkpoint(str(tmp_path))


def test_settings_of_an_export_are_checked(make_ance):
    """What stands under our key in a configuration must be settings."""
    folder = make_ance(config_change={"ance_plugin": {"pooling": "max"}})

    with pytest.raises(FormatError, match=r"ance_plugin holds no settings .*pooling must"):
        load_checkpoint(str(folder))


class WritesAFile:
    """Pickles to a call that makes a file when it is loaded."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_runs_code_is_refused_and_does_not_run(make_ance, tmp_path, is_zip):
    """A malicious ``pytorch_model.bin`` raises, and what it would have written is not there."""
    folder, target = make_ance(), tmp_path / "written"
    content = {"roberta.x": torch.zeros(1), "bad": WritesAFile(target)}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)

    with pytest.raises(FormatError, match="its weights cannot be read safely"):
        load_checkpoint(str(folder))

    assert not target.exists()


def test_a_plain_pickle_is_refused_and_does_not_run(make_ance, tmp_path):
    """So is a pickle that was not made by PyTorch; loaded unsafely it would write the file."""
    folder, target = make_ance(), tmp_path / "written"
    payload = pickle.dumps(WritesAFile(target), protocol=2)  # the one torch.save writes
    (folder / "pytorch_model.bin").write_bytes(payload)

    with pytest.raises(FormatError, match="its weights cannot be read safely"):
        load_checkpoint(str(folder))

    assert not target.exists()
    pickle.loads(payload).close()  # noqa: S301 - shows that it is armed
    assert target.exists()


def test_code_that_a_checkpoint_brings_is_not_run(make_ance, tmp_path):
    """A configuration that names classes of its own is refused before they are imported."""
    target = tmp_path / "written"
    auto_map = {"AutoConfig": "bad.Config", "AutoModel": "bad.Model"}
    folder = make_ance(config_change={"model_type": "unheard", "auto_map": auto_map})
    (folder / "bad.py").write_text(f"open({json.dumps(str(target))}, 'w')\n")

    with pytest.raises(FormatError, match="transformers cannot make this model"):
        load_checkpoint(str(folder))

    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", b"{", "its tokenizer cannot be loaded .Error while initializing BPE"),
        ("merges.txt", b"\xff\xfe", "its tokenizer cannot be loaded .*valid UTF-8"),
    ],
)
def test_a_damaged_tokenizer_is_refused(make_ance, name, content, message):
    """The library raises a bare Exception, which would be a traceback."""
    folder = make_ance()
    (folder / name).write_bytes(content)

    with pytest.raises(FormatError, match=message):
        load_checkpoint(str(folder))


def test_a_setting_of_the_wrong_type_is_refused(make_ance):
    """Field, type and value stand in one line."""
    folder = make_ance(config_change={"hidden_size": "x"})

    with pytest.raises(FormatError, match=r"'hidden_size' expected int, got str \(value: 'x'\)"):
        load_checkpoint(str(folder))


def test_a_roberta_without_its_padding_is_refused(make_ance):
    """Its positions are counted from the id of the padding."""
    folder = make_ance()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))

    with pytest.raises(FormatError, match=r"config\.json has no pad_token_id"):
        load_checkpoint(str(folder))


def test_a_tokenizer_of_another_model_is_refused(make_ance):
    """A token that the weights do not have is named before it is looked up."""
    words = "roberta.embeddings.word_embeddings.weight"
    folder = make_ance(
        change=lambda weights: {**weights, words: weights[words][:50]},
        config_change={"vocab_size": 50},
    )
    encoder = Encoder.load(str(folder), device="cpu")

    with pytest.raises(ValueError, match=r"gives token \d+, but its weights have 50 tokens; the t"):
        encoder.encode("the cat sees a dog")


def test_damaged_weights_are_refused(make_ance):
    """Whatever PyTorch's reader stumbles over, the error is ours and names the folder."""
    import numpy as np

    folder = make_ance()
    file = folder / "pytorch_model.bin"
    intact = file.read_bytes()
    generator = np.random.default_rng(2)

    for number in range(24):
        content = bytearray(intact[: len(intact) // 2] if number % 3 == 0 else intact)
        for place in generator.integers(0, 3000, size=20):
            content[place] = generator.integers(256)
        file.write_bytes(content if number % 3 < 2 else generator.bytes(100))
        with pytest.raises(FormatError, match="its weights cannot be read safely"):
            load_checkpoint(str(folder))

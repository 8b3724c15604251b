"""What holds for checkpoints of ours and for plain transformers bodies."""

import dataclasses
import json
import shutil

import pytest
import torch

from ance_plugin import artifacts
from ance_plugin.encode.checkpoint import (
    Checkpoint,
    hash_weights,
    load_checkpoint,
    save_checkpoint,
)
from ance_plugin.encode.model import AnceHead, EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.errors import ArtifactError, FormatError

SHORT = {"max_query_tokens": 16, "max_document_tokens": 32}


def with_head(checkpoint):
    """Put a head of random weights on a checkpoint's body."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = AnceHead(32, 24)
        torch.nn.init.normal_(head.norm.weight)
    model = EncoderModel(checkpoint.model.body, "cls", head=head)
    return dataclasses.replace(checkpoint, model=model)


@pytest.fixture
def checkpoint(plain_folder):
    """Checkpoints of both bodies, with a head."""
    return with_head(load_checkpoint(str(plain_folder), pooling="cls", **SHORT))


@pytest.fixture
def edit_json():
    """Return a function that changes fields of a JSON file."""

    def edit(path, **changes):
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return edit


class TestRoundTrip:
    def test_weights_come_back_bit_for_bit(self, checkpoint, tmp_path):
        """Every one, the head's too."""
        save_checkpoint(checkpoint, tmp_path / "saved")
        loaded = load_checkpoint(str(tmp_path / "saved"))

        expected, found = checkpoint.model.state_dict(), loaded.model.state_dict()
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert {"body", "head"} == {name.partition(".")[0] for name in found}

    def test_identity_comes_back(self, checkpoint, tmp_path):
        """Weights, tokenizer, dimension and settings."""
        settings = EncoderSettings("cls", is_normalized=True, is_lowercased=True, **SHORT)
        save_checkpoint(dataclasses.replace(checkpoint, settings=settings), tmp_path / "saved")
        loaded = load_checkpoint(str(tmp_path / "saved"))

        assert loaded.settings == settings
        assert loaded.model.is_normalized
        assert loaded.identify() == {
            **checkpoint.identify(),
            "is_normalized": True,
            "is_lowercased": True,
        }
        assert loaded.identify()["dimension"] == 24

    def test_vectors_come_back(self, checkpoint, tmp_path):
        """The loaded model is in evaluation mode: dropout is off."""
        save_checkpoint(checkpoint, tmp_path / "saved")
        loaded = load_checkpoint(str(tmp_path / "saved"))
        ids = torch.tensor([checkpoint.tokenizer("the cat sees a dog")["input_ids"]])
        mask = torch.ones_like(ids)

        with torch.inference_mode():
            assert torch.equal(loaded.model(ids, mask), checkpoint.model.eval()(ids, mask))

    def test_body_without_head_comes_back_without(self, plain_folder, tmp_path):
        """Mean pooling of the body alone."""
        checkpoint = load_checkpoint(str(plain_folder), pooling="mean", **SHORT)
        save_checkpoint(checkpoint, tmp_path / "saved")
        loaded = load_checkpoint(str(tmp_path / "saved"))

        assert loaded.model.head is None
        assert loaded.identify() == checkpoint.identify()

    def test_file_holds_no_pickle(self, checkpoint, tmp_path):
        """Safetensors, JSON and the tokenizer's text."""
        save_checkpoint(checkpoint, tmp_path / "saved")

        names = sorted(file.name for file in (tmp_path / "saved").iterdir())
        assert names == [
            "config.json",
            "metadata.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        artifacts.verify(tmp_path / "saved", "checkpoint")

    def test_checkpoint_that_exists_is_not_overwritten_unasked(self, checkpoint, tmp_path):
        """Training for a day ends elsewhere."""
        save_checkpoint(checkpoint, tmp_path / "saved")

        with pytest.raises(ArtifactError, match="exists already"):
            save_checkpoint(checkpoint, tmp_path / "saved")
        save_checkpoint(checkpoint, tmp_path / "saved", overwrite=True)


class TestOverrides:
    def test_settings_given_replace_the_checkpoints_own(self, tiny_checkpoint):
        """They are remembered as such."""
        overrides = {"pooling": "cls", "is_normalized": True, "template": "{text}"}
        loaded = load_checkpoint(str(tiny_checkpoint), **overrides)

        assert loaded.overrides == overrides
        assert loaded.settings == EncoderSettings(
            "cls",
            is_normalized=True,
            template="{text}",
            max_query_tokens=16,
            max_document_tokens=32,
        )
        assert (loaded.model.pooling, loaded.model.is_normalized) == ("cls", True)

    def test_checkpoint_alone_has_no_overrides(self, tiny_checkpoint):
        """The recipe is the checkpoint's."""
        assert load_checkpoint(str(tiny_checkpoint)).overrides == {}

    @pytest.mark.parametrize(("folder", "limit"), [("bert", 64), ("roberta", 62), ("mpnet", 62)])
    @pytest.mark.parametrize("name", ["max_query_tokens", "max_document_tokens"])
    def test_length_beyond_the_positions_is_refused(self, request, folder, limit, name):
        """RoBERTa's and MPNet's positions start after the padding index."""
        path = request.getfixturevalue(f"{folder}_folder")
        lengths = {**SHORT, "pooling": "cls"}

        assert load_checkpoint(str(path), **{**lengths, name: limit})
        expected = f"{name} is {limit + 1}, but {path} has {limit} positions"
        with pytest.raises(ValueError, match=expected):
            load_checkpoint(str(path), **{**lengths, name: limit + 1})

    @pytest.mark.parametrize(("folder", "limit"), [("bert", 64), ("roberta", 62), ("mpnet", 62)])
    def test_longest_text_that_is_allowed_can_be_encoded(self, request, folder, limit):
        """The limit is the body's own."""
        path = request.getfixturevalue(f"{folder}_folder")
        checkpoint = load_checkpoint(
            str(path), pooling="cls", max_query_tokens=limit, max_document_tokens=limit
        )
        ids = torch.full((1, limit), 7)

        assert checkpoint.model(ids, torch.ones_like(ids)).isfinite().all()


class TestPlainBody:
    def test_body_needs_to_be_told_how_to_pool(self, plain_folder):
        """Its files do not say, and a guess would be a bad run."""
        expected = "does not say how to pool; give --pooling cls or --pooling mean"
        with pytest.raises(FormatError, match=expected):
            load_checkpoint(str(plain_folder))

    def test_unknown_pooling_is_refused(self, plain_folder):
        """With those there are."""
        with pytest.raises(ValueError, match="pooling must be one of cls, mean, found 'max'"):
            load_checkpoint(str(plain_folder), pooling="max", **SHORT)

    def test_vectors_are_the_bodys_pooled_states(self, plain_folder):
        """As transformers itself computes them."""
        from transformers import AutoModel

        loaded = load_checkpoint(str(plain_folder), pooling="cls", **SHORT)
        ids = torch.tensor([loaded.tokenizer("the cat sees a dog")["input_ids"]])
        body = AutoModel.from_pretrained(plain_folder).eval()
        with torch.inference_mode():
            expected = body(ids)[0][:, 0]
            found = loaded.model(ids, torch.ones_like(ids))

        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)

    def test_body_of_half_precision_in_name_keeps_the_digits_of_its_weights(
        self, bert_folder, tmp_path, edit_json
    ):
        """``dtype`` in config.json is what it was trained in, not what the file holds."""
        folder = shutil.copytree(bert_folder, tmp_path / "body")
        edit_json(folder / "config.json", dtype="bfloat16")
        plain = load_checkpoint(str(bert_folder), pooling="cls", **SHORT)
        found = load_checkpoint(str(folder), pooling="cls", **SHORT)

        assert hash_weights(found.model) == hash_weights(plain.model)
        assert {weight.dtype for weight in found.model.parameters()} == {torch.float32}

    def test_body_without_its_tokenizer_is_refused(self, plain_folder, tmp_path):
        """An empty tokenizer would make every text the same."""
        folder = shutil.copytree(plain_folder, tmp_path / "body")
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()

        with pytest.raises((FormatError, OSError, ValueError)):
            load_checkpoint(str(folder), pooling="cls", **SHORT)


class TestDamage:
    def test_folder_of_no_known_layout_is_refused(self, tmp_path):
        """The message lists what was looked for."""
        (tmp_path / "readme.txt").touch()

        expected = r"expected modules\.json .* metadata\.json .* or config\.json"
        with pytest.raises(FormatError, match=expected):
            load_checkpoint(str(tmp_path))

    def test_checkpoint_with_a_file_missing_is_refused(self, tiny_checkpoint, tmp_path):
        """As half a copy is."""
        folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
        (folder / "tokenizer.json").unlink()

        with pytest.raises(ArtifactError, match=r"tokenizer\.json: is missing"):
            load_checkpoint(str(folder))

    def test_truncated_checkpoint_is_refused(self, tiny_checkpoint, tmp_path):
        """Its size is recorded."""
        folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])

        with pytest.raises(ArtifactError, match=r"model\.safetensors: has \d+ bytes, expected"):
            load_checkpoint(str(folder))

    def test_head_that_is_not_in_the_file_is_an_error(self, checkpoint, tmp_path):
        """Never random weights in silence."""
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "saved"
        save_checkpoint(checkpoint, folder)
        weights = load_file(folder / "model.safetensors")
        kept = {name: weights[name] for name in weights if not name.startswith("head.embedding")}
        save_file(kept, folder / "model.safetensors")
        content = {"settings": checkpoint.settings.to_json(), "has_head": True}
        artifacts.seal(folder, "checkpoint", content)

        with pytest.raises(FormatError, match="missing"):
            load_checkpoint(str(folder))


class TestHashes:
    def test_one_changed_weight_changes_the_hash(self, tiny_checkpoint):
        """By a single bit of one of thousands."""
        loaded = load_checkpoint(str(tiny_checkpoint))
        before = loaded.identify()
        weight = loaded.model.body.embeddings.word_embeddings.weight.data
        weight[5, 5] = torch.nextafter(weight[5, 5], torch.tensor(torch.inf))

        after = loaded.identify()
        assert {name for name in before if before[name] != after[name]} == {"weights_sha256"}

    def test_other_tokenizer_changes_the_identity(self, bert_folder, roberta_folder):
        """Equal weights with other token ids make other vectors."""
        bert = load_checkpoint(str(bert_folder), pooling="cls", **SHORT)
        roberta = load_checkpoint(str(roberta_folder), pooling="cls", **SHORT)
        mixed = Checkpoint("mixed", bert.model, roberta.tokenizer, bert.settings)
        expected, found = bert.identify(), mixed.identify()

        assert {name for name in found if expected[name] != found[name]} == {"tokenizer_sha256"}

    def test_name_of_the_folder_is_no_part_of_the_identity(self, tiny_checkpoint, tmp_path):
        """A moved checkpoint is the same."""
        copy = shutil.copytree(tiny_checkpoint, tmp_path / "elsewhere")

        expected = load_checkpoint(str(tiny_checkpoint)).identify()
        assert load_checkpoint(str(copy)).identify() == expected

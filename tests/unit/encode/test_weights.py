"""What holds for weights read from files: nothing runs, nothing is left at random."""

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ance_plugin.encode.checkpoint import hash_weights, load_checkpoint
from ance_plugin.encode.weights import load_into, read_weights
from ance_plugin.errors import FormatError

SHORT = {"pooling": "cls", "max_query_tokens": 16, "max_document_tokens": 32}
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"


class Evil:
    """What touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def folder(bert_folder, tmp_path):
    """Return a BERT's folder that a test may damage."""
    return Path(shutil.copytree(bert_folder, tmp_path / "body"))


@pytest.fixture
def original(bert_folder):
    """Return the hash of the undamaged weights."""
    return hash_weights(load_checkpoint(str(bert_folder), **SHORT).model)


def load_hash(folder):
    return hash_weights(load_checkpoint(str(folder), **SHORT).model)


class TestLayouts:
    def test_pytorch_file_is_read_as_plain_tensors(self, folder, original):
        """As most older checkpoints come."""
        torch.save(load_file(folder / SAFE), folder / PICKLED)
        (folder / SAFE).unlink()

        assert load_hash(folder) == original

    def test_safetensors_come_before_a_pickle(self, folder, original):
        """Where there are both."""
        (folder / PICKLED).write_bytes(b"never opened")

        assert load_hash(folder) == original

    def test_sharded_safetensors_are_one(self, folder, original):
        """The index says which file holds what."""
        weights = load_file(folder / SAFE)
        (folder / SAFE).unlink()
        names = sorted(weights)
        shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
        for shard, held in shards.items():
            save_file({name: weights[name] for name in held}, folder / shard)
        weight_map = {name: shard for shard, held in shards.items() for name in held}
        index = json.dumps({"metadata": {}, "weight_map": weight_map})
        (folder / f"{SAFE}.index.json").write_text(index, encoding="utf-8")

        assert load_hash(folder) == original

    def test_names_may_carry_the_architectures_prefix(self, folder, original):
        """As a model with a task's head on it is saved; its other weights are left alone."""
        weights = {f"bert.{name}": weight for name, weight in load_file(folder / SAFE).items()}
        save_file({**weights, "classifier.weight": torch.ones(2, 32)}, folder / SAFE)

        assert load_hash(folder) == original

    def test_layer_norms_may_have_their_old_names(self, folder, original):
        """Gamma and beta, from TensorFlow's time."""
        old = {
            re.sub(
                r"(LayerNorm)\.weight$", r"\1.gamma", re.sub(r"(LayerNorm)\.bias$", r"\1.beta", n)
            ): w
            for n, w in load_file(folder / SAFE).items()
        }
        save_file(old, folder / SAFE)

        assert any(name.endswith("gamma") for name in old)
        assert load_hash(folder) == original

    def test_half_precision_weights_become_float32(self, folder):
        """Without loss; the file is the smaller for it."""
        weights = {name: weight.half() for name, weight in load_file(folder / SAFE).items()}
        save_file(weights, folder / SAFE)
        loaded = load_checkpoint(str(folder), **SHORT).model.body.state_dict()

        assert {weight.dtype for weight in loaded.values()} == {torch.float32}
        assert all(torch.equal(weight, weights[name].float()) for name, weight in loaded.items())


class TestMissing:
    def test_missing_weight_is_named(self, folder):
        """Random numbers in its place would make a bad run in silence."""
        weights = load_file(folder / SAFE)
        name = "encoder.layer.1.output.dense.bias"
        del weights[name]
        save_file(weights, folder / SAFE)

        with pytest.raises(FormatError, match=f"1 weights are missing: {name}; it has "):
            load_hash(folder)

    def test_pooler_is_not_missed(self, folder, original):
        """No vector here comes from one."""
        weights = load_file(folder / SAFE)
        kept = {name: weights[name] for name in weights if not name.startswith("pooler")}
        save_file(kept, folder / SAFE)

        assert len(kept) == len(weights) - 2
        assert load_hash(folder) == original

    def test_weight_of_another_shape_is_named(self, folder):
        """With both shapes."""
        weights = load_file(folder / SAFE)
        weights["embeddings.LayerNorm.bias"] = torch.zeros(31)
        save_file(weights, folder / SAFE)

        expected = r"embeddings\.LayerNorm\.bias has shape \(31,\), expected \(32,\)"
        with pytest.raises(FormatError, match=expected):
            load_hash(folder)

    def test_module_is_untouched_after_an_error(self, tmp_path):
        """Everything is checked before anything is copied."""
        module = torch.nn.Linear(2, 2)
        before = {name: weight.clone() for name, weight in module.state_dict().items()}
        with pytest.raises(FormatError, match=r"missing: x\.bias"):
            load_into(module, {"x.weight": torch.ones(2, 2)}, prefix="x.", source=tmp_path)

        assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)

    def test_folder_without_weights_is_refused(self, folder):
        """The message has the names that are looked for."""
        (folder / SAFE).unlink()

        expected = r"expected model\.safetensors or pytorch_model\.bin in it"
        with pytest.raises(FormatError, match=expected):
            load_hash(folder)

    def test_missing_shard_is_an_error(self, folder):
        """The index names a file that is not there."""
        (folder / SAFE).unlink()
        index = '{"weight_map": {"a": "gone.safetensors"}}'
        (folder / f"{SAFE}.index.json").write_text(index, encoding="utf-8")

        with pytest.raises((FormatError, FileNotFoundError), match=r"gone\.safetensors"):
            load_hash(folder)


class TestDanger:
    @pytest.mark.parametrize("is_archive", [True, False])
    def test_pickle_that_would_run_code_is_refused(self, folder, tmp_path, is_archive):
        """And nothing has run."""
        marker = tmp_path / "it ran"
        content = {"embeddings.LayerNorm.bias": Evil(marker)}
        if is_archive:
            torch.save(content, folder / PICKLED)
        else:
            (folder / PICKLED).write_bytes(pickle.dumps(content, protocol=2))
        (folder / SAFE).unlink()

        with pytest.raises(FormatError, match=r"its weights cannot be read safely \("):
            load_hash(folder)
        assert not marker.exists()

    def test_code_in_the_folder_is_not_run(self, folder, tmp_path):
        """Not for the configuration, the model, nor the tokenizer."""
        marker = tmp_path / "it ran"
        code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
        (folder / "evil.py").write_text(code, encoding="utf-8")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        auto_map = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
        config |= {"model_type": "evil", "auto_map": auto_map}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

        with pytest.raises(FormatError, match="transformers cannot make this model"):
            load_hash(folder)
        assert not marker.exists()


@pytest.mark.parametrize("name", [SAFE, PICKLED])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04 cut off"],
    ids=["empty", "cut off", "git-lfs pointer", "broken archive"],
)
def test_damaged_file_is_an_error_in_one_line(tmp_path, name, content):
    """As a download that broke off leaves it."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(FormatError, match="its weights cannot be read safely") as caught:
        read_weights(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [SAFE, PICKLED])
def test_a_git_lfs_pointer_is_named(tmp_path, name):
    """With the command that fetches the weights."""
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n")

    with pytest.raises(FormatError, match=f"{name} is Git LFS's pointer to them; run git lfs pull"):
        read_weights(tmp_path)


def test_unsafe_weights_are_refused_in_our_words(tmp_path):
    """PyTorch's text advises to load the file unsafely; ours does not, and nothing is run."""
    torch.save({"a": Evil(tmp_path / "touched")}, tmp_path / PICKLED)

    with pytest.raises(FormatError, match=r"which could run code; ask for model\.safetens") as err:
        read_weights(tmp_path)
    assert "weights_only" not in str(err.value)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.ones(2), {"model": {"a": torch.ones(2)}}, {}])
def test_pickle_of_something_else_is_an_error(folder, content):
    """A list, a tensor, or a training state with the weights deeper inside."""
    (folder / SAFE).unlink()
    torch.save(content, folder / PICKLED)

    with pytest.raises(FormatError):
        load_hash(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weights": {}}'])
def test_damaged_shard_index_is_an_error(tmp_path, content):
    """Of this package's own kind."""
    (tmp_path / f"{SAFE}.index.json").write_text(content, encoding="utf-8")

    with pytest.raises(FormatError):
        read_weights(tmp_path)

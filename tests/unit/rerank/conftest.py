"""Tiny classifiers as transformers saves them, made here in a second."""

import json

import pytest

WORDS = ["the", "cat", "dog", "fox", "red", "green", "sees", "eats", "a", "and", "lynx"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Compute with one thread: for models this small more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_classifier(tmp_path_factory):
    """A function that writes a BERT classifier of 32 dimensions; ``change`` edits its weights."""

    def make(*, num_labels=1, seed=5, change=None, max_length=64):
        import torch
        from safetensors.torch import save_file
        from transformers import BertConfig, BertForSequenceClassification

        folder = tmp_path_factory.mktemp("classifier")
        config = BertConfig(
            vocab_size=save_tokenizer(folder, max_length),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.5,
            num_labels=num_labels,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            weights = BertForSequenceClassification(config).state_dict()
        config.save_pretrained(folder)
        save_file(change(weights) if change else weights, folder / "model.safetensors")
        return folder

    return make


def save_tokenizer(folder, max_length=64):
    """Write the files of a BERT tokenizer of few words; give the size of its vocabulary."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    pieces = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": max_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(pieces)


@pytest.fixture(scope="session")
def classifier(make_classifier):
    """Folder of a classifier of one output."""
    return make_classifier()


@pytest.fixture(scope="session")
def model(classifier):
    """The classifier, on the CPU in fp32."""
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    return CrossEncoder.load(str(classifier), device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def tokenizer(classifier):
    """The classifier's tokenizer."""
    from ance_plugin.encode.layouts.folder import load_tokenizer

    return load_tokenizer(classifier)

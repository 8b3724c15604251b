"""Stock Pyserini in a process of its own, and a small random ANCE model that it loads."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from ance_plugin.formats.collection import Collection

STOCK = Path(__file__).with_name("stock_pyserini.py")


@pytest.fixture(scope="session")
def run_stock():
    """A function that runs commands of stock Pyserini (module and words) and gives their output."""

    def run(*commands):
        words = [[str(word) for word in command] for command in commands]
        start = [sys.executable, "-W", "ignore", str(STOCK), json.dumps(words)]
        done = subprocess.run(start, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def random_ance(tmp_path_factory, test_data):
    """Folder of a RoBERTa of 2 layers with ANCE's head, laid out as Pyserini reads it.

    Random vectors lie close together; the wide weights spread them, so that scores differ. They are
    7 long and not 28 as ANCE's, so that scores near 50 have float32 steps of 4e-6.
    """
    import torch
    from transformers import RobertaConfig, RobertaModel

    from ance_plugin.encode.model import AnceHead

    folder = tmp_path_factory.mktemp("random-ance")
    tokenizer = save_tokenizer(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        initializer_range=1.0,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        body, head = RobertaModel(config, add_pooling_layer=False), AnceHead(32)
        torch.nn.init.constant_(head.norm.weight, 0.25)
    content = {**config.to_dict(), "model_type": "roberta", "architectures": ["AnceEncoder"]}
    (folder / "config.json").write_text(json.dumps(content))
    weights = {f"roberta.{name}": tensor for name, tensor in body.state_dict().items()}
    torch.save(weights | head.state_dict(), folder / "pytorch_model.bin")
    return folder


def save_tokenizer(folder):
    """Train a byte-level tokenizer on some of SciFact and write it as RoBERTa's."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    texts = (document.contents for document in islice(Collection("beir/scifact"), 100))
    core = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    core.train_from_iterator(texts, vocab_size=1000, special_tokens=special, show_progress=False)
    core.save_model(str(folder))
    tokenizer = RobertaTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer

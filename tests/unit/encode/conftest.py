"""Tiny bodies in the layouts that checkpoints come in, made here in a second."""

import json
from pathlib import Path

import pytest

WIDTH = 32
POSITIONS = 64
SIZES = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Compute with one thread: for models this small more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory, tiny_checkpoint):
    """Plain transformers folder of a BERT with a pooler and 64 positions."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("plain") / "bert"
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory):
    """Plain transformers folder of a RoBERTa with 64 positions, two of which hold no token."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path_factory.mktemp("plain") / "roberta"
    tokenizer = make_byte_level_tokenizer()
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(vocab_size=len(tokenizer), type_vocab_size=1, **SIZES)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mpnet_folder(tmp_path_factory, bert_folder):
    """Plain transformers folder of an MPNet with 64 positions, two of which hold no token."""
    import torch
    from transformers import AutoTokenizer, MPNetConfig, MPNetModel

    folder = tmp_path_factory.mktemp("plain") / "mpnet"
    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        MPNetModel(MPNetConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(params=["bert", "roberta"])
def plain_folder(request):
    """Each of the plain folders."""
    return request.getfixturevalue(f"{request.param}_folder")


def make_byte_level_tokenizer():
    """Make RoBERTa's kind of tokenizer, cased, its few merges learned from a sentence."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(["the cat sees a dog"] * 3, trainer)
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    tokens = dict(zip(names, special, strict=True)) | {"cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=62, **tokens)


TEXTS = [
    "the cat",
    "The CAT eats the Red dog 123",
    "",
    "naïve ÉLAN 日本語 \N{SNOWMAN} co\u0301te",
    "the red dog sees a lynx and the goat " * 120,
    "x",
]
TITLES = ["Cat", "", "Ünï Title", "The red", "a long title of the dog " * 60, "Y"]


def save_roberta_tokenizer(folder):
    """Write vocab.json and merges.txt of a small byte-level BPE, as RoBERTa's are; return its size.

    Args:
        folder: Where to.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["the cat eats the red dog and The Cat sees the Lynx"] * 5, trainer)
    core.model.save(str(folder))
    return core.get_vocab_size()


def make_roberta_config(size):
    """Describe a RoBERTa of 2 layers and 32 dimensions, with the positions of the real one."""
    from transformers import RobertaConfig

    return RobertaConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.3,
        layer_norm_eps=1e-5,
    )


def make_ance_weights(config, *, dimension=768):
    """Make body and head at random, keys as in ANCE's own class; the generator is forked."""
    import torch
    from transformers import RobertaModel

    with torch.random.fork_rng():
        torch.manual_seed(7)
        body = RobertaModel(config)
        head, norm = torch.nn.Linear(config.hidden_size, dimension), torch.nn.LayerNorm(dimension)
        torch.nn.init.normal_(norm.weight, 1.0, 0.3)
        torch.nn.init.normal_(norm.bias, 0.0, 0.3)
    parts = {"roberta": body, "embeddingHead": head, "norm": norm}
    return {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}


def save_ance(folder: Path, *, change=None, config_change=None, dimension=768):
    """Write a folder as Pyserini's on the hub; ``change`` edits the keys and weights."""
    import torch

    size = save_roberta_tokenizer(folder)
    config = make_roberta_config(size)
    content = {**config.to_dict(), "model_type": "roberta", "architectures": ["AnceEncoder"]}
    for name, value in (config_change or {}).items():
        content.pop(name) if value is None else content.update({name: value})
    (folder / "config.json").write_text(json.dumps(content))
    weights = make_ance_weights(config, dimension=dimension)
    torch.save(change(weights) if change else weights, folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def make_ance(tmp_path_factory):
    """A function that writes an ANCE checkpoint as Pyserini's hub repositories hold it."""

    def make(**options):
        return save_ance(tmp_path_factory.mktemp("ance"), **options)

    return make


@pytest.fixture
def texts():
    """Short, long, empty and non-ASCII texts."""
    return list(TEXTS)


@pytest.fixture
def titles():
    """A title for each text, one empty and one long."""
    return list(TITLES)

"""Tiny bodies in the layouts that checkpoints come in, made here in a second."""

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

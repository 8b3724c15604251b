"""Our cross-encoder gives the scores of sentence-transformers and of pygaggle's monoBERT."""

import json

import numpy as np
import pytest

from ance_plugin.records import Document
from ance_plugin.rerank.cross_encoder import CrossEncoder

TEXTS = [
    "the cat",
    "The CAT eats the Red dog 123",
    "",
    "naïve ÉLAN 日本語 \N{SNOWMAN} co\u0301te",
    "the red dog sees a lynx and the goat " * 120,
    "x",
    "[SEP] the [MASK] cat",
]
TITLES = ["Cat", "", "Ünï Title", "The red", "a long title of the dog " * 60]
QUERIES = [
    "red fox",
    "",
    "Ünï 日本語 \N{SNOWMAN}",
    "the cat sees a dog",
    "x",
    "the red dog " * 13,
    "a " * 99,
]


@pytest.fixture(scope="module")
def pairs():
    """Every query with every text: short, long, empty and non-ASCII."""
    return [(query, text) for query in QUERIES for text in TEXTS]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory):
    """A classifier of one output as sentence-transformers saves it."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    plain = make_classifier_folder(tmp_path_factory.mktemp("plain"), kind=request.param)
    saved = tmp_path_factory.mktemp("saved")
    sentence_transformers.CrossEncoder(str(plain), device="cpu").save_pretrained(str(saved))
    return saved


@pytest.fixture(scope="module")
def expected(folder, pairs):
    """What sentence-transformers says, without the sigmoid that changes no order."""
    import torch
    from sentence_transformers import CrossEncoder as Reference

    reference = Reference(str(folder), device="cpu")
    return reference.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)


def make_classifier_folder(folder, *, kind="bert", num_labels=1):
    """Write a classifier of 2 layers, 32 dimensions and 64 tokens, its weights at random."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    size = save_bert_tokenizer(folder) if kind == "bert" else save_roberta_tokenizer(folder)
    config = AutoConfig.for_model(
        kind,
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64 if kind == "bert" else 66,
        type_vocab_size=2 if kind == "bert" else 1,
        initializer_range=0.5,
        num_labels=num_labels,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def save_bert_tokenizer(folder):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "red", "fox", "a"]
    pieces = list(dict.fromkeys([*words, *letters, *(f"##{letter}" for letter in letters)]))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(pieces)


def save_roberta_tokenizer(folder):
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
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return core.get_vocab_size()


def split(pairs):
    queries, texts = zip(*pairs, strict=True)
    return list(queries), [Document(f"d{n}", text) for n, text in enumerate(texts)]


@pytest.mark.slow
def test_scores_are_those_of_sentence_transformers(folder, pairs, expected):
    """Padded to the longest of a batch, or alone: equal to 1e-5, and told apart."""
    model = CrossEncoder.load(str(folder), device="cpu", precision="fp32")
    queries, documents = split(pairs)

    together = model.score(queries, documents)
    alone = [
        model.score([q], [document])[0] for q, document in zip(queries, documents, strict=True)
    ]

    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)
    assert len(set(np.round(expected, 3))) > len(pairs) // 2


@pytest.mark.slow
def test_title_and_text_are_joined_as_beir_joins_them(folder):
    """A title stands before the text, a space between them."""
    from sentence_transformers import CrossEncoder as Reference
    from torch import nn

    model = CrossEncoder.load(str(folder), device="cpu", precision="fp32")
    documents = [Document(f"d{n}", text, TITLES[n % len(TITLES)]) for n, text in enumerate(TEXTS)]

    found = model.score(["red fox"] * len(documents), documents)

    texts = [("red fox", f"{document.title} {document.text}".strip()) for document in documents]
    reference = Reference(str(folder), device="cpu")
    expected = reference.predict(texts, activation_fn=nn.Identity(), show_progress_bar=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_outputs_are_scored_as_monobert_is(tmp_path, pairs):
    """The score is the logarithm of the softmax of the last class, as pygaggle computes it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = make_classifier_folder(tmp_path, num_labels=2)
    model = CrossEncoder.load(str(folder), device="cpu", precision="fp32")
    queries, documents = split(pairs)

    found = model.score(queries, documents)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    reference = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = []
    for query, text in pairs:
        inputs = tokenizer([query], [text], max_length=64, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = reference(**inputs).logits
        expected.append(torch.nn.functional.log_softmax(logits, 1)[0, -1].item())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

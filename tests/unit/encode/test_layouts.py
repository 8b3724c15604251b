"""Every layout, written by the reference library itself, gives the reference's vectors.

Pyserini's own classes are held in tests/reference/test_ance_layouts.py; this file needs no Java.
"""

import json

import numpy as np
import pytest
import torch

from ance_plugin.encode.checkpoint import hash_weights, load_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.records import Document

TOLERANCE = 1e-5
POSITIONS = 512


def load(folder, **overrides):
    return Encoder.load(str(folder), overrides=overrides, device="cpu", precision="fp32")


def run_reference(folder, rows):
    """Compute ANCE's vectors from its definition, with transformers and the file's own weights."""
    from transformers import RobertaConfig, RobertaModel

    content = json.loads((folder / "config.json").read_text())
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights = {key.split("module.")[-1].split("ance_encoder.")[-1]: weights[key] for key in weights}
    body = RobertaModel(RobertaConfig.from_dict(content)).eval()
    of_body = {k.removeprefix("roberta."): v for k, v in weights.items() if "roberta." in k}
    body.load_state_dict(of_body, strict=False)  # position_ids is a buffer no longer
    vectors = []
    for row in rows:
        with torch.inference_mode():
            first = body(torch.tensor([row]))[0][:, 0]
            linear = weights["embeddingHead.weight"], weights["embeddingHead.bias"]
            projected = torch.nn.functional.linear(first, *linear)
            norm = weights["norm.weight"], weights["norm.bias"]
            vectors.append(torch.nn.functional.layer_norm(projected, norm[0].shape, *norm))
    return torch.cat(vectors).numpy()


def tokenize_reference(folder, texts, limit):
    from transformers import RobertaTokenizer

    tokenizer = RobertaTokenizer.from_pretrained(folder)
    texts = [text.lower() for text in texts]
    return [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts]


def assert_alike(encoder, folder, texts):
    """Hold queries and documents, in one batch and alone, against the reference."""
    queries = run_reference(folder, tokenize_reference(folder, texts, 64))
    documents = run_reference(folder, tokenize_reference(folder, [t.strip() for t in texts], 512))

    found = encoder.encode_queries(texts)
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_allclose(found, queries, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(alone, queries, rtol=0, atol=TOLERANCE)
    records = [Document(str(place), text) for place, text in enumerate(texts)]
    found = encoder.encode_documents(records)
    alone = np.concatenate([encoder.encode_documents([record]) for record in records])
    np.testing.assert_allclose(found, documents, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(alone, documents, rtol=0, atol=TOLERANCE)


def prefix_keys(prefix):
    return lambda weights: {prefix + key: value for key, value in weights.items()}


def derive_from_classifier(weights):
    """Add what a RobertaForSequenceClassification saves, as microsoft/ANCE's class is one."""
    for name, width in (("dense", 32), ("out_proj", 2)):
        weights[f"classifier.{name}.weight"] = torch.ones(width, 32)
        weights[f"classifier.{name}.bias"] = torch.ones(width)
    weights["roberta.embeddings.position_ids"] = torch.arange(514).unsqueeze(0)
    return weights


OLD_CONFIG = {
    "model_type": None,
    "architectures": None,
    "transformers_version": None,
    "finetuning_task": "MSMarco",
    "num_labels": 2,
    "output_past": True,
    "pruned_heads": {},
    "torchscript": False,
    "use_bfloat16": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"change": prefix_keys("ance_encoder.")},
        {"config_change": {"architectures": None}},
        {
            "change": derive_from_classifier,
            "config_change": {"architectures": ["RobertaDot_NLL_LN"]},
        },
        {"change": lambda weights: prefix_keys("module.")(derive_from_classifier(weights))},
        {"change": derive_from_classifier, "config_change": OLD_CONFIG},
        {"dimension": 48},
    ],
    ids=["pyserini", "prefix", "no class", "microsoft", "module.", "transformers 2", "narrow"],
)
def test_ance_checkpoints_give_the_reference_vectors(make_ance, texts, options):
    """Pyserini's and Microsoft's keys load without a hint, with ANCE's lengths and lower-casing."""
    folder = make_ance(**options)

    encoder = load(folder)

    assert (encoder.settings.max_query_tokens, encoder.settings.max_document_tokens) == (64, 512)
    assert encoder.settings.is_lowercased
    assert_alike(encoder, folder, texts)


def test_safetensors_are_read_before_pickled_weights(make_ance, texts):
    """A folder with both is loaded from safetensors."""
    from safetensors.torch import save_file

    folder = make_ance()
    expected = load(folder).encode_queries(texts)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    save_file(
        {key: value.contiguous() for key, value in weights.items()}, folder / "model.safetensors"
    )
    (folder / "pytorch_model.bin").write_bytes(b"not read")

    np.testing.assert_array_equal(load(folder).encode_queries(texts), expected)


def test_the_layout_does_not_change_the_identity(make_ance):
    """An index made with Pyserini's folder is searched with Microsoft's of the same weights."""
    pyserini, microsoft = make_ance(), make_ance(change=derive_from_classifier)

    identities = [load_checkpoint(str(folder)).identify() for folder in (pyserini, microsoft)]

    assert identities[0] == identities[1]


def make_dpr(folder, side):
    """Let transformers write one of DPR's towers, random, with a lower-casing vocabulary."""
    from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["the", "cat", "red", "dog", "eats", "sees", "lynx", "goat", "title", "of", "and"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    (folder / "vocab.txt").write_text("\n".join(tokens + [f"##{letter}" for letter in letters]))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    config = DPRConfig(
        vocab_size=len(tokens) + len(letters),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
    )
    kind = {"query": DPRQuestionEncoder, "document": DPRContextEncoder}[side]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        kind(config).save_pretrained(folder)
    return folder


def test_dpr_questions_give_the_reference_vectors(tmp_path, texts):
    """The question tower encodes queries as DPRQuestionEncoder does, cut to 256 tokens."""
    from transformers import DPRQuestionEncoder, DPRQuestionEncoderTokenizer

    folder = make_dpr(tmp_path, "query")
    tokenizer = DPRQuestionEncoderTokenizer.from_pretrained(folder)
    reference = DPRQuestionEncoder.from_pretrained(folder).eval()
    encoder = load(folder)

    found = encoder.encode_queries(texts)
    alone = np.stack([encoder.encode(text) for text in texts])

    for place, text in enumerate(texts):
        ids = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")["input_ids"]
        expected = reference(ids).pooler_output.detach().numpy()[0]
        np.testing.assert_allclose(found[place], expected, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(alone[place], expected, rtol=0, atol=TOLERANCE)


def test_dpr_documents_give_the_reference_vectors(tmp_path, titles, texts):
    """The context tower encodes title and text as a pair of one segment, cut to 256 tokens."""
    from transformers import DPRContextEncoder, DPRContextEncoderTokenizer

    folder = make_dpr(tmp_path, "document")
    tokenizer = DPRContextEncoderTokenizer.from_pretrained(folder)
    reference = DPRContextEncoder.from_pretrained(folder).eval()
    encoder = load(folder)
    records = [Document(title, text, title) for title, text in zip(titles, texts, strict=True)]

    found = encoder.encode_documents(records)
    alone = np.concatenate([encoder.encode_documents([record]) for record in records])

    for place, record in enumerate(records):
        pair = ([record.title], [record.text]) if record.title else ([record.text],)
        ids = tokenizer(*pair, truncation=True, max_length=256, return_tensors="pt")["input_ids"]
        expected = reference(ids).pooler_output.detach().numpy()[0]
        np.testing.assert_allclose(found[place], expected, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(alone[place], expected, rtol=0, atol=TOLERANCE)


def test_a_pair_without_a_title_takes_the_first_line(tmp_path):
    """Pyserini's Wikipedia has title and text as two lines of the contents."""
    encoder = load(make_dpr(tmp_path, "document"))

    contents, apart = Document("1", "the cat\nsees a dog"), Document("1", "sees a dog", "the cat")

    vectors = encoder.encode_documents([contents, apart])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_a_cased_dpr_tokenizer_keeps_its_case(tmp_path):
    """Version 5 of transformers lower-cases for DPR whatever the files say; here they count."""
    folder = make_dpr(tmp_path, "query")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    encoder = load(folder)

    upper, lower = encoder.tokenize(["CAT", "cat"], 8)

    assert upper != lower


def test_towers_encode_their_own_side_only(tmp_path):
    """A question encoder refuses documents, and a context encoder queries, naming the other."""
    sides = {side: tmp_path / side for side in ("query", "document")}
    for side, folder in sides.items():
        folder.mkdir()
        make_dpr(folder, side)

    question, context = load(sides["query"]), load(sides["document"])

    with pytest.raises(ValueError, match="encodes a query, not a document; give the context enc"):
        question.encode_documents([Document("1", "cat")])
    with pytest.raises(ValueError, match="encodes a document, not a query; give the question enc"):
        context.encode_queries(["cat"])
    assert question.identity == context.identity
    assert question.tower["side"] == "query"
    assert len(context.tower["weights_sha256"]) == 64


def save_sentence_transformer(folder, source):
    """Let sentence-transformers put together and save ANCE's body and head."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    dense = Dense(32, 24, activation_function=torch.nn.Identity())
    body = Transformer(str(source), max_seq_length=POSITIONS)
    modules = [body, Pooling(32, pooling_mode="cls"), dense, LayerNorm(24), Normalize()]
    with torch.no_grad():
        torch.nn.init.normal_(modules[3].norm.weight, 1.0, 0.3)
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_lowercased", [False, True])
def test_sentence_transformers_give_the_reference_vectors(tmp_path, texts, is_lowercased):
    """All five modules are read; the length is theirs, for queries too.

    Lower-casing stands where the published ANCE of sentence-transformers has it; their current
    version keeps it in tokenizer.json, where transformers 5 drops it for RoBERTa.
    """
    from sentence_transformers import SentenceTransformer
    from transformers import RobertaModel

    conftest = _conftest()
    source, folder = tmp_path / "body", tmp_path / "st"
    source.mkdir()
    config = conftest.make_roberta_config(conftest.save_roberta_tokenizer(source))
    RobertaModel(config).save_pretrained(source)
    save_sentence_transformer(folder, source)
    length = {"max_seq_length": 128, "do_lower_case": is_lowercased}
    (folder / "sentence_bert_config.json").write_text(json.dumps(length))
    encoder = load(folder)

    expected = SentenceTransformer(str(folder), device="cpu").encode(texts, convert_to_numpy=True)

    assert encoder.settings.is_lowercased == is_lowercased
    assert encoder.settings.max_query_tokens == encoder.settings.max_document_tokens == 128
    np.testing.assert_allclose(encoder.encode_queries(texts), expected, rtol=0, atol=TOLERANCE)
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=TOLERANCE)
    records = [Document(text, text) for text in texts]
    np.testing.assert_allclose(encoder.encode_documents(records), expected, rtol=0, atol=TOLERANCE)


def _conftest():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("models", Path(__file__).with_name("conftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_our_layout_keeps_weights_settings_and_tower(make_ance, tmp_path, texts):
    """What is saved here loads with the same identity and the same vectors."""
    from ance_plugin.encode.checkpoint import save_checkpoint

    for name, folder in (("ance", make_ance()), ("dpr", make_dpr(tmp_path, "query"))):
        checkpoint = load_checkpoint(str(folder))
        save_checkpoint(checkpoint, tmp_path / name)
        again = load_checkpoint(str(tmp_path / name))

        assert again.identify() == checkpoint.identify()
        assert again.tower == checkpoint.tower
        assert hash_weights(again.model) == hash_weights(checkpoint.model)
        vectors = [load(where).encode_queries(texts) for where in (folder, tmp_path / name)]
        np.testing.assert_array_equal(*vectors)


def test_an_index_of_one_tower_is_searched_with_the_other(tmp_path):
    """The context encoder makes the index, the question encoder searches it, by the commands."""
    from ance_plugin.encode.__main__ import main as encode
    from ance_plugin.index.__main__ import main as index
    from ance_plugin.search.__main__ import main as search

    for side in ("query", "document"):
        (tmp_path / side).mkdir()
        make_dpr(tmp_path / side, side)
    lines = [{"id": f"d{row}", "contents": f"the cat\ndog {row}"} for row in range(5)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "topics.tsv").write_text("1\tthe red dog\n")
    context = ["--encoder", str(tmp_path / "document"), "--precision", "fp32", "--device", "cpu"]
    recipe = ["--recipe", "ance-dpr", "--output", str(tmp_path / "vectors")]
    assert encode(["--collection", str(tmp_path / "docs.jsonl"), *context, *recipe]) == 0
    made = ["--vectors", str(tmp_path / "vectors"), "--output", str(tmp_path / "index")]
    assert index(["dense", *made]) == 0
    wanted = ["--topics", str(tmp_path / "topics.tsv"), "--index", str(tmp_path / "index")]
    wanted += ["--output", str(tmp_path / "run"), "--device", "cpu"]

    assert search(wanted) == 1  # the one that made the index encodes documents only
    assert search([*wanted, "--encoder", str(tmp_path / "query"), "--no-lowercase"]) == 0
    assert search([*wanted, "--encoder", str(tmp_path / "query"), "--max-length", "99"]) == 1

    metadata = json.loads((tmp_path / "vectors" / "metadata.json").read_text())
    assert metadata["tower"]["side"] == "document"
    assert metadata["encoder"]["overrides"] == {"recipe": "ance-dpr"}
    assert len((tmp_path / "run").read_text().splitlines()) == 5

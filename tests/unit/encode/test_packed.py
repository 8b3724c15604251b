"""What holds for the forward pass without padding: it computes what the padded one does."""

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from ance_plugin.encode import packed_attention, packed_linear
from ance_plugin.encode.batching import pad
from ance_plugin.encode.packed import PackedBody, PackedTexts, is_supported
from ance_plugin.encode.packed_attention import Group, Layout, attend, find_groups
from ance_plugin.encode.packed_linear import PackedLinear

PADDING = 1
KINDS = {
    "bert": (BertModel, BertConfig),
    "roberta": (RobertaModel, RobertaConfig),
    "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig),
}


def make_body(kind, *, seed=0, **settings):
    model, config = KINDS[kind]
    sizes = {
        "vocab_size": 99,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "max_position_embeddings": 90,
        "pad_token_id": PADDING,
        "type_vocab_size": 2,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = model(config(**(sizes | settings)), add_pooling_layer=False)
        for name, weight in body.named_parameters():  # LayerNorms and biases start as 1 and 0
            if "LayerNorm" in name or "bias" in name:
                torch.nn.init.normal_(weight, float("LayerNorm.weight" in name), 0.3)
    return body.eval()


def draw_rows(lengths, *, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 99, length).tolist() for length in lengths]


def run_padded(body, rows, types=None):
    """Give the body's own states of each text, in float32."""
    ids, mask = (torch.from_numpy(part) for part in pad(rows, PADDING))
    kinds = None if types is None else torch.from_numpy(pad(types, 0)[0])
    with torch.inference_mode():
        states = body(input_ids=ids, attention_mask=mask, token_type_ids=kinds)[0].float()
    return [part[: len(row)] for part, row in zip(states, rows, strict=True)]


def cosines(found, expected):
    return torch.nn.functional.cosine_similarity(found, expected, dim=-1)


RANDOM = np.random.default_rng(3).integers(1, 60, 40).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[1], [7], [5, 5, 5], sorted(RANDOM), RANDOM, [88, 1, 2, 2]])
def test_states_are_those_of_the_body(kind, lengths):
    """In float32 to five digits, in whatever order and of whatever lengths texts come."""
    body, rows = make_body(kind), draw_rows(lengths)
    expected = run_padded(body, rows)
    texts, packed = PackedTexts.join(rows), PackedBody(body)

    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(packed.encode_all(texts), torch.cat(expected), **close)
    first = torch.stack([states[0] for states in expected])
    torch.testing.assert_close(packed.encode_first(texts), first, **close)
    mean = torch.stack([states.mean(0) for states in expected])
    torch.testing.assert_close(packed.encode_mean(texts), mean, **close)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_nearer_to_fp32_than_the_body_in_bf16(kind):
    """Cosine above 0.9995 for each text, in both poolings."""
    body, texts = make_body(kind), draw_rows(RANDOM)
    expected = run_padded(body, texts)
    packed = PackedBody(body.bfloat16())
    own = run_padded(body, texts)

    joined = PackedTexts.join(texts)
    found = packed.encode_mean(joined), packed.encode_first(joined)
    reductions = (lambda states: states.mean(0)), (lambda states: states[0])
    for vectors, reduce in zip(found, reductions, strict=True):
        reference = torch.stack([reduce(states) for states in expected])
        similarity = cosines(vectors, reference)
        assert vectors.dtype == torch.float32
        assert similarity.min() > 0.9995
        padded = torch.stack([reduce(states) for states in own])
        assert similarity.mean() >= cosines(padded, reference).mean()


def test_token_types_tell_the_texts_of_a_pair_apart():
    """As rerankers of BERT's kind use them."""
    body, rows = make_body("bert"), draw_rows([9, 9, 30])
    types = [[0] * 4 + [1] * (len(row) - 4) for row in rows]

    found = PackedBody(body).encode_all(PackedTexts.join(rows, types))
    expected = torch.cat(run_padded(body, rows, types))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, PackedBody(body).encode_all(PackedTexts.join(rows)), atol=0.01)


def test_padding_token_inside_a_text_has_no_place_in_roberta():
    """Its tokens are numbered without it, as the body numbers them."""
    body = make_body("roberta")
    rows = [[5, PADDING, 7, PADDING, PADDING, 8], [PADDING, 4, 4, 4, 4, 4], [3, 3, PADDING]]

    found = PackedBody(body).encode_all(PackedTexts.join(rows))
    torch.testing.assert_close(found, torch.cat(run_padded(body, rows)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_text_does_not_feel_its_neighbours(dtype):
    """Alone, among texts of its length, or among others: the same up to rounding."""
    packed, rows = PackedBody(make_body("roberta").to(dtype)), draw_rows([20] * 5 + RANDOM)
    alone = packed.encode_first(PackedTexts.join(rows[:1]))
    tolerance = 1e-5 if dtype == torch.float32 else 0.05

    for others in (rows[:5], rows, rows[::-1]):
        place = others.index(rows[0])
        found = packed.encode_first(PackedTexts.join(others))[place : place + 1]
        torch.testing.assert_close(found, alone, atol=tolerance, rtol=0)
        assert cosines(found, alone).item() > 0.9998


def test_same_texts_give_the_same_bits():
    """Twice, with one object or with two."""
    body, texts = make_body("bert").bfloat16(), PackedTexts.join(draw_rows(RANDOM))
    packed = PackedBody(body)

    assert torch.equal(packed.encode_mean(texts), packed.encode_mean(texts))
    assert torch.equal(packed.encode_mean(texts), PackedBody(body).encode_mean(texts))


def test_text_without_tokens_is_refused():
    """There is no first token, and no mean."""
    with pytest.raises(ValueError, match="text 1 of 2 has no tokens"):
        PackedTexts.join([[1, 2], []])


@pytest.mark.parametrize(
    "settings", [{"hidden_act": "relu"}, {"is_decoder": True}, {"num_hidden_layers": 0}]
)
def test_other_computations_are_refused(settings):
    """They keep the body's own forward pass."""
    body = make_body("bert", **settings)

    assert not is_supported(body)
    with pytest.raises(ValueError, match="BertModel has no packed forward pass"):
        PackedBody(body)


def test_other_bodies_are_refused():
    """MPNet has relative positions; fp16 is for other devices."""
    mpnet = MPNetModel(MPNetConfig(vocab_size=20, hidden_size=12, num_hidden_layers=1))

    assert not is_supported(mpnet)
    assert not is_supported(make_body("bert").half())
    assert is_supported(make_body("bert"))


@pytest.fixture
def without_onednn(monkeypatch):
    """Take the private operators away."""
    for module, name in ((packed_linear, "can_prepack"), (packed_attention, "has_fast_softmax")):
        monkeypatch.setattr(module, name, lambda *_: False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_operators_agree_with_onednns(dtype, without_onednn, monkeypatch):
    """Where PyTorch has lost the operators, encoding is slower and the same."""
    body, texts = make_body("roberta").to(dtype), PackedTexts.join(draw_rows(RANDOM))
    plain = PackedBody(body).encode_first(texts)
    monkeypatch.undo()
    found = PackedBody(body).encode_first(texts)

    torch.testing.assert_close(found, plain, atol=1e-5 if dtype == torch.float32 else 0.1, rtol=0)
    assert cosines(found, plain).min() > 0.9998


@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("num_rows", [1, 3, 500])
def test_packed_product_is_the_plain_one(activation, num_rows):
    """For one row and for many; the exact GELU, not the one by tanh."""
    generator = torch.Generator().manual_seed(0)
    rows, weight, bias = (
        torch.randn(shape, generator=generator) for shape in ((num_rows, 48), (96, 48), (96,))
    )
    expected = rows @ weight.T + bias
    expected = torch.nn.functional.gelu(expected) if activation == "gelu" else expected

    found = PackedLinear(weight, bias, activation)(rows)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_private_operators_are_found_where_they_are():
    """This PyTorch has them; the day one has not, this says why encoding became slow."""
    has_onednn = torch.backends.mkldnn.is_available()

    assert packed_linear.can_prepack("cpu", torch.float32) == has_onednn
    assert not packed_linear.can_prepack("cpu", torch.float16)
    assert not packed_linear.can_prepack("cuda", torch.float32)
    assert not packed_attention.has_fast_softmax("cuda")


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
def test_operator_that_fails_is_not_used(error, monkeypatch):
    """Found out on a small product, before any text is encoded."""

    def fail(*_):
        raise error("no such operator")

    monkeypatch.setattr(packed_linear, "_multiply_prepacked", fail)
    monkeypatch.setattr(packed_attention, "_softmax", fail)

    assert not packed_linear.can_prepack.__wrapped__("cpu", torch.float32)
    assert not packed_attention.has_fast_softmax.__wrapped__("cpu")


def test_operator_that_is_wrong_is_not_used(monkeypatch):
    """Such as one that gives nothing but zeros, or its input."""
    monkeypatch.setattr(packed_linear, "_multiply_prepacked", lambda *_: torch.zeros(8, 32))
    monkeypatch.setattr(packed_attention, "_softmax", lambda scores: scores)

    assert not packed_linear.can_prepack.__wrapped__("cpu", torch.float32)
    assert not packed_attention.has_fast_softmax.__wrapped__("cpu")


def test_groups_are_runs_of_equal_lengths():
    """With the places of their texts and tokens."""
    groups = find_groups([3, 3, 1, 3])

    assert groups == [Group(0, 0, 2, 3), Group(2, 6, 1, 1), Group(3, 7, 1, 3)]
    assert [group.tokens for group in groups] == [slice(0, 6), slice(6, 7), slice(7, 10)]
    assert find_groups([]) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_softmax_of_products(dtype, monkeypatch):
    """Slice by slice, for all tokens and for the first ones."""
    monkeypatch.setattr(packed_attention, "_SCORES_AT_ONCE", 100)
    generator = torch.Generator().manual_seed(0)
    layout, heads = Layout.of([4, 4, 4, 4, 4, 9, 1]), 2
    queries = torch.randn(30, 16, generator=generator).to(dtype)
    both = torch.randn(30, 32, generator=generator).to(dtype)
    keys, values = both.float().split(16, dim=1)
    expected = torch.empty(30, 16)
    for start, end in ((0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 29), (29, 30)):
        for head in (slice(0, 8), slice(8, 16)):
            scores = queries[start:end, head].float() @ keys[start:end, head].T
            expected[start:end, head] = torch.softmax(scores, -1) @ values[start:end, head]

    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    found = attend(queries, both, layout, num_heads=heads)
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=0)
    starts = torch.tensor([0, 4, 8, 12, 16, 20, 29])
    found = attend(queries[starts], both, layout, num_heads=heads)
    torch.testing.assert_close(found.float(), expected[starts], atol=tolerance, rtol=0)

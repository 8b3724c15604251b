"""What holds for pooling, ANCE's head, and the model of both."""

import pytest
import torch
from torch import nn

from ance_plugin.encode.model import AnceHead, EncoderModel, pool


@pytest.fixture(autouse=True)
def _same_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def body(bert_folder):
    """A BERT of two layers, 32 wide."""
    from transformers import BertModel

    return BertModel.from_pretrained(bert_folder, add_pooling_layer=False).eval()


def pool_in_a_loop(states, mask, pooling):
    rows = []
    for text, flags in zip(states, mask, strict=True):
        kept = [state for state, flag in zip(text, flags, strict=True) if flag]
        rows.append(text[0] if pooling == "cls" else sum(kept) / len(kept))
    return torch.stack(rows)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_is_what_a_loop_over_texts_gives(pooling):
    """First token, or the mean of those that are no padding."""
    states = torch.randn(3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])

    pooled = pool(states, mask, pooling)

    torch.testing.assert_close(pooled, pool_in_a_loop(states, mask, pooling))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_of_half_precision_is_in_float32(pooling):
    """Sums of many bf16 numbers would lose digits."""
    pooled = pool(torch.ones(1, 3, 4, dtype=torch.bfloat16), torch.ones(1, 3), pooling)

    assert pooled.dtype == torch.float32


def test_mean_of_no_token_is_zero_and_not_nan():
    """A text of padding alone does not come, and would not poison a batch."""
    assert pool(torch.randn(1, 3, 4), torch.zeros(1, 3), "mean").tolist() == [[0.0] * 4]


def test_head_is_linear_then_layer_norm():
    """Worked out by hand: (y - mean) / sqrt(var + 1e-5) * weight + bias."""
    head = AnceHead(4, 6)
    nn.init.normal_(head.norm.weight)
    nn.init.normal_(head.norm.bias)
    pooled = torch.randn(3, 4)
    projected = pooled @ head.embeddingHead.weight.T + head.embeddingHead.bias
    mean = projected.mean(dim=1, keepdim=True)
    variance = ((projected - mean) ** 2).mean(dim=1, keepdim=True)
    expected = (projected - mean) / (variance + 1e-5).sqrt() * head.norm.weight + head.norm.bias

    torch.testing.assert_close(head(pooled), expected)


def test_head_has_the_names_of_the_original_checkpoints():
    """``embeddingHead`` and ``norm``; 768 wide unless said otherwise."""
    shapes = {name: tuple(weight.shape) for name, weight in AnceHead(4).state_dict().items()}

    assert shapes == {
        "embeddingHead.weight": (768, 4),
        "embeddingHead.bias": (768,),
        "norm.weight": (768,),
        "norm.bias": (768,),
    }


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("has_head", [False, True])
def test_padding_does_not_change_a_vector(body, pooling, has_head):
    """A short text beside a long one is encoded as alone."""
    head = AnceHead(32, 8) if has_head else None
    model = EncoderModel(body, pooling, head=head).eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    padded = torch.tensor([[2, 7, 8, 3, 0, 0, 0], [2, 9, 10, 11, 12, 13, 3]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1] * 7])

    with torch.inference_mode():
        alone, beside = model(ids, torch.ones_like(ids)), model(padded, mask)

    torch.testing.assert_close(beside[:1], alone, atol=1e-5, rtol=1e-5)


def test_normalised_vectors_are_the_others_divided_by_their_lengths(body):
    """After the head, not before."""
    head = AnceHead(32, 8)
    ids = torch.tensor([[2, 7, 3], [2, 8, 3]])
    with torch.inference_mode():
        raw = EncoderModel(body, "cls", head=head)(ids, torch.ones_like(ids))
        found = EncoderModel(body, "cls", head=head, is_normalized=True)(ids, torch.ones_like(ids))

    torch.testing.assert_close(found, raw / raw.norm(dim=1, keepdim=True))


@pytest.mark.parametrize(("head", "dimension"), [(None, 32), (AnceHead(32, 8), 8)])
def test_dimension_is_that_of_the_head_or_the_body(body, head, dimension):
    """What an index must be made for."""
    model = EncoderModel(body, "cls", head=head)
    ids = torch.tensor([[2, 7, 3]])

    assert model.dimension == dimension
    assert model(ids, torch.ones_like(ids)).shape == (1, dimension)


def test_head_stays_in_float32_in_a_bf16_model(body):
    """The vectors too."""
    model = EncoderModel(body, "mean", head=AnceHead(32, 8)).to_compute_type(torch.bfloat16)
    ids = torch.tensor([[2, 7, 3]])

    assert {weight.dtype for weight in model.body.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in model.head.parameters()} == {torch.float32}
    assert model(ids, torch.ones_like(ids)).dtype == torch.float32

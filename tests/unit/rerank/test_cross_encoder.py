"""A cross-encoder is loaded whole or not at all, and scores a pair alike wherever it stands."""

import numpy as np
import pytest
import torch

from ance_plugin.encode.layouts.folder import CheckpointFolder
from ance_plugin.errors import FormatError
from ance_plugin.records import Document
from ance_plugin.rerank.classifier import start_classifier
from ance_plugin.rerank.cross_encoder import CrossEncoder, to_scores
from ance_plugin.rerank.pairs import BestPassage

TEXTS = ["the cat", "", "a red fox and a green lynx", "the dog eats the red cat " * 9, "naïve ü"]


def documents(texts=TEXTS):
    return [Document(f"d{number}", text) for number, text in enumerate(texts)]


def load(folder, **options):
    return CrossEncoder.load(str(folder), device="cpu", **{"precision": "fp32", **options})


def test_scores_do_not_depend_on_the_batch(model, classifier):
    """One by one, in twos, or all at once."""
    queries = ["red fox"] * len(TEXTS)

    together = model.score(queries, documents())

    alone = [model.score(["red fox"], [document])[0] for document in documents()]
    by_two = load(classifier, batch_size=2).score(queries, documents())
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS),)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(together, by_two, rtol=0, atol=1e-5)


def test_no_pairs_have_no_scores(model):
    """Zero queries and documents: shape (0,)."""
    assert model.score([], []).shape == (0,)


def test_as_many_queries_as_documents(model):
    """Else it is unclear whose score is whose."""
    with pytest.raises(ValueError, match="zip"):
        model.score(["a"], documents())


def test_best_passage_is_the_maximum_over_windows(model):
    """The score of a document is the highest of those its windows have by themselves."""
    long = " ".join(["the cat", "red fox", "a green lynx sees", "dog"] * 8)
    passage = BestPassage(6, 4)

    found = model.score(["red fox", "red fox"], documents([long, "dog"]), passage=passage)

    query, tokens, short = model.pairs.tokenize(["red fox", long, "dog"])
    made = [model.pairs.join(query, tokens[n : n + 6]) for n in range(0, len(tokens) - 2, 4)]
    expected = [model.score_pairs(made).max(), *model.score_pairs([model.pairs.join(query, short)])]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert len(set(np.round(model.score_pairs(made), 3))) > 5


def test_title_is_joined_by_the_template(classifier):
    """The template decides what of a document is scored."""
    document = Document("d", "eats the cat", "red fox")
    options = [{}, {"template": "{text}"}, {"template": "{title} : {text}"}]

    found = [load(classifier, **option).score(["a"], [document])[0] for option in options]

    texts = documents(["red fox eats the cat", "eats the cat", "red fox : eats the cat"])
    np.testing.assert_allclose(found, load(classifier).score(["a"] * 3, texts), atol=1e-5)


def test_of_two_outputs_the_second_is_relevant(make_classifier):
    """A classifier whose second bias is higher scores higher; scores are logarithms."""

    def shift(weights):
        return {**weights, "classifier.bias": weights["classifier.bias"] + torch.tensor([0.0, 2.0])}

    plain, shifted = (load(make_classifier(num_labels=2, change=c)) for c in (None, shift))
    queries = ["red"] * len(TEXTS)

    low, high = plain.score(queries, documents()), shifted.score(queries, documents())

    assert (low < high).all()
    assert (high < 0).all()


def test_two_outputs_are_told_apart_where_all_but_certain():
    """float32's log_softmax gives 0 for both of these."""
    scores = to_scores(torch.tensor([[-10.0, 10.0], [-10.5, 10.0]])).tolist()

    assert scores[0] < scores[1] < 0
    np.testing.assert_allclose(
        scores, [-np.log1p(np.exp(-20)), -np.log1p(np.exp(-20.5))], rtol=1e-6
    )


def test_bf16_computes_the_logits_in_float32(classifier):
    """Scores are near those of fp32, and no multiples of what bf16 can hold."""
    queries = ["red fox"] * len(TEXTS)

    half = load(classifier, precision="bf16").score(queries, documents())

    exact = load(classifier).score(queries, documents())
    np.testing.assert_allclose(half, exact, atol=0.3 * np.abs(exact).max())
    assert (torch.from_numpy(half).bfloat16().float().numpy() != half).any()


def test_length_is_what_the_tokenizer_states(make_classifier):
    """Unless one is given; the body's positions are the limit."""
    folder = make_classifier(max_length=32)

    assert load(folder).max_length == 32
    assert load(folder, max_length=40).max_length == 40
    assert load(make_classifier(max_length=10**30)).max_length == 64
    with pytest.raises(ValueError, match=r"max_length is 65, but .* has 64 positions"):
        load(folder, max_length=65)


def test_identity_tells_models_and_settings_apart(make_classifier, classifier):
    """Equal for the same files; another for other weights, lengths, templates."""
    same = load(classifier).identify()
    others = [
        load(make_classifier(seed=6)),
        load(classifier, max_length=32),
        load(classifier, max_query_tokens=9),
        load(classifier, template="{text}"),
        load(make_classifier(num_labels=2)),
    ]

    assert load(classifier, batch_size=1, precision="bf16").identify() == same
    assert all(other.identify() != same for other in others)


def drop(*keys):
    return lambda weights: {name: value for name, value in weights.items() if name not in keys}


def test_a_missing_classifier_is_an_error(make_classifier):
    """A body alone reranks nothing, whatever transformers would make up for it."""
    folder = make_classifier(change=drop("classifier.weight", "classifier.bias"))

    with pytest.raises(FormatError, match=r"has no classifier \(classifier.bias, .*train one"):
        load(folder)


@pytest.mark.parametrize("key", ["classifier.bias", "bert.pooler.dense.weight"])
def test_a_missing_weight_is_an_error(make_classifier, key):
    """Nothing is left at random."""
    with pytest.raises(FormatError, match=f"1 weights are missing: {key}"):
        load(make_classifier(change=drop(key)))


def test_a_weight_without_a_place_is_an_error(make_classifier):
    """The model would be another than the one that was trained."""

    def add(weights):
        return {**weights, "adapter.weight": torch.ones(1)}

    with pytest.raises(FormatError, match=r"have no place .*adapter.weight"):
        load(make_classifier(change=add))


def test_three_classes_are_refused(make_classifier):
    """Which of them would be the score?"""
    with pytest.raises(ValueError, match="tells 3 classes apart"):
        load(make_classifier(num_labels=3))


def test_pickled_tensors_are_read_and_code_is_not(make_classifier, classifier, model):
    """``pytorch_model.bin`` of plain tensors scores alike; one that would run code is refused."""
    from safetensors.torch import load_file

    folder = make_classifier()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert load(folder).identify() == model.identify()
    torch.save({"classifier.weight": print}, folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="cannot be read safely"):
        load(folder)


def test_scores_that_are_not_finite_are_an_error(make_classifier):
    """They would order documents by chance."""

    def spoil(weights):
        return {**weights, "classifier.bias": torch.tensor([float("nan")])}

    with pytest.raises(ValueError, match="not finite in fp32"):
        load(make_classifier(change=spoil)).score(["a"], documents(["the cat"]))


def test_loading_leaves_the_random_generator_alone(classifier):
    """Nothing a caller draws depends on whether a model was loaded before."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load(classifier)

    assert torch.rand(1) == expected


# Where training starts


def test_a_body_gets_a_new_classifier_by_its_seed(make_classifier, tiny_checkpoint):
    """The body's weights are kept, from transformers' layout and from ours; the head is drawn."""
    plain = make_classifier(change=drop("classifier.weight", "classifier.bias"))
    for folder, prefix in ((plain, "bert."), (tiny_checkpoint, "body.")):
        first, same, other = (start_classifier(str(folder), seed=seed) for seed in (0, 0, 1))

        weights = [found.model.state_dict() for found in (first, same, other)]
        head = [found["classifier.weight"] for found in weights]
        assert torch.equal(head[0], head[1])
        assert not torch.equal(head[0], head[2])
        assert head[0].shape == (1, 32)
        kept = CheckpointFolder(folder).weights
        name = "embeddings.word_embeddings.weight"
        assert torch.equal(weights[0][f"bert.{name}"], kept[f"{prefix}{name}"])


def test_a_classifier_is_trained_on(classifier, make_classifier):
    """With its head; one of two outputs is refused, as what is trained has one."""
    from safetensors.torch import load_file

    found = start_classifier(str(classifier), seed=9).model.state_dict()

    expected = load_file(classifier / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(ValueError, match="classifier of 2 classes"):
        start_classifier(str(make_classifier(num_labels=2)), seed=0)

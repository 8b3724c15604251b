"""What holds for fusing whatever the method."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.fusion.fuse import fuse, fuse_hits
from ance_plugin.fusion.methods import METHODS, NORMS, FusionParams
from ance_plugin.ranking import order, rank
from ance_plugin.records import Hit

PARAMS = [
    FusionParams(
        name,
        numbers={
            number: {"gamma": 0.5, "phi": 0.7}[number]
            for number in method.numbers
            if number in ("gamma", "phi")
        },
        weights=(0.4, 0.6) if method.has_weights else (),
    )
    for name, method in METHODS.items()
    if not method.trained
]
SCORES = st.integers(-20, 20).map(lambda number: number / 4)  # few values, so that many tie
LISTS = st.dictionaries(st.sampled_from("abcdefgh"), SCORES, max_size=8).map(
    lambda scores: order(Hit(*pair) for pair in scores.items())
)
BOTH = st.tuples(LISTS, LISTS)
quickly = settings(max_examples=20, deadline=None, derandomize=True)


@pytest.mark.parametrize("params", PARAMS, ids=lambda params: params.method)
@quickly
@given(lists=BOTH)
def test_every_document_comes_back_once_in_the_order_of_ranking(params, lists):
    """Nothing is lost or invented, and the order is the one rule's."""
    hits = fuse_hits(lists, params)

    docids = [hit.docid for hit in hits]
    assert sorted(docids) == sorted({hit.docid for given_hits in lists for hit in given_hits})
    assert hits == rank(docids, [hit.score for hit in hits])


@pytest.mark.parametrize("params", PARAMS, ids=lambda params: params.method)
@quickly
@given(lists=BOTH, k=st.integers(1, 9))
def test_keeping_k_hits_is_keeping_the_first_of_all(params, lists, k):
    """The short cut for small k cuts no tie differently."""
    assert fuse_hits(lists, params, k) == fuse_hits(lists, params)[:k]


@pytest.mark.parametrize("params", PARAMS, ids=lambda params: params.method)
@quickly
@given(lists=BOTH, data=st.data())
def test_order_within_the_lists_given_does_not_matter(params, lists, data):
    """Lists are ordered here, whoever made them."""
    shuffled = [data.draw(st.permutations(hits)) for hits in lists]

    assert fuse_hits(shuffled, params) == fuse_hits(lists, params)


SYMMETRIC = [params for params in PARAMS if not METHODS[params.method].keeps_sides]


@pytest.mark.parametrize("params", SYMMETRIC, ids=lambda params: params.method)
@quickly
@given(lists=BOTH)
def test_method_without_sides_is_symmetric(params, lists):
    """Exchanging the runs changes nothing."""
    assert fuse_hits(lists[::-1], params) == fuse_hits(lists, params)


@pytest.mark.parametrize("params", PARAMS, ids=lambda params: params.method)
@quickly
@given(lists=BOTH)
def test_one_topic_alone_is_fused_as_among_others(params, lists):
    """What a live search fuses is what the same lists in files give."""
    runs = [{"q": hits, "other": [Hit("z", 1.0)]} for hits in lists]

    assert fuse(runs, params)["q"] == fuse_hits(lists, params)


@pytest.mark.parametrize("norm", NORMS)
@quickly
@given(lists=BOTH)
def test_norms_cope_with_equal_scores_and_single_hits(norm, lists):
    """No norm divides by zero or loses a document."""
    hits = fuse_hits(lists, FusionParams("sum", norm))

    assert len(hits) == len({hit.docid for given_hits in lists for hit in given_hits})


def test_mistakes_are_named():
    """Each message has what was wrong."""
    one, two = [Hit("a", 1.0)], [Hit("a", 1.0), Hit("a", 2.0)]

    with pytest.raises(ValueError, match="at least two runs, found 1"):
        fuse([{}], FusionParams("rrf"))
    with pytest.raises(ValueError, match="k must be at least 1, found 0"):
        fuse_hits([one, one], FusionParams("rrf"), 0)
    with pytest.raises(ValueError, match="wsum has weights for 3 runs, but there are 2"):
        fuse_hits([one, one], FusionParams("wsum", weights=(1, 1, 1)))
    with pytest.raises(ValueError, match="list 2 holds a document twice"):
        fuse_hits([one, two], FusionParams("rrf"))
    with pytest.raises(ValueError, match="list 1 holds a score that is NaN or infinite"):
        fuse_hits([[Hit("a", float("nan"))], one], FusionParams("rrf"))
    with pytest.raises(ValueError, match="finite float32"):
        fuse_hits(
            [[Hit("a", 1e38)], [Hit("b", 1e38)]] * 4,
            FusionParams("gmnz", "none", numbers={"gamma": 99}),
        )

"""Packed hits are the hits, to whoever ranks, reads, fuses, measures or writes them."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ance_plugin.formats.runs import write_run
from ance_plugin.fusion.fuse import fuse
from ance_plugin.fusion.methods import METHODS, FusionParams
from ance_plugin.measures import per_topic
from ance_plugin.packed_hits import (
    LONGEST_DOCID,
    PackedHits,
    docids_of,
    join,
    pack,
    pack_padded,
    rank_packed,
    ranked_docids,
    scores_of,
    unpack,
)
from ance_plugin.ranking import order, rank
from ance_plugin.records import Hit

SHORT = st.text("ab1\x01~", max_size=8)
LONG = st.text("ab1\x01é\u20ac\U0001f600", max_size=8) | st.text("ab1", max_size=12)
SCORES = st.integers(-20, 20).map(lambda number: number / 4)  # few values, so that many tie
TOPICS = st.sampled_from(["1", "10", "q"])


def lists_of(docids):
    return st.dictionaries(docids, SCORES, max_size=8).map(
        lambda scores: order(Hit(*pair) for pair in scores.items())
    )


LISTS = lists_of(SHORT) | lists_of(LONG)
RUNS = st.dictionaries(TOPICS, LISTS, max_size=3)
quickly = settings(max_examples=60, deadline=None, derandomize=True)


def pack_hits(hits):
    docids = pack([docid for docid, _ in hits])
    return PackedHits(docids, np.array([score for _, score in hits], dtype=np.float64))


def pack_run(run):
    return {qid: pack_hits(hits) for qid, hits in run.items()}


@quickly
@given(docids=st.lists(SHORT) | st.lists(LONG))
@example(docids=[])
@example(docids=[""])
@example(docids=["12345678", "123456789"])
@example(docids=["\uffff", "\U00010000"])  # where UTF-16 would order otherwise
def test_packed_docids_are_the_docids_and_in_their_order(docids):
    """As numbers or as bytes, also where numbers are made bytes to be joined with longer ones."""
    packed = pack(docids)
    longest = max([len(docid.encode()) for docid in docids], default=0)

    assert unpack(packed) == docids
    assert unpack(np.sort(packed)) == sorted(docids)
    assert (packed.dtype == np.uint64) == (longest <= 8)
    joined = join([packed, pack(["a", "more than eight"])])
    assert unpack(np.sort(joined)) == sorted([*docids, "a", "more than eight"])


@pytest.mark.parametrize("docids", [["a\0"], ["a\nb"], ["a", "\ud800"], ["a" * 33], ["é" * 17]])
def test_docids_that_cannot_be_packed_are_not(docids):
    """A zero byte would be lost, a line feed would divide, and a long one would widen all."""
    assert pack(docids) is None
    assert rank_packed(docids, range(len(docids))) == rank(docids, range(len(docids)))


def test_padded_docids_are_packed_as_strings_are():
    """Whatever their width."""
    for docids in (["a", "12345678"], ["a", "123456789"], ["a"], ["a" * LONGEST_DOCID]):
        width = max(map(len, docids))
        padded = b"".join(docid.encode().ljust(width, b"\0") for docid in docids)
        packed = pack_padded(padded, width, len(docids))
        assert packed.dtype == pack(docids).dtype
        assert packed.tolist() == pack(docids).tolist()


@quickly
@given(hits=LISTS)
def test_they_are_the_sequence_that_they_were_made_of(hits):
    """Hits by place and by slice, their types, and what docids and scores are asked for alone."""
    packed = pack_hits(hits)

    assert packed == hits
    assert hits == packed
    assert len(packed) == len(hits)
    assert [packed[place] for place in range(-len(hits), len(hits))] == hits + hits
    assert packed[1:3] == hits[1:3]
    assert isinstance(packed[1:3], PackedHits)
    assert packed[::-1] == hits[::-1]
    assert isinstance(packed[::-1], list)  # as it is in another order
    assert list(reversed(packed)) == hits[::-1]
    assert packed != tuple(hits)
    assert all(type(hit) is Hit and type(hit.score) is float for hit in packed)
    assert docids_of(packed) == docids_of(hits) == [hit.docid for hit in hits]
    assert scores_of(packed) == scores_of(hits) == [hit.score for hit in hits]
    assert repr(packed) == repr(hits)


def test_a_place_beyond_the_last_is_an_index_error():
    """As of a list; so is one before the first."""
    packed = pack_hits([Hit("a", 1.0)])
    for place in (1, -2):
        with pytest.raises(IndexError):
            packed[place]
    for wrong in (1.0, "a", None, [0]):
        with pytest.raises(TypeError):
            packed[wrong]


@quickly
@given(
    docids=st.lists(SHORT, unique=True) | st.lists(LONG, unique=True),
    data=st.data(),
    k=st.none() | st.integers(0, 9),
)
def test_ranking_packed_is_ranking(docids, data, k):
    """Canonical scores, ties by docid, and the first of them."""
    floats = SCORES | st.floats(width=32, allow_nan=False, allow_infinity=False)
    scores = [data.draw(floats) for _ in docids]

    assert rank_packed(pack(docids), scores, k) == rank(docids, scores, k)
    assert rank_packed(docids, scores, k) == rank(docids, scores, k)


@pytest.mark.parametrize(
    ("scores", "k", "problem"),
    [([math.nan], None, "finite"), ([1.0, 2.0], None, "shorter"), ([1.0], -1, "at least 0")],
)
def test_ranking_refuses_what_rank_refuses(scores, k, problem):
    """A score that is not finite, another number of scores, and a negative ``k``."""
    with pytest.raises(ValueError, match=problem):
        rank_packed(pack(["a"]), scores, k)


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].trained])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(runs=st.lists(RUNS, min_size=2, max_size=3), k=st.integers(1, 9), depth=st.integers(1, 9))
def test_fusing_packed_hits_gives_what_fusing_hits_gives(method, runs, k, depth):
    """Whatever is missing, and where one run's docids are numbers and another's are not."""
    needs = {"gamma": 0.5, "phi": 0.7}
    numbers = {name: needs[name] for name in METHODS[method].numbers if name in needs}
    runs = runs[:2] if method == "interpolation" else runs
    weights = (0.4, 0.6, 0.1)[: len(runs)] if METHODS[method].has_weights else ()
    params = FusionParams(method, None, depth, numbers, weights=weights)
    expected = fuse(runs, params, k)

    fused = fuse([pack_run(run) for run in runs], params, k)
    mixed = fuse([pack_run(runs[0]), *runs[1:]], params, k)

    assert fused == mixed == expected
    assert list(fused) == list(expected)
    assert all(isinstance(hits, PackedHits) for hits in fused.values() if hits)


@pytest.mark.parametrize("score", [2.0, math.nan])
def test_a_document_twice_or_no_number_is_refused(score):
    """As among hits: an index of somebody's may hold a document twice."""
    packed = PackedHits(pack(["a", "a"]), np.array([3.0, score]))

    with pytest.raises(ValueError, match="list 2 holds a"):
        fuse([{"q": pack_hits([Hit("b", 1.0)])}, {"q": packed}], FusionParams())


@quickly
@given(run=RUNS, judged=st.dictionaries(TOPICS, st.dictionaries(LONG, st.integers(-1, 2))))
def test_measures_are_the_same(run, judged):
    """For topics that the run has, lacks, or has no hits for."""
    measures = ["ndcg@3", "recall@5", "mrr", "judged@4", "bpref"]

    assert per_topic(pack_run(run), judged, measures) == per_topic(run, judged, measures)


@quickly
@given(hits=LISTS, depth=st.none() | st.integers(0, 9))
def test_ranked_docids_are_the_same(hits, depth):
    """Down to a depth, or all."""
    expected = [hit.docid for hit in hits][:depth]

    assert ranked_docids(pack_hits(hits), depth) == ranked_docids(hits, depth) == expected


def test_ranked_docids_are_there_once():
    """Though hits have one twice."""
    twice = PackedHits(pack(["a", "a", "b"]), np.array([3.0, 2.0, 1.0]))

    assert ranked_docids(twice, 2) == ["a", "b"]


@pytest.mark.parametrize("output_format", ["trec", "msmarco"])
def test_the_file_is_the_same(tmp_path, output_format):
    """To the byte."""
    run = {"q1": [Hit("d2", 2.5), Hit("document-1", -0.125)], "q2": [], "q3": [Hit("d1", 1e-9)]}
    for name, content in (("hits", run), ("packed", pack_run(run))):
        write_run(tmp_path / name, content, tag="t", output_format=output_format)

    assert (tmp_path / "packed").read_bytes() == (tmp_path / "hits").read_bytes()

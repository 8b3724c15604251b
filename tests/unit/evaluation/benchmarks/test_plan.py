"""Which systems a benchmark has, and what decides each."""

from dataclasses import replace
from pathlib import Path

import pytest

from ance_plugin.formats.collection import Fingerprint
from evaluation.benchmarks.inputs import Inputs, JudgedTopics
from evaluation.benchmarks.layout import Settings
from evaluation.benchmarks.models import Computing, Model
from evaluation.benchmarks.plan import make_plan
from evaluation.benchmarks.stages import list_stages
from evaluation.benchmarks.table import Benchmark, Tuning

BENCHMARK = Benchmark("mine", "docs", "topics", "qrels", tuning=Tuning("dev", "dev", "mrr@10"))
TEST = JudgedTopics("topics", "qrels", frozenset("ab"), frozenset("tu"), 2, "1" * 64, "2" * 64)
DEV = JudgedTopics("dev", "dev", frozenset("cd"), frozenset("vw"), 2, "3" * 64, "4" * 64)
INPUTS = Inputs("docs", Fingerprint(9, "5" * 64), TEST, DEV, 2, 0)
ANCE = Model("ance", "ckpt/ance", {"weights_sha256": "6" * 64, "precision": "bf16"})
RERANKER = Model("rerank", "ckpt/ce", {"weights_sha256": "7" * 64})


def plan(*, settings=None, encoders=(ANCE,), reranker=RERANKER, inputs=INPUTS, benchmark=BENCHMARK):
    return make_plan(
        benchmark,
        inputs,
        settings or Settings(),
        encoders=encoders,
        reranker=reranker,
        artifacts=Path("made"),
    )


def stage(name, **options):
    made = plan(**options)
    stages = list_stages([system.stage for system in made.systems])
    return next(one for one in stages if one.name == name)


def names(made):
    return [system.name for system in made.systems]


def test_all_systems_in_the_order_of_the_report():
    """BM25, then each encoder's, then BM25 reranked."""
    assert names(plan()) == [
        *("bm25", "ance", "ance-rrf", "ance-interpolation", "ance-rerank", "bm25-rerank"),
    ]
    assert plan().notes == ()


def test_two_encoders_share_the_sparse_side():
    """One BM25 index and run for both."""
    other = replace(ANCE, name="other", identity={"weights_sha256": "8" * 64})

    made = plan(encoders=(ANCE, other), reranker=None)

    stages = [one.name for one in list_stages([system.stage for system in made.systems])]
    assert stages.count("bm25") == stages.count("bm25-index") == stages.count("tuning-bm25") == 1
    assert {"ance-vectors", "other-vectors"} <= set(stages)


def test_what_cannot_be_made_is_left_out_and_said():
    """Without tuning topics no interpolation, without models none of theirs."""
    assert plan(inputs=replace(INPUTS, tuning=None)).notes == (
        "interpolation left out: there are no topics to tune on beside those that are judged",
    )
    made = plan(encoders=(), reranker=None)
    assert names(made) == ["bm25"]
    assert len(made.notes) == 2


@pytest.mark.parametrize(
    ("kinds", "options", "problem"),
    [
        (("interpolation",), {"inputs": replace(INPUTS, tuning=None)}, "no topics to tune on"),
        (("bm25-rerank",), {"reranker": None}, "no --reranker was given"),
        (("bm25", "dense"), {"encoders": ()}, "dense cannot be made: no --encoder was given"),
    ],
)
def test_what_was_asked_for_must_be_made(kinds, options, problem):
    """A system that was named is never left out in silence."""
    with pytest.raises(ValueError, match=problem):
        plan(settings=Settings(kinds=kinds), **options)


def test_tuning_never_sees_what_is_judged():
    """The tuned parameters read runs and judgments of the tuning topics alone."""
    tuned = stage("ance-interpolation-tuned")

    assert [one.name for one in tuned.inputs] == ["tuning-bm25", "tuning-ance"]
    assert {one.settings["topics"] for one in tuned.inputs} == {DEV.topics_sha256}
    words = " ".join(tuned.words)
    assert "--qrels dev" in words
    assert "--measure mrr@10" in words
    assert TEST.topics_sha256[:10] not in words


@pytest.mark.parametrize(
    ("name", "changed", "same"),
    [
        ("k1", Settings(k1=1.2), "ance"),
        ("factory", Settings(factory="HNSW32"), "bm25"),
        ("rerank_depth", Settings(rerank_depth=10), "ance-rrf"),
        ("rrf_k", Settings(rrf_k=10), "ance-interpolation"),
    ],
)
def test_settings_decide_the_systems_they_touch(name, changed, same):
    """Those have another key, the others the same."""
    touched = {"k1": "bm25", "factory": "ance", "rerank_depth": "bm25-rerank", "rrf_k": "ance-rrf"}

    assert stage(touched[name], settings=changed).key != stage(touched[name]).key
    assert stage(same, settings=changed).key == stage(same).key


def test_encoder_topics_and_collection_decide():
    """Other weights, other topics, another collection: other artifacts, all the way down."""
    weights = replace(ANCE, identity={"weights_sha256": "9" * 64})
    topics = replace(INPUTS, test=replace(TEST, topics_sha256="a" * 64))
    docs = replace(INPUTS, fingerprint=Fingerprint(9, "b" * 64))
    reference = stage("ance-rrf")

    assert stage("ance-rrf", encoders=(weights,)).key != reference.key
    assert stage("ance-rrf", inputs=topics).key != reference.key
    assert stage("ance-rrf", inputs=docs).key != reference.key
    assert stage("bm25", encoders=(weights,)).key == stage("bm25").key
    assert stage("bm25-index", inputs=topics).key == stage("bm25-index").key


def test_threads_and_names_of_checkpoints_decide_nothing():
    """A checkpoint that was moved is the same checkpoint."""
    moved = replace(ANCE, checkpoint="elsewhere/ance")

    assert stage("ance", encoders=(moved,)).key == stage("ance").key
    assert stage("bm25", settings=Settings(threads=7)).key == stage("bm25").key


def test_long_documents_are_cut_and_joined():
    """Chunks are encoded, and a document has the score of its best one."""
    benchmark = replace(BENCHMARK, maxp="chunks", depth=100)

    assert "--maxp chunks" in " ".join(stage("ance-vectors", benchmark=benchmark).words)
    words = " ".join(stage("ance", benchmark=benchmark).words)
    assert "--hits 400 --max-passage --max-passage-hits 100" in words


def test_settings_for_published_figures_name_what_decides():
    """A reranked run has its first stage's setting and its own."""
    settings = {system.name: system.setting for system in plan().systems}

    assert settings["bm25"]["kind"] == "bm25"
    assert settings["bm25-rerank"] == {
        **settings["bm25"],
        "kind": "rerank",
        "first_stage": "bm25",
        "reranker": "ckpt/ce",
        "rerank_depth": 100,
    }
    assert settings["ance"]["encoder"] == "ckpt/ance"
    assert "k1" not in settings["ance"]


def test_flags_of_models_reach_their_commands():
    """Device, precision and batch size are passed on."""
    computing = Computing("cpu", "fp32", 8)

    words = " ".join(stage("ance-vectors", settings=Settings(computing=computing)).words)

    assert "--device cpu --precision fp32 --batch-size 8" in words


def test_unknown_system_is_refused():
    """The message lists those there are."""
    with pytest.raises(ValueError, match="system 'colbert' is unknown; there are bm25, dense"):
        Settings(kinds=("colbert",))


def test_topics_that_are_documents_are_not_their_own_hits():
    """Where a benchmark says so, every search leaves them out, and published figures may match."""
    own = replace(BENCHMARK, removes_query=True)

    for name in ("bm25", "ance", "tuning-bm25", "tuning-ance"):
        assert "--remove-query" in stage(name, benchmark=own).words
        assert "--remove-query" not in stage(name).words
        assert stage(name, benchmark=own).output != stage(name).output
    assert all(system.setting["removes_query"] for system in plan(benchmark=own).systems)

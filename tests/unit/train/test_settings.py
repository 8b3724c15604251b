"""Settings of a run: what cannot be meant is refused before anything is read."""

import math
import re

import pytest

from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

DATA = Data("C", "T", "Q")


def make(**groups):
    """Make settings of a run of which some groups are given."""
    plain = {
        "data": DATA,
        "start": Start("E"),
        "optimization": Optimization(),
        "negatives": MiningSettings(),
        "refresh": Refresh(),
    }
    return TrainSettings(**plain | groups)


WRONG_OPTIMIZATION = {
    "loss must be one of softmax, pairwise-nll, margin-mse, kl, found 'nll'": {"loss": "nll"},
    "optimizer must be one of adamw, lamb, found 'sgd'": {"optimizer": "sgd"},
    "schedule must be one of linear, cosine, constant, found 'step'": {"schedule": "step"},
    "precision must be one of bf16, fp32, found 'fp16'": {"precision": "fp16"},
    "num_steps must be at least 1, found 0": {"num_steps": 0},
    "batch_size must be at least 1, found -3": {"batch_size": -3},
    "accumulate must be at least 1, found 0": {"accumulate": 0},
    "negatives_per_topic must be at least 0, found -1": {"negatives_per_topic": -1},
    "lr_warmup_steps must be at least 0, found -1": {"lr_warmup_steps": -1},
    "seed must be at least 0, found -1": {"seed": -1},
    "weight_decay must be at least 0, and finite, found -0.1": {"weight_decay": -0.1},
    "in_batch_weight must be at least 0, and finite, found inf": {"in_batch_weight": math.inf},
    "in_batch_weight must be at least 0, and finite, found nan": {"in_batch_weight": math.nan},
    "learning_rate must be above 0, and finite, found 0": {"learning_rate": 0},
    "learning_rate must be above 0, and finite, found inf": {"learning_rate": math.inf},
    "learning_rate must be above 0, and finite, found nan": {"learning_rate": math.nan},
    "temperature must be above 0, and finite, found -1": {"temperature": -1},
    "max_grad_norm must be at least 0, and finite, found -1": {"max_grad_norm": -1},
    "save_steps must be above 0, and finite, found 0": {"save_steps": 0},
    "chunk_tokens must be above 0, and finite, found 0": {"chunk_tokens": 0},
    "loss kl needs negatives_per_topic of at least 1, found 0": {
        "loss": "kl",
        "negatives_per_topic": 0,
    },
    "with negatives_per_topic 0 and in_batch_weight 0 nothing is learnt": {
        "negatives_per_topic": 0,
        "in_batch_weight": 0,
    },
    "a batch of one topic has no in-batch negatives": {"negatives_per_topic": 0, "batch_size": 1},
}
WRONG_REFRESH = {
    "refresh must be one of sync, async, static, found 'often'": {"mode": "often"},
    "when_stale must be one of block, warn, found 'fail'": {"when_stale": "fail"},
    "refresher must be one of own, external, found 'none'": {"refresher": "none"},
    "refresh_precision must be one of bf16, fp32, fp16, found 'int8'": {"precision": "int8"},
    "refresh_share must be 1, 1/2, 1/3 and so on, found 0": {"refresh_share": 0},
    "refresh_share must be 1, 1/2, 1/3 and so on, found 1.5": {"refresh_share": 1.5},
    "refresh_share must be 1, 1/2, 1/3 and so on, found 0.7": {"refresh_share": 0.7},
    "refresh_share must be 1, 1/2, 1/3 and so on, found 0.4": {"refresh_share": 0.4},
    "refresh_share must be 1, 1/2, 1/3 and so on, found nan": {"refresh_share": math.nan},
    "refresh_steps must be at least 1, found 0": {"refresh_steps": 0},
    "dev_depth must be at least 1, found 0": {"dev_depth": 0},
    "keep_checkpoints must be at least 1, found 0": {"keep_checkpoints": 0},
    "max_staleness must be at least 1, found 0": {"max_staleness": 0},
    "patience must be at least 1, found 0": {"patience": 0},
    "threads must be at least 1, found 0": {"threads": 0},
    "max_staleness 10 is below refresh_steps 500: training would wait for ever": {
        "mode": "async",
        "max_staleness": 10,
    },
    "max_staleness is of async refreshes": {"max_staleness": 1000},
    "dev_measure recall@1000 needs dev_depth 1000 or more": {
        "dev_measure": "recall@1000",
        "dev_depth": 10,
    },
    "measure 'nonsense' is unknown": {"dev_measure": "nonsense"},
}
WRONG_TOGETHER = {
    "loss margin-mse needs --teacher, a cross-encoder": {
        "optimization": Optimization(loss="margin-mse")
    },
    "--teacher-threshold needs --teacher, a cross-encoder": {
        "negatives": MiningSettings(teacher_threshold=0.9)
    },
    "a mix with bm25 needs BM25 negatives: --sparse-index, --triples or --negatives": {
        "negatives": MiningSettings(mix={"ann": 1.0, "bm25": 0.5})
    },
    "patience needs dev topics, on which to see that nothing gets better": {
        "refresh": Refresh(patience=2)
    },
    "negatives_per_topic 5 is above num_negatives 4": {
        "optimization": Optimization(negatives_per_topic=5),
        "negatives": MiningSettings(num_negatives=4),
    },
}


@pytest.mark.parametrize(("message", "values"), WRONG_OPTIMIZATION.items())
def test_optimization_out_of_range(message, values):
    """The message names the setting, its range and the value."""
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        Optimization(**values)


@pytest.mark.parametrize(("message", "values"), WRONG_REFRESH.items())
def test_refresh_out_of_range(message, values):
    """Likewise; a measure is looked up before the first refresh needs it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Refresh(**values)


@pytest.mark.parametrize(("message", "groups"), WRONG_TOGETHER.items())
def test_groups_that_do_not_go_together(message, groups):
    """What one group asks for another must give."""
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        make(**groups)


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("--dev-topics and --dev-qrels go together", {"dev_topics": "T"}),
        ("--dev-topics and --dev-qrels go together", {"dev_qrels": "Q"}),
        (
            "give one of --negatives, --sparse-index and --triples",
            {"triples": "F", "sparse_index": "S"},
        ),
    ],
)
def test_data_that_do_not_go_together(message, values):
    """Topics without judgments, and two sources of BM25 negatives."""
    with pytest.raises(ValueError, match=message):
        Data("C", "T", "Q", **values)


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("head_dimension must be at least 1, found 0", {"head_dimension": 0}),
        ("maxp must be one of chunks, found 'segments'", {"maxp": "segments"}),
    ],
)
def test_start_out_of_range(message, values):
    """A head without dimensions, and a kind of MaxP that cannot be trained."""
    with pytest.raises(ValueError, match=message):
        Start("E", **values)


def test_shares_of_zero_need_no_source():
    """A mix that names bm25 with a share of 0 does not use it."""
    settings = make(negatives=MiningSettings(mix={"ann": 1.0, "bm25": 0.0}))

    assert settings.has_ann
    assert not make(negatives=MiningSettings(mix={"random": 1.0})).has_ann


@pytest.mark.parametrize(
    ("measure", "depth"), [("recall@10", 10), ("recall@1000", 1000), ("ndcg@10", 10), ("map@5", 9)]
)
def test_measure_within_the_hits_is_taken(measure, depth):
    """The cutoff may be as deep as dev topics are searched."""
    assert Refresh(dev_measure=measure, dev_depth=depth).dev_measure == measure


@pytest.mark.parametrize("share", [1.0, 0.5, 0.33, 0.25, 0.2, 0.1, 0.01])
def test_share_of_a_whole_number_of_rounds(share):
    """Of 1/n each topic comes once in n rounds; 0.33 is a third."""
    assert Refresh(refresh_share=share).refresh_share == share


def test_settings_come_back_from_json():
    """As they stand in training.json."""
    settings = make(
        data=Data("C", "T", "Q", "DT", "DQ", triples="F", teacher="M"),
        start=Start("E", overrides={"max_document_tokens": 9}, head_dimension=8, maxp="chunks"),
        optimization=Optimization(loss="kl", max_grad_norm=0.0),
        negatives=MiningSettings(mix={"ann": 0.5, "bm25": 0.5}, margin=0.1),
        refresh=Refresh(mode="async", max_staleness=1000),
    )

    assert TrainSettings.from_json(settings.to_json()) == settings

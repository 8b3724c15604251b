"""Systems are timed in turns, slow ones as often as their time allows, and nothing is left out."""

import csv
import io
import json
import time
from collections import Counter

import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.artifacts import write_json
from ance_plugin.encode.encoder import Encoder
from evaluation import latency_report, latency_summary
from evaluation.costs import read_latency
from evaluation.latency import Measured, Settings, measure, plan_rounds, sum_stages
from evaluation.latency_systems import Dense
from evaluation.stopwatch import Sample, Stopwatch, find_percentile, find_ratio

QUERIES = [f"query {number}" for number in range(8)]


class Sleeper:
    """A system that takes as long as it is told, and logs what it is asked."""

    parts = ()

    def __init__(self, name, log, seconds=0.0, depth=None):
        self.name, self.depth, self._log, self._seconds = name, depth, log, seconds

    def answer(self, queries, stopwatch):
        self._log.append((self.name, tuple(queries)))
        with stopwatch.stage("sleep"):
            time.sleep(self._seconds * len(queries))
        return [[] for _ in queries]


def settings(**changes):
    return Settings(**{"batch_size": 1, "num_warmup": 1, "max_seconds": 60.0, **changes})


def sample(topic, milliseconds, *, cpu=None, num_queries=1, stages=None):
    nanoseconds = int(milliseconds * 1e6)
    cpu_ns = nanoseconds if cpu is None else int(cpu * 1e6)
    return Sample(topic, num_queries, nanoseconds, cpu_ns, stages or {"work": nanoseconds})


def measured(name, times, *, depth=None, batch_size=1):
    samples = [sample(topic, value, num_queries=batch_size) for topic, value in enumerate(times)]
    return Measured(name, depth, batch_size, tuple(samples), len(samples))


def test_every_round_has_every_system_in_an_order_of_its_own():
    """All systems answer a topic before any answers the next; neither is always first."""
    log = []

    measure([Sleeper("a", log), Sleeper("b", log)], QUERIES, settings(repeats=4))

    asked = log[2:]  # after a warm-up of one query each
    rounds = [asked[start : start + 2] for start in range(0, len(asked), 2)]
    assert len(rounds) == 4 * len(QUERIES)
    assert all({name for name, _ in one} == {"a", "b"} for one in rounds)
    assert all(len({queries for _, queries in one}) == 1 for one in rounds)
    assert {one[0][0] for one in rounds} == {"a", "b"}
    assert [one[0][1][0] for one in rounds] == QUERIES * 4


def test_orders_are_those_of_the_seed():
    """The same seed, the same turns."""
    logs = [[], [], []]

    for seed, log in zip((1, 1, 2), logs, strict=True):
        measure([Sleeper("a", log), Sleeper("b", log)], QUERIES, settings(repeats=2, seed=seed))

    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_batches_are_whole():
    """Eight topics are two batches of three; every query has its share of a batch's time."""
    log = []

    found = measure([Sleeper("a", log, 0.002)], QUERIES, settings(batch_size=3))

    single, batch = found
    assert (single.batch_size, len(single.samples)) == (1, 8)
    assert (batch.batch_size, len(batch.samples), batch.num_planned) == (3, 2, 2)
    assert [queries for _, queries in log[-2:]] == [tuple(QUERIES[:3]), tuple(QUERIES[3:6])]
    row = latency_summary.summarise(batch, memory_bytes=None)
    assert row["num_queries"] == 6
    assert row["p50_ms"] == pytest.approx(np.mean([one.wall_ns for one in batch.samples]) / 3e6)
    assert row["p50_ms"] >= 2


def test_slow_system_answers_fewer_topics_from_first_to_last():
    """Its topics are never neighbours, and the report says how many there were."""
    log = []
    slow, fast = Sleeper("slow", log, 0.05), Sleeper("fast", log)

    found = measure([slow, fast], QUERIES, settings(max_seconds=0.21))

    topics = [one.first_topic for one in found[0].samples]
    assert len(found[1].samples) == len(QUERIES)
    assert 1 <= len(topics) <= 4
    assert topics[0] in (1, 2, 4)  # of four, three or two, or one
    assert np.diff(topics).min(initial=2) >= 2
    notes = latency_summary.find_notes(found, [0.0, 0.0], 2)
    assert notes == [f"slow: {len(topics)} of 8 queries in the time allowed"]


def test_a_batch_that_takes_too_long_is_named():
    """Not measured, and said so; single queries have at least one sample however slow."""
    found = measure([Sleeper("slow", [], 0.03)], QUERIES, settings(max_seconds=0.02, batch_size=4))

    assert [len(one.samples) for one in found] == [1, 0]
    notes = latency_summary.find_notes(found, [0.0, 0.0], 2)
    assert notes[1] == "slow: batches of 4 not timed, as one would take longer than allowed"


@pytest.mark.parametrize("num_wanted", [0, 1, 3, 10])
def test_rounds_are_spread(num_wanted):
    """As many as wanted, the gaps between them differing by one at most."""
    chosen = sorted(plan_rounds(10, num_wanted))

    assert len(chosen) == num_wanted
    assert all(0 <= number < 10 for number in chosen)
    assert np.ptp(np.diff(chosen)) <= 1 if num_wanted > 2 else True
    assert num_wanted != 1 or chosen == [5]


def test_interval_of_a_percentile_covers_it():
    """Of 400 experiments with 40 samples, 95% hold the true median, give or take chance."""
    generator = np.random.default_rng(0)
    draws = generator.lognormal(size=(400, 40))  # of median 1

    found = [find_percentile(list(draw), 50) for draw in draws]

    covered = sum(one.low <= 1 <= one.high for one in found)
    assert 370 <= covered <= 396
    assert found[0].value == pytest.approx(np.median(draws[0]))


@pytest.mark.parametrize(("percent", "needed"), [(50, 6), (95, 72), (99, 368)])
def test_few_samples_give_no_interval(percent, needed):
    """One fewer than needed has none, in the numbers that the docstring names."""
    values = list(np.arange(1.0, needed + 1))

    assert find_percentile(values, percent).high is not None
    assert find_percentile(values[:-1], percent).low is None
    assert find_percentile(values[:-1], percent).high is None


def test_ratio_is_of_medians_over_shared_topics():
    """Topics that only one system answered do not count."""
    slow = measured("bm25-rerank", [100.0, 200.0, 300.0], depth=100)
    fast = measured("dense", [1.0, 2.0, 3.0, 50.0, 60.0])

    ratios = latency_summary.compare_to_reranking([slow, fast], seed=0)

    found = ratios["bm25-rerank 100"]["dense"]
    assert found["num_topics"] == 3
    assert found["ratio"] == pytest.approx(100)
    assert found["ratio_ci95"][0] <= 100 <= found["ratio_ci95"][1]


def test_ratio_of_one_topic_has_no_interval():
    """There is nothing to draw from."""
    ratio = find_ratio(np.array([6.0]), np.array([2.0]), seed=0)

    assert (ratio.value, ratio.low, ratio.high) == (3.0, None, None)


def test_stages_sum_to_the_whole():
    """What no stage holds is called other; a stage that is entered twice adds up."""
    stopwatch = Stopwatch()
    for _ in range(2):
        with stopwatch.stage("sleep"):
            time.sleep(0.002)
    samples = [sample(0, 10, stages={"a": 4_000_000, "b": 5_000_000}), sample(1, 20)]

    stages = sum_stages(samples)

    assert stopwatch.stages["sleep"] >= 4_000_000
    assert stages == pytest.approx({"a": 2.0, "b": 2.5, "other": 0.5, "work": 10.0})


def test_dense_stages_give_what_the_searcher_gives(tiny_checkpoint, tmp_path):
    """Tokens, vectors and hits one after the other are ``batch_search``."""
    from ance_plugin.encode.corpus import encode_collection
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index
    from ance_plugin.search.dense import DenseSearcher

    lines = [json.dumps({"id": f"d{n}", "contents": f"red fox {'cat ' * n}"}) for n in range(9)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")
    encode_collection(Collection(str(tmp_path / "docs.jsonl")), encoder, tmp_path / "vectors")
    build_dense_index(Vectors(tmp_path / "vectors"), tmp_path / "index")
    searcher = DenseSearcher(tmp_path / "index", encoder)
    stopwatch = Stopwatch()

    found = Dense(searcher, k=4).answer(["cat", "red fox"], stopwatch)

    assert found == list(searcher.batch_search(["cat", "red fox"], ["1", "2"], 4).values())
    assert list(stopwatch.stages) == ["tokenise query", "encode query", "dense search"]


@pytest.fixture
def report():
    """A report of two systems, one of them at two batch sizes."""
    found = [
        measured("dense", [2.0] * 10),
        measured("bm25-rerank", [400.0] * 10, depth=100),
        measured("dense", [8.0] * 5, batch_size=8),
    ]
    rows = [latency_summary.summarise(one, memory_bytes=3 << 20) for one in found]
    model = {"name": "m", "precision": "bf16", "device": "cpu"}
    return {
        "command": "c",
        "date": "2000-01-01",
        "hits_text": "100 hits",
        "systems": rows,
        "ratios": latency_summary.compare_to_reranking(found, seed=0),
        "offline": {"dense index": {"seconds": 1.5, "num_vectors": 7}, "sparse index": None},
        "peak_memory_bytes": 5 << 20,
        "models": {"encoder": model},
        "machine": {"cpu": "x", "num_cores": 2, "threads": 1},
        "published": latency_summary.PUBLISHED,
        "notes": ["of a test"],
        "versions": {"torch": "2.0"},
    }


def test_report_says_what_was_measured(report):
    """The tables have medians, rates, ratios, the published figures and every note."""
    lines = latency_report.format_terminal(report).splitlines()

    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    single = ["dense", "1", "10", "2.00 [2.00, 2.00]", "2.00", "2.00", "2.00 [2.00, 2.00]"]
    assert [*single, "500", "3"] in cells
    assert ["bm25-rerank 100", "dense", "200 [200, 200]", "200 [200, 200]", "10"] in cells
    assert ["dense", "8", "40", "1.00", "1.00", "1.00", "1.00", "1,000", "3"] in cells
    assert "Offline: the dense index of 7 took 1.5 s to make." in lines
    assert "Note: of a test." in lines
    assert any(line.startswith("Published (Xiong") and "ratio 122" in line for line in lines)


def test_files_hold_the_same_numbers(report, tmp_path):
    """JSON, CSV and Markdown, one row a system and batch size."""
    latency_report.write_report(tmp_path, report)

    rows = list(csv.DictReader(io.StringIO((tmp_path / "latency.csv").read_text())))
    assert [(row["name"], row["batch_size"]) for row in rows] == [
        ("dense", "1"),
        ("bm25-rerank", "1"),
        ("dense", "8"),
    ]
    assert [float(row["p50_ms"]) for row in rows] == [2.0, 400.0, 1.0]
    assert json.loads((tmp_path / "latency.json").read_text()) == report
    counted = Counter(line[:8] for line in (tmp_path / "latency.md").read_text().splitlines())
    assert counted["| dense "] == 4  # two rows of times, two of stages
    artifacts.verify(tmp_path, latency_report.KIND)  # so that --overwrite knows it again


def test_compare_reads_the_report(report, tmp_path):
    """By the runs' tags: a single query's median, at the depth that its run was reranked to."""
    write_json(tmp_path / "latency.json", report)

    tags, runs = {"ance": "dense", "ce-100": "bm25-rerank"}, {}
    for name, settings in {"ance": {}, "ce-100": {"rerank_depth": 100}}.items():
        runs[name] = tmp_path / f"{name}.trec"
        write_json(tmp_path / f"{name}.trec.json", settings)
    costs = read_latency(tmp_path / "latency.json", tags, runs)

    assert [(cost.system, cost.latency_ms) for cost in costs] == [("ance", 2.0), ("ce-100", 400.0)]


@pytest.mark.parametrize("name", ["batch_size", "repeats", "num_warmup", "max_seconds"])
def test_settings_out_of_range_are_refused(name):
    """Zero of anything measures nothing."""
    with pytest.raises(ValueError, match=name):
        settings(**{name: 0})

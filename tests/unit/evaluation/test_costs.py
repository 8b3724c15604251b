"""Costs come from a latency report, else from what runs recorded."""

import json

import pytest

from ance_plugin.artifacts import sha256_file
from ance_plugin.errors import FormatError
from ance_plugin.formats.runs import write_manifest
from evaluation.costs import find_front, read_latency, read_run_seconds


def row(name, p50_ms, *, batch_size=1, depth=None):
    return {"name": name, "depth": depth, "batch_size": batch_size, "p50_ms": p50_ms}


def write(folder, rows):
    path = folder / "latency.json"
    path.write_text(json.dumps({"systems": rows}))
    return path


def make_run(folder, name, **manifest):
    path = folder / f"{name}.trec"
    path.write_text(f"1 Q0 d 1 1.0 {name}\n")
    write_manifest(path, manifest)
    return path


def test_rows_are_matched_by_name_then_by_tag(tmp_path):
    """A single query counts before a batch; a system without a row is left out."""
    rows = [row("bm25", 1.5, batch_size=32), row("bm25", 4.0), row("dense", 9.0)]
    tags = {"bm25": "x", "ours": "dense", "other": "none"}
    runs = {name: tmp_path / name for name in tags}

    found = read_latency(write(tmp_path, rows), tags, runs)

    assert [(cost.system, cost.latency_ms) for cost in found] == [("bm25", 4.0), ("ours", 9.0)]
    assert found[0].source == "median of evaluation latency, 1 a batch"


def test_a_reranked_run_has_the_latency_of_its_depth(tmp_path):
    """The depth beside the run chooses among rows; without a row of it there is no latency."""
    path = write(tmp_path, [row("ce", 100.0, depth=100), row("ce", 990.0, depth=1000)])
    deep = make_run(tmp_path, "deep", rerank_depth=1000)
    other = make_run(tmp_path, "other", rerank_depth=50)

    (found,) = read_latency(path, {"deep": "ce", "other": "ce"}, {"deep": deep, "other": other})

    assert (found.system, found.latency_ms) == ("deep", 990.0)
    assert found.source.endswith("depth 1000")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"systems": None}, 'expected {"systems"'),
        ({"systems": {}}, 'expected {"systems"'),
        ({"systems": [{"name": "bm25"}]}, 'needs "name" and "batch_size"'),
        ({"systems": [row("bm25", 0)]}, "p50_ms must be above zero, found 0"),
        ({"systems": [row("bm25", True)]}, "p50_ms must be above zero, found True"),
        ({"systems": [row("x", 1.0)]}, "has none of the systems bm25; it has x"),
        ({"systems": []}, "has none of the systems bm25; it has none"),
    ],
)
def test_another_file_is_refused(tmp_path, content, problem):
    """What is no latency report of these systems is named with what is wrong."""
    path = tmp_path / "latency.json"
    path.write_text(json.dumps(content))

    with pytest.raises(FormatError, match=problem):
        read_latency(path, {"bm25": "t"}, {"bm25": tmp_path / "none"})


def test_a_missing_report_is_an_error(tmp_path):
    """The error says which command writes it."""
    with pytest.raises(FileNotFoundError, match="write it with evaluation latency"):
        read_latency(tmp_path / "none.json", {}, {})


def test_seconds_of_a_fused_run_include_its_inputs(tmp_path):
    """Seconds over topics, of the run and of those it was made from, if they are the same still."""
    sparse = make_run(tmp_path, "sparse", seconds=3.0, num_topics=10)
    dense = make_run(tmp_path, "dense", seconds=1.0, num_topics=10)
    inputs = [{"path": str(path), "sha256": sha256_file(path)} for path in (sparse, dense)]
    fused = make_run(tmp_path, "fused", seconds=0.5, num_topics=10, runs=inputs)
    unknown = make_run(tmp_path, "unknown", seconds=0.5)
    runs = {"sparse": sparse, "fused": fused, "unknown": unknown, "none": tmp_path / "none"}

    found = read_run_seconds(runs)

    assert {cost.system: cost.latency_ms for cost in found} == pytest.approx(
        {"sparse": 300.0, "fused": 450.0}
    )
    dense.write_text("1 Q0 e 1 1.0 changed\n")
    assert [cost.system for cost in read_run_seconds({"fused": fused})] == []


def test_the_front_is_what_nothing_is_better_than():
    """Cheapest first; of equal cost the best, of equal effect the cheapest."""
    points = [(5.0, 0.5), (1.0, 0.3), (1.0, 0.4), (7.0, 0.5), (9.0, 0.9), (8.0, 0.2)]

    assert find_front(points) == [2, 0, 4]
    assert find_front([]) == []

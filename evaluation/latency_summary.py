"""What was measured, as numbers: percentiles, stages, ratios to reranking, notes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.latency import Measured, sum_stages
from evaluation.stopwatch import Percentile, find_percentile, find_ratio

PERCENTS = (50, 95, 99)
BASELINE = "bm25-rerank"
# Xiong et al., "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text
# Retrieval", ICLR 2021 (arXiv 2007.00808), table 5: MS MARCO documents, the first 100 hits. The
# parts of its cascade sum to 1,187 ms, not to the 1,420 ms that it gives in all.
PUBLISHED: dict[str, Any] = {
    "source": "Xiong et al., ICLR 2021 (arXiv 2007.00808), table 5",
    "setting": "MS MARCO documents, 100 hits; one V100 of 32 GB, 650 GB of memory; batched",
    "ms_per_query": {
        "BM25": 37.0,
        "BERT reranking of 100": 1150.0,
        "BM25 + BERT in all": 1420.0,
        "encode query": 2.6,
        "ANN search": 9.0,
        "ANCE in all": 11.6,
    },
    "ms_per_document": {"encode": 4.5},
    "ratio": 1420.0 / 11.6,
}


def summarise(measured: Measured, *, memory_bytes: int | None) -> dict[str, Any]:
    """Reduce the samples of a system to one row.

    Of a batch, each query counts with its share of the time.

    Args:
        measured: With at least one sample.
        memory_bytes: What its parts hold.

    Returns:
        As it stands in ``latency.json``.
    """
    samples = measured.samples
    wall = [sample.wall_ns / 1e6 / sample.num_queries for sample in samples]
    cpu = [sample.cpu_ns / 1e6 / sample.num_queries for sample in samples]
    row: dict[str, Any] = {
        "name": measured.system,
        "depth": measured.depth,
        "batch_size": measured.batch_size,
        "num_queries": sum(sample.num_queries for sample in samples),
        "num_calls": len(samples),
        "num_calls_planned": measured.num_planned,
    }
    for percent in PERCENTS:
        found = find_percentile(wall, percent)
        row[f"p{percent}_ms"] = found.value
        row[f"p{percent}_ci95_ms"] = [found.low, found.high]
    median = find_percentile(cpu, 50)
    stages = sum_stages(samples)
    total = sum(stages.values())
    return row | {
        "mean_ms": float(np.mean(wall)),
        "cpu_p50_ms": median.value,
        "cpu_p50_ci95_ms": [median.low, median.high],
        "queries_per_second": 1000 * len(wall) / sum(wall),
        "memory_bytes": memory_bytes,
        "stages": {
            name: {"mean_ms": value, "share": value / total} for name, value in stages.items()
        },
        "calls": [
            {"first_topic": sample.first_topic, "wall_ms": one, "cpu_ms": other}
            for sample, one, other in zip(samples, wall, cpu, strict=True)
        ],
    }


def compare_to_reranking(measured: Sequence[Measured], *, seed: int) -> dict[str, Any]:
    """Divide the time of BM25 with reranking by every other system's, for single queries.

    Args:
        measured: All systems; those of other batch sizes are passed over.
        seed: Of the intervals.

    Returns:
        Baseline with its depth -> system -> ratio of medians over the topics that both answered,
        of wall and of CPU time, with intervals.
    """
    single = [one for one in measured if one.batch_size == 1]
    return {
        slow.label: {
            fast.label: _find_ratios(slow, fast, seed) for fast in single if fast.system != BASELINE
        }
        for slow in single
        if slow.system == BASELINE
    }


def _find_ratios(slow: Measured, fast: Measured, seed: int) -> dict[str, Any]:
    ratios: dict[str, Any] = {}
    for name, of_cpu in (("ratio", False), ("cpu_ratio", True)):
        ours, theirs = (one.median_by_topic(of_cpu=of_cpu) for one in (slow, fast))
        shared = sorted(ours.keys() & theirs.keys())
        if not shared:
            return {"num_topics": 0}
        found: Percentile = find_ratio(
            np.array([ours[topic] for topic in shared]),
            np.array([theirs[topic] for topic in shared]),
            seed=seed,
        )
        ratios |= {name: found.value, f"{name}_ci95": [found.low, found.high]}
        ratios["num_topics"] = len(shared)
    return ratios


def find_notes(measured: Sequence[Measured], loads: Sequence[float], num_cores: int) -> list[str]:
    """Say what a reader of the numbers must know.

    Args:
        measured: All systems.
        loads: Load averages at the start and at the end.
        num_cores: Of the machine.
    """
    notes = []
    for one in measured:
        num_done = len(one.samples)
        what = "queries" if one.batch_size == 1 else f"batches of {one.batch_size}"
        if not num_done:
            notes.append(f"{one.label}: {what} not timed, as one would take longer than allowed")
        elif num_done < one.num_planned:
            notes.append(f"{one.label}: {num_done} of {one.num_planned} {what} in the time allowed")
    if loads[0] > 0.5:
        notes.append(
            f"the load average was {loads[0]} before and {loads[1]} after, on {num_cores} cores: "
            "other work ran; CPU times are nearer to those of a quiet machine than wall times"
        )
    return notes


def find_dominant(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Say for each system which stage takes most of a single query's time.

    Args:
        rows: What ``summarise`` gave.
    """
    found = []
    for row in rows:
        if row["batch_size"] == 1:
            stage, cost = max(row["stages"].items(), key=lambda item: item[1]["share"])
            found.append(f"{label(row)}: {stage}, {100 * cost['share']:.1f}%")
    return found


def label(row: dict[str, Any]) -> str:
    """Name a row's system with its depth."""
    return row["name"] if row["depth"] is None else f"{row['name']} {row['depth']}"

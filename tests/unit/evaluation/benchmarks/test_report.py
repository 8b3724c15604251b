"""The report: judged by judgments or answers, published figures, and how it was made."""

import json
import math
from dataclasses import replace

import pytest

from ance_plugin.formats.collection import Fingerprint
from evaluation.benchmarks.inputs import read_inputs
from evaluation.benchmarks.plan import Plan, System
from evaluation.benchmarks.report import Finished, hash_code, write_report
from evaluation.benchmarks.stages import Stage, Workshop
from evaluation.benchmarks.table import Benchmark

BM25 = {"kind": "bm25", "k1": 0.9, "b": 0.4, "index_text": "title and text", "hits": 1000}
RUNS = {"a": "q1 Q0 d1 1 2.0 a\nq2 Q0 d0 1 1.0 a\n", "b": "q1 Q0 d2 1 9.0 b\nq2 Q0 d2 1 8.0 b\n"}


@pytest.fixture
def finished(tmp_path):
    """A benchmark of three documents and two topics, whose only run is two files fused."""
    documents = ("the red fox", "the green cat", "the blue dog")
    lines = [json.dumps({"id": f"d{n}", "contents": text}) for n, text in enumerate(documents)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "topics.tsv").write_text("q1\tone\nq2\ttwo\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    answers = [{"qid": "q1", "answers": ["Green Cat"]}, {"qid": "q2", "answers": ["dog"]}]
    (tmp_path / "answers.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in answers))
    for name, run in RUNS.items():
        (tmp_path / f"{name}.trec").write_text(run)
    benchmark = Benchmark(
        name="beir/scifact",
        collection=str(tmp_path / "docs.jsonl"),
        topics=str(tmp_path / "topics.tsv"),
        qrels=str(tmp_path / "qrels.txt"),
        measures=("ndcg@10", "recall@100"),
        licence="made up",
    )
    words = ("--runs", f"{tmp_path}/a.trec", f"{tmp_path}/b.trec", "--method", "rrf")
    stage = Stage("bm25", tmp_path / "made", "ance_plugin.fusion", words, {"method": "rrf"})
    Workshop().ensure(stage)
    plan = Plan((System("bm25", stage, (stage,), BM25),), ("dense left out: why",))
    return Finished(benchmark, read_inputs(benchmark), plan, (stage,), "python -m evaluation ...")


def write(folder, finished):
    folder.mkdir()
    return write_report(folder, finished, baseline=None, latency=None)


def test_published_figures_stand_beside_the_same_setting(finished, tmp_path):
    """BM25 with the parameters of the published run: both values of the measures, and ours."""
    text = write(tmp_path / "report", finished)

    shown = json.loads((tmp_path / "report/comparison.json").read_text())["expected"]
    assert [(one["measure"], one["value"]) for one in shown] == [
        ("ndcg@10", 0.6789),
        ("recall@100", 0.9253),
    ]
    second = 1 / math.log2(3)  # where q1 has its only relevant document; q2 has it first
    assert [one["ours"] for one in shown] == [pytest.approx((second + 1) / 2), 1.0]
    assert "2cr/beir.yaml" in text


@pytest.mark.parametrize("change", [{"k1": 0.82}, {"index_text": "text"}, {"kind": "dense"}])
def test_published_figures_of_another_setting_are_not_printed(finished, tmp_path, change):
    """Neither in the terminal's tables nor in any file."""
    system = replace(finished.plan.systems[0], setting={**BM25, **change})
    other = replace(finished, plan=replace(finished.plan, systems=(system,)))

    text = write(tmp_path / "report", other)

    assert "0.6789" not in text
    for file in (tmp_path / "report").iterdir():
        assert file.is_dir() or "0.6789" not in file.read_text(encoding="utf-8")


def test_report_says_how_to_make_it_again(finished, tmp_path):
    """Commands, versions, machine, seed, hashes of inputs, code and runs, and notes."""
    text = write(tmp_path / "report", finished)

    content = json.loads((tmp_path / "report/benchmark.json").read_text())
    assert content["kind"] == "benchmark-report"
    assert content["command"] == "python -m evaluation ..."
    assert content["seed"] == 0
    assert content["code_sha256"] == hash_code()
    assert content["versions"].keys() >= {"python", "ance-plugin", "torch", "pyserini"}
    assert content["machine"]["cores"].endswith(" cores")
    assert content["inputs"]["collection_sha256"] == finished.inputs.fingerprint.sha256
    assert content["stages"][0]["command"].startswith("python -m ance_plugin.fusion --runs ")
    assert content["systems"]["bm25"]["run_sha256"] == content["stages"][0]["sha256"]
    assert content["notes"] == ["dense left out: why"]
    assert "note: dense left out: why" in text
    page = (tmp_path / "report/benchmark.md").read_text()
    assert "| licence | made up |" in page
    assert (tmp_path / "report/runs/bm25.trec").read_bytes() == (
        finished.stages[0].output.read_bytes()
    )


def test_answers_judge_where_there_are_no_judgments(finished, tmp_path):
    """Equal scores put d2 first: q2 has its answer in the first passage, q1 in the second."""
    benchmark = replace(
        finished.benchmark,
        name="dpr-w100/natural-questions/test",
        qrels="",
        answers=str(tmp_path / "answers.jsonl"),
        topk=(1, 5),
    )
    system = replace(finished.plan.systems[0], setting={**BM25, "topics": "dpr-nq-test"})
    plan = replace(finished.plan, systems=(system,))

    text = write(tmp_path / "report", replace(finished, benchmark=benchmark, plan=plan))

    table = (tmp_path / "report/answers/table.md").read_text()
    assert "| bm25 | 0.5000 | 1.0000 |" in table.replace("**", "")
    assert not (tmp_path / "report/comparison.json").exists()
    published = [line for line in text.splitlines() if "odqa_nq.yaml" in line]
    assert len(published) == 1
    assert published[0].split()[:4] == ["bm25", "answer@5", "1.0000", "0.4377"]


def test_lost_documents_are_told(finished, tmp_path):
    """What no system can find is a note of the report."""
    inputs = replace(finished.inputs, num_lost=1, fingerprint=Fingerprint(3, "0" * 64))

    assert "1 of 2 relevant documents are not in the collection" in write(
        tmp_path / "report", replace(finished, inputs=inputs)
    )

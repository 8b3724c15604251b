"""The report says the same in every format."""

import csv
import io
import json

import pytest

from evaluation.compare import Comparison, Settings, System
from evaluation.report import (
    format_csv,
    format_latex,
    format_markdown,
    format_terminal,
    to_json,
    write_report,
)
from evaluation.significance import Difference

BETTER = Difference(
    mean=0.3,
    ci_low=0.1,
    ci_high=0.5,
    cohens_dz=1.5,
    wins=2,
    ties=1,
    losses=0,
    p_value=0.00001,
    p_corrected=0.02,
)
SAME = Difference(
    mean=0.0,
    ci_low=0.0,
    ci_high=0.0,
    cohens_dz=None,
    wins=0,
    ties=3,
    losses=0,
    p_value=1.0,
    p_corrected=1.0,
)


def make_comparison(*, baseline="bm25", notes=("ance has gaps",), correction="holm"):
    def values(mrr, hits):
        return {
            "mrr": dict(zip("123", mrr, strict=True)),
            "hits@20": dict.fromkeys("123", hits),
        }

    return Comparison(
        qrels="dl_19&20",
        qrels_sha256=None,
        num_topics=3,
        num_without_relevant=0,
        settings=Settings(measures=("mrr", "hits@20"), correction=correction),
        baseline=baseline,
        systems=(
            System("bm25", "Anserini", "runs/bm25.trec", "00", 0, 0),
            System("ance_v1", "ance", "runs/ance_v1.trec", "11", 1, 2),
        ),
        values={
            "bm25": values((0.5, 0.5, 0.2), 9.0),
            "ance_v1": values((1.0, 0.5, 0.6), 10.0),
        },
        differences={"ance_v1": {"mrr": BETTER, "hits@20": SAME}} if baseline else {},
        notes=notes,
        versions={"ranx": "0.3.21"},
    )


def test_markdown_is_a_table_with_marks_and_its_legend():
    """The best mean is bold, a significant one is marked, and the mark is explained."""
    lines = format_markdown(make_comparison()).splitlines()

    assert lines == [
        "# dl_19&20, means over 3 topics",
        "",
        "| system | mrr | hits@20 |",
        "| --- | --- | --- |",
        "| bm25 (baseline) | 0.4000 | 9.0000 |",
        "| ance_v1 | **0.7000**† | **10.0000** |",
        "",
        "† differs from bm25 with p < 0.05: paired t-test, two-sided, Holm correction over the "
        "systems within each measure (1 against the baseline).",
        "",
        "| measure | system | difference | 95% CI | p | p corrected | d_z | wins/ties/losses |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| mrr | ance_v1 | +0.3000† | [+0.1000, +0.5000] | <0.0001 | 0.0200 | +1.50 | 2/1/0 |",
        "| hits@20 | ance_v1 | +0.0000 | [+0.0000, +0.0000] | 1.0000 | 1.0000 |  | 0/3/0 |",
        "",
        "- Note: ance has gaps.",
    ]


def test_the_terminal_table_is_aligned():
    """Columns start at the same place in every row, and notes come last."""
    lines = format_terminal(make_comparison()).splitlines()

    assert lines[2:5] == [
        "system           mrr      hits@20",
        "bm25 (baseline)  0.4000   9.0000",
        "ance_v1          0.7000†  10.0000",
    ]
    assert lines[-1] == "note: ance has gaps"


def test_without_a_baseline_nothing_is_tested():
    """Neither mark nor legend nor differences appear."""
    comparison = make_comparison(baseline=None, notes=())

    for text in (format_markdown(comparison), format_terminal(comparison)):
        assert "†" not in text
        assert "differs from" not in text
        assert "0.7000" in text
    assert "dagger" not in format_latex(comparison)


def test_a_legend_without_correction_says_so():
    """Uncorrected p-values are called that."""
    assert "two-sided, p-values not corrected." in format_markdown(
        make_comparison(correction="none")
    )


def test_csv_has_a_line_for_each_system_and_measure():
    """Numbers are whole; a cell without a test is empty."""
    rows = list(csv.DictReader(io.StringIO(format_csv(make_comparison()))))

    assert [(row["system"], row["measure"]) for row in rows] == [
        ("bm25", "mrr"),
        ("bm25", "hits@20"),
        ("ance_v1", "mrr"),
        ("ance_v1", "hits@20"),
    ]
    assert rows[0]["difference_p_value"] == rows[0]["is_significant"] == ""
    assert float(rows[2]["value"]) == pytest.approx(0.7)
    assert (rows[2]["difference_p_value"], rows[2]["is_significant"]) == ("1e-05", "True")
    assert rows[3]["difference_cohens_dz"] == ""


def test_latex_escapes_names_and_uses_booktabs():
    """Underscores and ampersands are text, the mark is a dagger."""
    text = format_latex(make_comparison())

    assert r"\caption{dl\_19\&20, means over 3 topics. $^{\dagger}$ differs from bm25" in text
    assert r"p \textless{} 0.05" in text
    assert r"ance\_v1 & \textbf{0.7000}$^{\dagger}$ & \textbf{10.0000} \\" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"\begin{tabular}{lrr}" in text


def test_json_holds_what_is_needed_to_compute_it_again(tmp_path):
    """Settings, files with hashes, values for each topic, tests and notes are all there."""
    write_report(tmp_path, make_comparison())
    found = json.loads((tmp_path / "comparison.json").read_text())

    assert found == json.loads(json.dumps(to_json(make_comparison())))
    assert found["values"]["ance_v1"]["mrr"] == {"1": 1.0, "2": 0.5, "3": 0.6}
    assert found["means"]["bm25"]["mrr"] == pytest.approx(0.4)
    assert found["systems"][1]["sha256"] == "11"
    assert found["differences"]["ance_v1"]["mrr"]["is_significant"] is True
    assert found["differences"]["ance_v1"]["hits@20"]["is_significant"] is False
    assert found["settings"]["correction"] == "holm"
    assert (found["num_topics"], found["versions"]) == (3, {"ranx": "0.3.21"})
    assert found["notes"] == ["ance has gaps"]

"""The report says the same in every format."""

import csv
import io
import json
from dataclasses import replace

import pytest

from evaluation.comparison import (
    Comparison,
    Cost,
    Expected,
    Overlap,
    Pair,
    Settings,
    System,
)
from evaluation.report import (
    format_csv,
    format_latex,
    format_markdown,
    format_terminal,
    format_topics_csv,
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


def make_pairs(comparison, difference):
    """Turn a comparison with a baseline into one of all pairs."""
    differences = {"mrr": difference, "hits@20": SAME}
    settings = replace(comparison.settings, all_pairs=True)
    return replace(comparison, settings=settings, pairs=(Pair("ance_v1", "bm25", differences),))


def test_letters_name_the_systems_that_are_beaten():
    """The better system of a pair has the other's letter; the worse and the equal have none."""
    comparison = make_pairs(make_comparison(), BETTER)

    assert "| b: ance_v1 | **0.7000**<sup>a</sup> | **10.0000** |" in format_markdown(comparison)
    assert "b: ance_v1          0.7000ᵃ  10.0000" in format_terminal(comparison)
    assert r"b: ance\_v1 & \textbf{0.7000}$^{\mathrm{a}}$" in format_latex(comparison)
    assert "(1 pairs)" in format_terminal(comparison)

    worse = make_pairs(make_comparison(), replace(BETTER, mean=-0.3))
    assert "| a: bm25 (baseline) | 0.4000<sup>b</sup> | 9.0000 |" in format_markdown(worse)


def test_less_is_better_of_holes():
    """The least hole rate stands out, and it is what beats another."""
    comparison = make_comparison(baseline=None, notes=())
    values = {
        "bm25": {"hole_rate@10": {"1": 0.5, "2": 0.7, "3": 0.6}},
        "ance_v1": {"hole_rate@10": {"1": 0.8, "2": 0.9, "3": 0.7}},
    }
    settings = Settings(measures=("hole_rate@10",), all_pairs=True)
    pairs = (Pair("ance_v1", "bm25", {"hole_rate@10": replace(BETTER, mean=0.2)}),)

    found = replace(comparison, values=values, settings=settings, pairs=pairs)

    assert "| a: bm25 | **0.6000**<sup>b</sup> |" in format_markdown(found)
    assert "| b: ance_v1 | 0.8000 |" in format_markdown(found)


def test_letters_go_on_after_the_alphabet():
    """The 26th system, after 25 letters without q, is aa, the 27th ab."""
    comparison = replace(make_comparison(), values={f"s{at}": {} for at in range(27)})

    letters = [comparison.letter(f"s{at}") for at in (0, 15, 16, 24, 25, 26)]

    assert letters == ["a", "p", "r", "z", "aa", "ab"]


def test_flags_come_first_in_every_format():
    """What makes a value doubtful is above the tables and beside the system's name."""
    comparison = make_comparison(notes=("bm25 was tuned on 2 topics", "other"))
    flagged = replace(comparison.systems[0], flags=("bm25 was tuned on 2 topics",))
    comparison = replace(comparison, systems=(flagged, comparison.systems[1]))

    terminal, markdown = format_terminal(comparison), format_markdown(comparison)
    rows = list(csv.DictReader(io.StringIO(format_csv(comparison))))

    assert terminal.splitlines()[2] == "⚠ bm25 was tuned on 2 topics"
    assert "bm25 (baseline) ⚠  0.4000" in terminal
    assert terminal.endswith("\n\nnote: other\n")
    assert "> [!WARNING]\n> - bm25 was tuned on 2 topics.\n\n| system" in markdown
    assert "| bm25 (baseline) ⚠ | 0.4000" in markdown
    assert r"bm25 (baseline)$^{\ast}$ & 0.4000" in format_latex(comparison)
    assert "$^{\\ast}$bm25 was tuned on 2 topics." in format_latex(comparison)
    assert [row["flags"] for row in rows] == ["bm25 was tuned on 2 topics"] * 2 + [""] * 2
    assert to_json(comparison)["systems"][0]["flags"] == ("bm25 was tuned on 2 topics",)


def test_published_figures_costs_and_overlaps_are_tables():
    """Each has a heading and its numbers; what was not measured says so."""
    comparison = replace(
        make_comparison(),
        expected=(
            Expected("bm25", "mrr", 0.41, 0.02, "Someone 2020", "k1 0.9", 0.4),
            Expected("bm25", "map", 0.3, 0.001, "Someone 2020", "k1 0.9", None),
            Expected("ance_v1", "mrr", 0.9, 0.1, "Someone 2021", "", 0.7),
        ),
        costs=(Cost("bm25", 4.125, "measured"),),
        overlaps=(Overlap("bm25", "ance_v1", {10: 0.5, 100: 0.75}, 0.625),),
    )

    text = format_markdown(comparison)

    assert "| bm25 | mrr | 0.4000 | 0.4100 | -0.0100 | 0.02 | yes | Someone 2020 | k1 0.9 |" in text
    assert "| bm25 | map | not measured | 0.3000 |  | 0.001 |  |" in text
    assert "| ance_v1 | mrr | 0.7000 | 0.9000 | -0.2000 | 0.1 | no |" in text
    assert "## Time of a query\n\n| system | ms | how measured |" in text
    assert "| bm25 | 4.12 | measured |" in text
    assert "| bm25 | ance_v1 | 0.500 | 0.750 | 0.625 |" in text
    assert to_json(comparison)["expected"][0]["ours"] == 0.4


def test_every_topic_has_a_line():
    """The table of topics has each system's values of all measures."""
    rows = list(csv.reader(io.StringIO(format_topics_csv(make_comparison()))))

    assert rows[:2] == [["qid", "system", "mrr", "hits@20"], ["1", "bm25", "0.5", "9.0"]]
    assert rows[-1] == ["3", "ance_v1", "0.6", "10.0"]
    assert len(rows) == 7


def test_names_are_never_markup_nor_control():
    """HTML, links, emphasis, pipes and escapes in a name are text in every format."""
    name = "<b>*a*|_x_[l](u)\x1b[31m\nz"
    comparison = make_comparison(baseline=None)
    comparison = replace(
        comparison, values={name: comparison.values["bm25"], "b": comparison.values["ance_v1"]}
    )

    row = format_markdown(comparison).splitlines()[4]

    assert row.startswith("| \\<b>\\*a\\*\\|\\_x\\_[l\\](u)\ufffd[31m z | 0.4000")
    for text in (format_terminal(comparison), format_latex(comparison)):
        assert "\x1b" not in text
        assert "31m z" in text

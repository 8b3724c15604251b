"""Answer accuracy of runs: answers found, gaps told, systems tested, and the files."""

import csv
import json
import re

import pytest

from ance_plugin.errors import MismatchError
from ance_plugin.formats.answers import Answered
from ance_plugin.formats.runs import write_run
from ance_plugin.records import Hit, Topic
from evaluation.__main__ import main
from evaluation.qa import Settings, judge_runs
from evaluation.qa_topics import match_answers

QUESTIONS = {"q1": "who is red", "q2": "what is blue", "q3": "where is green"}
ANSWERS = {"q1": ["fox"], "q2": ["whale", "sea"], "q3": ["tree frog"]}
PASSAGES = [
    ("p1", "a red fox", "Fox"),
    ("p2", "a whale", "Blue"),
    ("p3", "a tree-frog, a tree", "Tree frog"),
    ("p4", "the tree frog", "Frog"),
    ("p5", "nothing", "Whale fox tree frog"),
]


@pytest.fixture
def folder(tmp_path):
    """Topics, answers and passages; DPR's files."""
    lines = (f"{qid}\t{text}\n" for qid, text in QUESTIONS.items())
    (tmp_path / "topics.tsv").write_text("".join(lines))
    lines = (f"{QUESTIONS[qid]}\t{answers!r}\n" for qid, answers in ANSWERS.items())
    (tmp_path / "qa.tsv").write_text("".join(lines))
    rows = ("\t".join(row) + "\n" for row in [("id", "text", "title"), *PASSAGES])
    (tmp_path / "psgs.tsv").write_text("".join(rows))
    return tmp_path


def make_run(folder, name, docids, *, tag="tag"):
    """Write a run of the given docids (qid -> docids, best first)."""
    hits = {
        qid: [Hit(docid, -float(place)) for place, docid in enumerate(names)]
        for qid, names in docids.items()
    }
    write_run(folder / name, hits, tag=tag)
    return folder / name


GOOD = {"q1": ["p5", "p1"], "q2": ["p2", "p5"], "q3": ["p3", "p4"]}
POOR = {"q1": ["p5", "p4"], "q2": ["p5", "p2"], "q3": ["p5", "p3"]}


def judge(folder, *paths, baseline=None, answers="qa.tsv", collection="psgs.tsv", **settings):
    return judge_runs(
        paths,
        topics=str(folder / "topics.tsv"),
        answers=str(folder / answers),
        collection=str(folder / collection),
        settings=Settings(**{"topk": (2, 1), **settings}),
        baseline=baseline,
    )


def test_titles_are_not_searched(folder):
    """p5 has every answer in its title and none in its text; hyphens are tokens of their own."""
    found = judge(folder, make_run(folder, "good.trec", GOOD), make_run(folder, "poor.trec", POOR))

    assert found.ranks == {
        "good": {"q1": 2, "q2": 1, "q3": 2},
        "poor": {"q1": None, "q2": 2, "q3": None},
    }
    assert [found.mean("good", k) for k in (1, 2)] == [pytest.approx(1 / 3), 1.0]
    assert found.mean("poor", 2) == pytest.approx(1 / 3)
    assert found.settings.topk == (1, 2)
    assert (found.num_topics, found.notes, found.differences) == (3, (), {})


def test_systems_are_tested_against_a_baseline(folder):
    """At each k, on the questions that one of the two hits."""
    paths = [make_run(folder, "good.trec", GOOD), make_run(folder, "poor.trec", POOR, tag="base")]

    found = judge(folder, *paths, baseline="base")

    assert found.baseline == "poor"
    difference = found.differences["good"][2]
    assert (difference.wins, difference.losses, difference.p_value) == (2, 0, 0.5)
    assert not found.is_significant("good", 2)
    assert judge(folder, *paths, baseline="base", alpha=0.6).is_significant("good", 2)


def test_gaps_are_told(folder):
    """Missing topics, other topics, few hits, and answers that say nothing."""
    answers = {**ANSWERS, "q1": [], "q2": ["", "whale"]}
    lines = (json.dumps({"qid": qid, "answers": texts}) for qid, texts in answers.items())
    (folder / "answers.jsonl").write_text("\n".join(lines))
    run = make_run(folder, "run.trec", {"q2": ["p1"], "q3": ["p4", "p1"], "x": ["gone"]})

    found = judge(folder, run, answers="answers.jsonl")

    assert found.ranks["run"] == {"q1": None, "q2": 1, "q3": 1}
    assert found.notes == (
        "run has no hits for 1 topics; they count as misses",
        "run has 1 topics that are none of the questions; ignored",
        "run has fewer than 2 hits for 1 topics, 1 at least and 2 at most of any topic; what it "
        "lacks cannot hit",
        "1 topics have an empty list of answers; they count as misses",
        "1 answers have no token and match every passage, as DPR's",
    )


def test_expressions_are_asked_for(folder):
    """Patterns match with --regex alone; those that do not compile are told."""
    lines = (f"{text}\t['^(A|the) \\\\w+', '(']\n" for text in QUESTIONS.values())
    (folder / "curated.tsv").write_text("".join(lines))
    run = make_run(folder, "run.trec", GOOD)

    found = judge(folder, run, answers="curated.tsv", is_regex=True)

    assert found.ranks["run"] == {"q1": 2, "q2": 1, "q3": 1}
    assert found.notes == ("3 answers are no regular expressions and match nothing",)
    plain = judge(folder, run, answers="curated.tsv")
    assert plain.ranks["run"] == {"q1": None, "q2": None, "q3": None}


def test_titles_in_contents_are_told_and_left_out(folder):
    r"""Pyserini's contents are "title\ntext"; without the first line the ranks are DPR's."""
    lines = (json.dumps({"id": p, "contents": f"{t}\n{x}"}) + "\n" for p, x, t in PASSAGES)
    (folder / "contents.jsonl").write_text("".join(lines))
    run = make_run(folder, "run.trec", POOR)

    found = judge(folder, run, collection="contents.jsonl")
    right = judge(folder, run, collection="contents.jsonl", skips_first_line=True)

    assert found.ranks["run"] == {"q1": 1, "q2": 1, "q3": 1}
    assert "4 of 4 passages have no title" in found.notes[0]
    assert right.ranks == judge(folder, run).ranks
    assert right.notes == ()


def test_wrong_input_is_refused(folder):
    """With numbers and names, before the collection is read where that can be."""
    run = make_run(folder, "run.trec", {"q1": [f"gone{n}" for n in range(9)], "q2": ["p1"]})
    other = make_run(folder, "other.trec", {"x1": ["p1"]})
    (folder / "few.tsv").write_text("who is red\t['fox']\n")

    with pytest.raises(MismatchError, match=r"lacks 7 of the 8 passages .*: gone0, .* and 2 more"):
        judge(folder, run, topk=(7,))
    with pytest.raises(MismatchError, match=r"other: shares no topic .* it has x1, they have q1"):
        judge(folder, other)
    with pytest.raises(MismatchError, match="has no answers for 2 of 3 topics: q2, q3"):
        judge(folder, run, answers="few.tsv")
    with pytest.raises(ValueError, match="topk"):
        Settings(topk=(0,))
    with pytest.raises(ValueError, match="alpha"):
        Settings(alpha=1.0)


def test_answers_are_found_by_qid_or_question():
    """A qid counts first; quotes of CSV, white space and Unicode's forms do not tell apart."""
    topics = [Topic("1", 'who said "é"'), Topic("2", "What, is it?"), Topic("3", "same")]
    records = [
        Answered(("a",), None, '"who  said ""e\u0301"""', "f:1"),
        Answered(("b",), "2", "what is it", "f:2"),
        Answered(("c",), None, "same", "f:3"),
        Answered(("c",), None, "same", "f:4"),
    ]

    found = match_answers(topics, records, source="f")

    assert found == {"1": ("a",), "2": ("b",), "3": ("c",)}


def test_answers_of_other_questions_are_refused():
    """The same qid with another question; one question answered twice, differently."""
    topics = [Topic("1", "who")]

    with pytest.raises(MismatchError, match="f:1: answers 'when', but topic 1 asks 'who'"):
        match_answers(topics, [Answered(("a",), "1", "when", "f:1")], source="f")
    twice = [Answered((text,), None, "who", f"f:{text}") for text in "ab"]
    with pytest.raises(MismatchError, match="topic 1 is answered by f:a and by f:b"):
        match_answers(topics, twice, source="f")


def test_command_prints_and_writes(folder, capsys):
    """The table on stdout; Markdown, CSV and JSON with each topic's first hit in the folder."""
    runs = [str(make_run(folder, "good.trec", GOOD)), str(make_run(folder, "poor.trec", POOR))]
    words = ["qa", "--run", *runs, "--topics", f"{folder}/topics.tsv", "--topk", "1", "2"]
    words += ["--answers", f"{folder}/qa.tsv", "--collection", f"{folder}/psgs.tsv"]

    assert main([*words, "--baseline", "poor", "--output", f"{folder}/out"]) == 0

    assert "good             0.3333  1.0000\n" in capsys.readouterr().out
    table = (folder / "out" / "table.md").read_text()
    assert "| poor (baseline) | 0.0000 | 0.3333 |" in table
    assert "McNemar's exact test, two-sided, Holm correction" in table
    assert re.search(r"\| 2 \| good \| \+0.6667 \| \[.*\] \| 0.5000 \| 0.5000 \| 2/0 \|", table)
    content = json.loads((folder / "out" / "answers.json").read_text())
    assert content["accuracy"]["good"] == {"1": pytest.approx(1 / 3), "2": 1.0}
    assert content["first_hit_ranks"]["good"] == {"q1": 2, "q2": 1, "q3": 2}
    assert content["differences"]["good"]["2"]["p_value"] == 0.5
    rows = list(csv.DictReader((folder / "out" / "table.csv").read_text().splitlines()))
    assert [(row["system"], row["k"], row["is_significant"]) for row in rows] == [
        ("good", "1", "False"),
        ("good", "2", "False"),
        ("poor", "1", ""),
        ("poor", "2", ""),
    ]
    assert main([*words, "--output", f"{folder}/out"]) == 1
    assert main([*words, "--output", f"{folder}/out", "--overwrite"]) == 0
    capsys.readouterr()
    assert main(words) == 0
    assert "poor    0.0000  0.3333" in capsys.readouterr().out

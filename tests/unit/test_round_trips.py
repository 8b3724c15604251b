"""Whatever ids, texts and numbers a file of ours may hold, reading gives back what was written.

Runs have theirs in ``formats/test_runs.py``.
"""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ance_plugin import artifacts
from ance_plugin.formats.answers import read_answers
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics
from ance_plugin.formats.vectors import GrowingVectors, Vectors
from ance_plugin.records import Document, Topic
from ance_plugin.train.negatives.rows import REASONS, TopicNegatives
from ance_plugin.train.negatives.table import read_negatives, write_negatives

quickly = settings(max_examples=40, deadline=None, derandomize=True)
rarely = settings(max_examples=15, deadline=None, derandomize=True)  # each flushes to the disk
WORDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=4
)
IDS = WORDS.map("7-{}".format)  # no name of a column, no <top>
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
LINES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.floats(allow_nan=False).filter(np.isfinite),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that all examples share."""
    return tmp_path_factory.mktemp("round-trips")


def write_json_lines(path, records, *, ensure_ascii):
    """Write records as any tool does, escaped or not."""
    lines = [json.dumps(record, ensure_ascii=ensure_ascii) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return str(path)


@quickly
@given(st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-9, 99), min_size=1), min_size=1))
def test_qrels(folder, qrels):
    """Grades, and the order of topics and of documents."""
    lines = [f"{q} 0 {d} {grade}\n" for q, judged in qrels.items() for d, grade in judged.items()]
    (folder / "qrels.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    found = read_qrels(str(folder / "qrels.txt"))

    assert found == qrels
    assert [list(judged) for judged in found.values()] == [list(one) for one in qrels.values()]


@quickly
@given(st.dictionaries(IDS, TEXTS, min_size=1), st.booleans())
def test_topics_of_json_lines(folder, texts, is_escaped):
    """Any text, line ends and control characters included; white space around it is dropped."""
    records = [{"qid": qid, "text": text} for qid, text in texts.items()]
    path = write_json_lines(folder / "topics.jsonl", records, ensure_ascii=is_escaped)

    assert read_topics(path) == [Topic(qid, text.strip()) for qid, text in texts.items()]


@quickly
@given(st.dictionaries(IDS, LINES.map("x{}".format), min_size=1))
@example({"7-a": 'x"quoted', "7-b": "x\\t \u2028y"})
def test_topics_of_tab_separated_lines(folder, texts):
    """Quotes and backslashes are plain characters."""
    lines = [f"{qid}\t{text}\n" for qid, text in texts.items()]
    (folder / "topics.tsv").write_text("".join(lines), encoding="utf-8", newline="\n")

    found = read_topics(str(folder / "topics.tsv"))
    assert found == [Topic(qid, text.strip()) for qid, text in texts.items()]


@quickly
@given(st.dictionaries(IDS, st.tuples(TEXTS, TEXTS), min_size=1), st.booleans())
def test_collection_of_json_lines(folder, documents, is_escaped):
    """Texts and titles to the letter."""
    expected = [Document(docid, *texts) for docid, texts in documents.items()]
    records = [{"id": one.docid, "title": one.title, "text": one.text} for one in expected]
    path = write_json_lines(folder / "docs.jsonl", records, ensure_ascii=is_escaped)

    assert list(Collection(path)) == expected


@quickly
@given(st.dictionaries(IDS, st.tuples(LINES, LINES), min_size=1))
def test_collection_of_dpr_lines(folder, documents):
    """Quoted where the csv module quotes."""
    expected = [Document(docid, *texts) for docid, texts in documents.items()]
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "text", "title"])
    writer.writerows([one.docid, one.text, one.title] for one in expected)
    (folder / "docs.tsv").write_text(file.getvalue(), encoding="utf-8", newline="\n")

    assert list(Collection(str(folder / "docs.tsv"))) == expected


@quickly
@given(st.dictionaries(IDS, st.tuples(TEXTS, st.lists(TEXTS)), min_size=1), st.booleans())
def test_answers_of_json_lines(folder, records, is_escaped):
    """Question and answers to the letter, also where there are none."""
    rows = [(qid, *rest) for qid, rest in records.items()]
    content = [{"qid": q, "question": text, "answers": answers} for q, text, answers in rows]
    path = write_json_lines(folder / "answers.jsonl", content, ensure_ascii=is_escaped)

    found = [(one.qid, one.question, list(one.answers)) for one in read_answers(path)]
    assert found == rows


@quickly
@given(st.lists(st.tuples(LINES.map("x{}".format), st.lists(TEXTS)), min_size=1))
def test_answers_of_dpr_lines(folder, rows):
    """Lists as Python writes them, whichever quotes and escapes that takes."""
    lines = [f"{question}\t{answers!r}\n" for question, answers in rows]
    (folder / "answers.tsv").write_text("".join(lines), encoding="utf-8", newline="\n")

    found = read_answers(str(folder / "answers.tsv"))
    expected = [(question.strip(), answers) for question, answers in rows]
    assert [(one.question, list(one.answers)) for one in found] == expected


@rarely
@given(
    st.lists(st.dictionaries(IDS, st.tuples(FLOATS, FLOATS), min_size=1), min_size=1, max_size=3)
)
def test_vectors_and_docids(folder, blocks):
    """Every number to the last bit, in blocks of any size."""
    shutil.rmtree(folder / "vectors", ignore_errors=True)
    expected = [(list(one), np.array([*one.values()], dtype=np.float32)) for one in blocks]
    growing = GrowingVectors(folder / "vectors", {"dimension": 2})
    for number, block in enumerate(expected):
        growing.write_block(number, *block)
    assert growing.finish(num_blocks=len(blocks), num_documents=sum(map(len, blocks)))

    found = list(Vectors(folder / "vectors").iter_blocks())
    assert [docids for docids, _ in found] == [docids for docids, _ in expected]
    assert [part.tobytes() for _, part in found] == [part.tobytes() for _, part in expected]


@st.composite
def rows_of_negatives(draw):
    """A topic's row, each column with anything it may hold."""
    positives = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
    negatives = draw(st.lists(WORDS, max_size=4, unique=True))

    def columns(values, like):
        return tuple(draw(values) for _ in like)

    has_teacher = draw(st.booleans())
    return TopicNegatives(
        qid=draw(WORDS),
        positives=tuple(positives),
        positive_scores=columns(st.none() | FLOATS, positives),
        negatives=tuple(negatives),
        scores=columns(st.none() | FLOATS, negatives),
        ranks=columns(st.none() | st.integers(1, 2**31 - 1), negatives),
        sources=columns(st.sampled_from(["ann", "bm25", "random"]), negatives),
        teacher_scores=columns(FLOATS, negatives) if has_teacher else None,
        positive_teacher_scores=columns(FLOATS, positives) if has_teacher else None,
        num_dropped=draw(st.dictionaries(st.sampled_from(REASONS), st.integers(1, 2**31 - 1))),
        round=draw(st.integers(0, 99)),
        step=draw(st.integers(0, 2**62)),
    )


@rarely
@given(st.lists(rows_of_negatives(), min_size=1, max_size=4, unique_by=lambda row: row.qid))
def test_negatives(folder, rows):
    """Rows in their order, and one by one."""
    write_negatives(folder / "negatives", rows, {}, overwrite=True)
    found = read_negatives(folder / "negatives")

    assert list(found) == rows
    assert [found.by_qid(row.qid) for row in rows] == rows


@rarely
@given(st.dictionaries(WORDS.map("x{}".format), JSON, max_size=4))
def test_metadata(folder, content):
    """Anything that JSON can say, beside the list of files."""
    with artifacts.new_directory(folder / "artifact", overwrite=True) as staging:
        (staging / "file.txt").write_text("text")
        artifacts.seal(staging, "anything", content)
    found = artifacts.verify(folder / "artifact", "anything")

    assert found.pop("files")["file.txt"]["size_bytes"] == 4
    assert found == {"kind": "anything", "format_version": 1, **content}

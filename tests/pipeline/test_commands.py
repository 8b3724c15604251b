"""Command to command, without Java: what one stage writes, the next one reads."""

import json
import re

import numpy as np
import pytest

from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.collection import Collection
from ance_plugin.formats.runs import read_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.index.__main__ import main as index
from ance_plugin.ranking import rank
from evaluation.__main__ import main as evaluate

ANIMALS = ("ant", "bear", "cat", "fox")


def read_json(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", ["Flat", "HNSW32"])
def test_dense_run_has_every_document_by_inner_product(
    made, tiny_checkpoint, tmp_path, search_dense, name
):
    """Scores are the inner products of what the encoder gives, best first."""
    words = ["--ef-search", "64"] if name == "HNSW32" else []

    assert search_dense(made, tmp_path / "run", *words, name=name) == 0

    encoder = Encoder.load(str(tiny_checkpoint), device="cpu", precision="fp32")
    documents = list(Collection(f"{made}/docs.jsonl"))
    vectors = encoder.encode_documents(documents)
    run = read_run(tmp_path / "run")
    assert list(run) == [f"q{number}" for number in range(6)]
    for topic in read_topics(f"{made}/topics.tsv"):
        scores = vectors @ encoder.encode(topic.text)
        expected = rank([document.docid for document in documents], scores)
        assert [hit.docid for hit in run[topic.qid]] == [hit.docid for hit in expected]
        np.testing.assert_allclose(
            [hit.score for hit in run[topic.qid]], [hit.score for hit in expected], rtol=1e-5
        )


def test_run_columns(made):
    """A line is qid, Q0, docid, rank from 1, score, tag; a topic's lines are in order."""
    lines = [line.split(" ") for line in (made / "dense.trec").read_text().splitlines()]

    assert len(lines) == 6 * 30
    assert lines[0][:2] == ["q0", "Q0"]
    assert lines[-1][0] == "q5"
    assert [int(line[3]) for line in lines] == [*range(1, 31)] * 6
    assert {line[5] for line in lines} == {"dense"}


def test_hits_are_the_first_of_a_longer_run(made, tmp_path, search_dense):
    """--hits 7 is the whole run cut to seven hits a topic."""
    assert search_dense(made, tmp_path / "run", "--hits", "7") == 0

    whole = read_run(made / "dense.trec")
    assert read_run(tmp_path / "run") == {qid: hits[:7] for qid, hits in whole.items()}


def test_same_command_writes_the_same_bytes(made, tmp_path, search_dense):
    """A run does not depend on when or how often it is made."""
    assert search_dense(made, tmp_path / "run") == 0

    assert (tmp_path / "run").read_bytes() == (made / "dense.trec").read_bytes()


def test_shards_make_the_same_vectors(made, tmp_path, encode_docs):
    """Two shares, the later one first, end as one run does; what is half done is no artifact."""
    output = tmp_path / "vectors"
    words = ["--block-size", "7", "--shard-num", "2", "--shard-id"]

    assert encode_docs(made, output, *words, "1") == 0
    was_there = output.exists()
    assert encode_docs(made, output, *words, "0") == 0

    assert not was_there
    files = {file.name for file in output.iterdir()}
    assert files == {file.name for file in (made / "vectors").iterdir()}
    for name in files:
        assert (output / name).read_bytes() == (made / "vectors" / name).read_bytes()


def test_msmarco_format_has_docids_and_ranks(made, tmp_path, search_dense):
    """Three columns with tabs, the ranking of the TREC run."""
    assert search_dense(made, tmp_path / "run", "--output-format", "msmarco") == 0

    trec = [line.split(" ") for line in (made / "dense.trec").read_text().splitlines()]
    expected = [f"{qid}\t{docid}\t{place}" for qid, _, docid, place, _, _ in trec]
    assert (tmp_path / "run").read_text().splitlines() == expected


def test_gzipped_run_is_the_run(made, tmp_path, search_dense):
    """An output that ends in .gz is compressed and reads back the same."""
    assert search_dense(made, tmp_path / "run.trec.gz") == 0

    assert read_run(tmp_path / "run.trec.gz") == read_run(made / "dense.trec")


@pytest.mark.parametrize("delimiter", ["#", "::"])
def test_max_passage_gives_documents_their_best_passage(
    tmp_path, encode_docs, search_dense, delimiter
):
    """Of d1#0, d1#1, d2#0 the documents d1 and d2 remain, with the score of their best passage."""
    names = [f"d{number % 4}{delimiter}{number}" for number in range(12)]
    lines = [
        json.dumps({"id": name, "contents": f"the {ANIMALS[place % 4]} {place}"})
        for place, name in enumerate(names)
    ]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    (tmp_path / "topics.tsv").write_text("q\tred fox\n")
    assert encode_docs(tmp_path, tmp_path / "vectors") == 0
    words = ["dense", "--vectors", f"{tmp_path}/vectors", "--output", f"{tmp_path}/Flat"]
    assert index(words) == 0
    assert search_dense(tmp_path, tmp_path / "passages") == 0
    words = ["--max-passage", "--max-passage-hits", "3"]
    if delimiter != "#":
        words += ["--max-passage-delimiter", delimiter]

    assert search_dense(tmp_path, tmp_path / "documents", *words) == 0

    best = {}
    for docid, score in read_run(tmp_path / "passages")["q"]:
        name = docid.split(delimiter)[0]
        best[name] = max(best.get(name, score), score)
    expected = sorted(best.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:3]
    assert [tuple(hit) for hit in read_run(tmp_path / "documents")["q"]] == expected
    manifest = read_json(tmp_path / "documents.json")
    assert manifest["max_passage"] == [3, delimiter]


def test_a_topic_is_not_its_own_hit(made, tmp_path, search_dense):
    """--remove-query leaves out the document with the topic's id, and nothing else."""
    docid = read_run(made / "dense.trec")["q1"][2].docid
    (made / "own.tsv").write_text(f"{docid}\tred fox\n")
    assert search_dense(made, tmp_path / "all", topics="own.tsv") == 0

    assert search_dense(made, tmp_path / "others", "--remove-query", topics="own.tsv") == 0

    hits = read_run(tmp_path / "all")[docid]
    assert read_run(tmp_path / "others")[docid] == [hit for hit in hits if hit.docid != docid]
    assert len(hits) > 1
    assert read_json(tmp_path / "others.json")["remove_query"] is True


def test_run_json_says_how_a_dense_run_was_made(made, tiny_checkpoint):
    """Beside the run: command, settings, versions, and the hashes of index and checkpoint."""
    manifest = read_json(made / "dense.trec.json")

    metadata = read_json(made / "Flat" / "metadata.json")
    assert manifest["kind"] == manifest["tag"] == "dense"
    assert manifest["command"].startswith("python -m ance_plugin.search --topics ")
    assert manifest["topics"] == f"{made}/topics.tsv"
    assert (manifest["hits"], manifest["num_topics"]) == (1000, 6)
    assert manifest["index"]["path"] == f"{made}/Flat"
    assert manifest["index"]["factory"] == "Flat"
    assert manifest["index"]["collection"]["num_documents"] == 30
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["index"]["metadata_sha256"])
    assert manifest["encoder"]["name"] == str(tiny_checkpoint)
    assert manifest["encoder"]["weights_sha256"] == metadata["encoder"]["weights_sha256"]
    assert manifest["encoder"]["precision"] == "fp32"
    assert {"ance-plugin", "python", "torch", "faiss-cpu"} <= manifest["versions"].keys()
    assert manifest["seconds"] >= 0


def compare(folder, output, *runs, qrels="qrels.txt", words=()):
    words = ["--runs", *map(str, runs), "--measures", "ndcg@10", "mrr", *words]
    return evaluate(
        ["compare", "--qrels", f"{folder}/{qrels}", *words, "--output", f"{output}/report"]
    )


def test_comparison_writes_its_tables(made, tmp_path, search_dense, read_problem, capfd):
    """Tables in three formats and all numbers; the same table on stdout."""
    assert search_dense(made, tmp_path / "short.trec", "--hits", "3") == 0
    words = ["--baseline", "short"]

    assert compare(made, tmp_path, made / "dense.trec", tmp_path / "short.trec", words=words) == 0

    names = {file.name for file in (tmp_path / "report").iterdir()}
    assert {"table.md", "table.csv", "table.tex", "comparison.json"} <= names
    shown = capfd.readouterr().out
    assert "dense" in shown
    assert "short" in shown
    for name in names - {"metadata.json"}:
        assert (tmp_path / "report" / name).stat().st_size > 0
    assert compare(made, tmp_path, made / "dense.trec") == 1
    assert "--overwrite" in read_problem()
    assert compare(made, tmp_path, made / "dense.trec", words=["--overwrite"]) == 0

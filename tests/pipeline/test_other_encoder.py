"""An index is searched with the encoder and settings that made it, or not at all."""

import json

import pytest

from ance_plugin.formats.runs import read_run
from ance_plugin.index.__main__ import main as index


def read_json(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def other_checkpoint(make_tiny_checkpoint):
    return make_tiny_checkpoint(seed=1)


MISMATCHES = {
    "pooling": ["--pooling", "cls"],
    "max_query_tokens": ["--max-query-length", "8"],
    "max_document_tokens": ["--max-length", "24"],
    "is_lowercased": ["--lowercase"],
    "is_normalized": ["--l2-norm"],
    "template": ["--template", "{text}"],
}


@pytest.mark.parametrize(("name", "words"), MISMATCHES.items(), ids=list(MISMATCHES))
def test_another_setting_than_the_indexs_is_refused(
    made, tmp_path, name, words, search_dense, read_problem
):
    """The message names the setting, and what it is on either side; no run is written."""
    assert search_dense(made, tmp_path / "run", *words) == 1

    problem = read_problem()
    assert f" {name} is " in problem
    assert " but " in problem
    assert list(tmp_path.iterdir()) == []


def test_another_checkpoint_than_the_indexs_is_refused(
    made, other_checkpoint, tmp_path, search_dense, read_problem
):
    """Same architecture, other weights: the message names the weights and the right checkpoint."""
    assert search_dense(made, tmp_path / "run", "--encoder", str(other_checkpoint)) == 1

    problem = read_problem()
    assert "weights_sha256" in problem
    assert read_json(made / "Flat" / "metadata.json")["encoder"]["name"] in problem


def test_a_copy_of_the_checkpoint_elsewhere_is_taken(made, tiny_checkpoint, tmp_path, search_dense):
    """An encoder is told by its weights and settings, not by its path."""
    link = tmp_path / "elsewhere"
    link.symlink_to(tiny_checkpoint)

    assert search_dense(made, tmp_path / "run", "--encoder", str(link)) == 0


def test_settings_given_while_encoding_are_used_for_queries(
    made, tiny_checkpoint, tmp_path, encode_docs, search_dense, read_problem, capfd
):
    """The index knows them, so that searching needs no flags; giving others is refused."""
    assert encode_docs(made, tmp_path / "vectors", "--pooling", "cls", "--l2-norm") == 0
    words = ["dense", "--vectors", f"{tmp_path}/vectors", "--output", f"{tmp_path}/Flat"]
    assert index(words) == 0
    (tmp_path / "topics.tsv").write_text((made / "topics.tsv").read_text())

    assert search_dense(tmp_path, tmp_path / "run") == 0
    named = search_dense(tmp_path, tmp_path / "named", "--encoder", str(tiny_checkpoint))
    capfd.readouterr()
    other = search_dense(tmp_path, tmp_path / "other", "--pooling", "mean")

    assert named == 0
    scores = [hit.score for hit in read_run(tmp_path / "run")["q0"]]
    assert max(map(abs, scores)) <= 1.0001  # cosines
    assert other == 1
    assert "pooling is 'cls' there but 'mean' here" in read_problem()


def test_vectors_that_grow_with_other_settings_are_refused(
    made, tmp_path, encode_docs, read_problem, capfd
):
    """Half-done vectors are finished with the same settings or not at all."""
    words = [made, tmp_path / "vectors", "--shard-num", "2", "--shard-id", "0"]
    assert encode_docs(*words, "--block-size", "7") == 0
    capfd.readouterr()

    assert encode_docs(*words, "--block-size", "7", "--pooling", "cls") == 1
    assert "pooling" in read_problem()
    assert encode_docs(*words, "--block-size", "8") == 1
    assert "block_size is 7 there but 8 here" in read_problem()
    assert encode_docs(*words, "--block-size", "7", "--batch-size", "3") == 1
    assert "batch_size is 256 there but 3 here" in read_problem()

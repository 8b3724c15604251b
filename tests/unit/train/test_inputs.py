"""What a run reads: topics that can be compared, one collection, and warnings of leaks."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs, check_data
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings


@pytest.fixture
def data(world):
    splits = [name(split) for split in ("train", "dev") for name in (world.topics, world.qrels)]
    return Data(world.collection, *splits, tokens=str(world.root / "input-tokens"))


@pytest.fixture
def load(world, encoder, tmp_path):
    """Return a function that reads the inputs of a run with this data."""

    def load(data, **start):
        settings = TrainSettings(
            data, Start(world.init, **start), Optimization(), MiningSettings(), Refresh()
        )
        return Inputs.load(settings, TrainingFolder(tmp_path / "run"), encoder)

    return load


def test_everything_is_read(load, data, encoder):
    """200 documents, 150 topics to train on and 50 to compare by, as tokens."""
    inputs = load(data)

    assert (inputs.corpus.num_documents, len(inputs.topics), len(inputs.dev.topics)) == (
        *(200, 150, 50),
    )
    texts = [topic.text for topic in inputs.dev.topics]
    assert [row.tolist() for row in inputs.dev.tokens] == encoder.tokenize_queries(texts)
    assert list(inputs.dev.qrels) == [topic.qid for topic in inputs.dev.topics]


def test_tokens_stand_where_they_are_named_or_in_the_folder(load, data, tmp_path):
    """So that several runs can share them."""
    load(replace(data, tokens=None))
    load(replace(data, tokens=str(tmp_path / "shared")))

    assert (tmp_path / "run" / "tokens").is_dir()
    assert (tmp_path / "shared").is_dir()


def test_long_documents_keep_four_chunks(load, data, encoder):
    """With MaxP a document is cut to four times what one vector reads."""
    corpus = load(replace(data, tokens=None), maxp="chunks").corpus

    assert corpus.metadata["max_tokens"] == 4 * encoder.settings.max_document_tokens


def test_dev_topics_need_a_relevant_document(load, data, tmp_path):
    """Others, and judgments of other topics, are left out of the measure."""
    lines = Path(data.dev_qrels).read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace(" 1\n", " 0\n")
    (tmp_path / "dev.qrels").write_text("".join([*lines[:10], "other 0 d0-0 1\n"]))

    dev = load(replace(data, dev_qrels=str(tmp_path / "dev.qrels"))).dev

    assert len(dev.topics) == len(dev.tokens) == len(dev.qrels) == 9
    assert lines[0].split()[0] not in dev.qrels


def test_dev_judgments_of_another_collection_are_refused(load, data, tmp_path):
    """Every checkpoint would measure 0, and the first would be the best."""
    text = Path(data.dev_qrels).read_text().replace(" d", " x")
    (tmp_path / "dev.qrels").write_text(text)

    with pytest.raises(FormatError, match=r"0 of \d+ topics have a relevant document in"):
        load(replace(data, dev_qrels=str(tmp_path / "dev.qrels")))


def test_run_without_dev_topics(load, data):
    """There is nothing to compare by."""
    assert load(replace(data, dev_topics=None, dev_qrels=None)).dev is None


def test_shared_topics_are_warned_of(load, data, caplog):
    """Dev topics that are trained on say too much good of it."""
    with caplog.at_level(logging.WARNING):
        load(data)
    assert caplog.text == ""

    with caplog.at_level(logging.WARNING):
        load(replace(data, dev_topics=data.topics, dev_qrels=data.qrels))
    assert "150 of 150 dev topics are training topics too" in caplog.text


def test_bad_input_shows_at_once(data, tmp_path):
    """Before a folder is made or a model loaded."""
    check_data(data)
    (tmp_path / "empty.qrels").write_text("q 0 d 0\n")
    empty = str(tmp_path / "empty.qrels")

    for changes in ({"qrels": empty}, {"dev_qrels": empty}):
        with pytest.raises(FormatError, match=r"empty\.qrels: has no relevant document"):
            check_data(replace(data, **changes))
    for name in ("collection", "topics", "qrels", "dev_topics", "dev_qrels"):
        with pytest.raises(FileNotFoundError, match="gone"):
            check_data(replace(data, **{name: str(tmp_path / "gone.tsv")}))

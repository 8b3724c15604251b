"""What holds for the records."""

import dataclasses
import gc
import threading

import pytest

from ance_plugin.records import Document, Hit, Topic, no_collection


def test_contents_joins_title_and_text_by_one_space():
    """BM25 indexes the title before the text."""
    assert Document("d1", "the text", "The Title").contents == "The Title the text"


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [("", "text", "text"), ("Title", "", "Title"), ("", "", "")],
)
def test_contents_has_no_space_where_a_part_is_empty(title, text, expected):
    """A document without title or without text begins and ends with no blank."""
    assert Document("d1", text, title).contents == expected


@pytest.mark.parametrize("record", [Document("d", "t"), Topic("q", "t")], ids=["doc", "topic"])
def test_record_cannot_be_changed(record):
    """Records are shared between stages, so nobody may edit one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.text = "other"


def test_hit_is_read_by_name_and_by_place():
    """Pyserini reads ``docid`` and ``score``; our code unpacks."""
    hit = Hit("d1", 2.5)
    docid, score = hit

    assert (hit.docid, hit.score) == (docid, score) == ("d1", 2.5)


def test_collector_rests_and_goes_on():
    """After an error too."""

    def fail():
        with no_collection():
            raise ValueError(f"enabled: {gc.isenabled()}")

    with pytest.raises(ValueError, match="enabled: False"):
        fail()
    assert gc.isenabled()


def test_what_somebody_else_switched_off_stays_off():
    """The caller's setting is restored, whatever it was."""
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_rests_until_the_last_thread_is_done():
    """Blocks that overlap in any order end with it switched on."""
    inside, leave = threading.Event(), threading.Event()

    def work():
        with no_collection():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with no_collection():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()

    assert gc.isenabled()

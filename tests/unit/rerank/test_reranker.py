"""The top of a run is in the order of new scores; the rest stays under it, in its order."""

import math
from contextlib import suppress

import numpy as np
import pytest

from ance_plugin.errors import MismatchError
from ance_plugin.formats.runs import read_run, write_run
from ance_plugin.records import Document, Hit, Topic
from ance_plugin.rerank.journal import ScoredTopic, journal_path, open_journal
from ance_plugin.rerank.pairs import BestPassage
from ance_plugin.rerank.reranker import merge, rerank_run
from ance_plugin.rerank.settings import RerankSettings
from ance_plugin.rerank.sources import find_documents, find_queries, hash_texts

QUERIES = {"q2": "red fox", "q1": "cat"}
DOCUMENTS = {f"d{n}": Document(f"d{n}", "cat " * n, "fox") for n in range(6)}
RUN = {
    "q2": [Hit(f"d{n}", 9.0 - n) for n in (3, 1, 4, 0, 5)],
    "q1": [Hit(f"d{n}", 9.0 - n) for n in (2, 5)],
}


class LengthModel:
    """Scores a document by the words of its text, or minus a thousand where it has none."""

    name = "length"

    def __init__(self):
        self.asked = []

    def score(self, queries, documents, *, passage=None):
        self.asked.append((set(queries), [document.docid for document in documents], passage))
        scores = [len(document.text.split()) or -1000 for document in documents]
        return np.array(scores, dtype=np.float32)


def names(hits):
    return [hit.docid for hit in hits]


def test_top_is_ordered_by_new_scores_and_the_rest_stays():
    """Depth 3: three hits in the order of the model, the others as they were."""
    model = LengthModel()

    found = rerank_run(RUN, QUERIES, DOCUMENTS, model, RerankSettings(depth=3))

    assert {qid: names(hits) for qid, hits in found.items()} == {
        "q2": ["d4", "d3", "d1", "d0", "d5"],
        "q1": ["d5", "d2"],
    }
    assert found["q2"][:3] == [("d4", 4.0), ("d3", 3.0), ("d1", 1.0)]
    assert found["q1"] == [("d5", 5.0), ("d2", 2.0)]
    assert list(found) == ["q2", "q1"]
    assert model.asked == [({"red fox"}, ["d3", "d1", "d4"], None), ({"cat"}, ["d2", "d5"], None)]


@pytest.mark.parametrize("depth", [1, 2, 4, 5, 6])
def test_every_depth_keeps_every_document(depth):
    """As many hits as before; what is below the depth in the order it was."""
    found = rerank_run(RUN, QUERIES, DOCUMENTS, LengthModel(), RerankSettings(depth=depth))

    for qid, hits in RUN.items():
        assert sorted(names(found[qid][:depth])) == sorted(names(hits[:depth]))
        assert names(found[qid][depth:]) == names(hits[depth:])


def test_hits_cut_the_new_run():
    """After reranking, so that the best of the depth remain."""
    settings = RerankSettings(depth=5, hits=2)

    found = rerank_run(RUN, QUERIES, DOCUMENTS, LengthModel(), settings)

    assert names(found["q2"]) == ["d5", "d4"]


def test_passages_reach_the_model():
    """The windows asked for are those that are scored."""
    model, passage = LengthModel(), BestPassage(8, 4)

    rerank_run(RUN, QUERIES, DOCUMENTS, model, RerankSettings(passage=passage))

    assert {asked[2] for asked in model.asked} == {passage}


@pytest.mark.parametrize("scores", [[-1000.0, 2.5], [0.0, 0.0], [-0.5, 7.0], [-11.0, -11.25]])
def test_scores_below_the_depth_say_the_order(tmp_path, scores):
    """The n-th has the lowest score, rounded down, less n: reading the run back changes nothing."""
    hits = [Hit(f"d{place % 7}-{place}", 50.0 - place) for place in range(30)]

    found = merge(hits, scores)

    lowest = math.floor(min(scores))
    assert [hit.score for hit in found[2:]] == [lowest - n for n in range(1, 29)]
    assert names(found[2:]) == names(hits[2:])
    write_run(tmp_path / "run", {"q": found}, tag="t")
    assert read_run(tmp_path / "run") == {"q": found}


def test_equal_scores_are_in_trec_evals_order():
    """By docid, descending, whatever the first stage said."""
    hits = [Hit("a", 3.0), Hit("c", 2.0), Hit("b", 1.0)]

    assert names(merge(hits, [1.0, 1.0, 1.0])) == ["c", "b", "a"]


def test_scores_that_leave_no_room_below_are_refused():
    """float32 does not tell -1e9 from -1e9 - 1."""
    hits = [Hit("a", 3.0), Hit("b", 2.0), Hit("c", 1.0)]

    with pytest.raises(ValueError, match="leaves no room for 2 documents"):
        merge(hits, [-1e9])


@pytest.mark.parametrize("values", [{"depth": 0}, {"depth": -1}, {"hits": 0}])
def test_settings_out_of_range_are_refused(values):
    """Nothing would be reranked, or written."""
    with pytest.raises(ValueError, match="must be at least 1, found"):
        RerankSettings(**values)


# What is read


def test_queries_are_those_of_the_run():
    """In its order; topics it lacks are left out."""
    topics = [Topic("q0", "a"), Topic("q1", "cat"), Topic("q2", "red fox")]

    assert list(find_queries(RUN, topics).items()) == [("q2", "red fox"), ("q1", "cat")]


def test_topics_that_are_missing_are_named():
    """A run of other topics is a mistake."""
    with pytest.raises(MismatchError, match="T: has no topic q2, q1, but the run has"):
        find_queries(RUN, [Topic("q3", "a")], source="T")


def test_only_the_documents_needed_are_held():
    """One pass, which ends where the last one is found."""
    collection = iter([*DOCUMENTS.values(), Document("after", "x")])

    found = find_documents(RUN, collection, depth=2)

    assert sorted(found) == ["d1", "d2", "d3", "d5"]
    assert next(collection).docid == "after"


def test_documents_that_are_missing_are_named():
    """The first five of them, and how many more."""
    with pytest.raises(MismatchError, match="C: has no document d3, d4, but the run has"):
        find_documents(RUN, [DOCUMENTS[f"d{n}"] for n in (0, 1, 2, 5)], depth=9, source="C")
    with pytest.raises(MismatchError, match="d0, d1, d2, d3, d4 and 1 more"):
        find_documents(RUN, [], depth=9)


def test_hash_of_texts_sees_each_of_them():
    """Query, title and text; not the order in which they were found."""
    backwards = dict(reversed(DOCUMENTS.items()))
    others = [
        hash_texts({**QUERIES, "q1": "dog"}, DOCUMENTS),
        hash_texts(QUERIES, {**DOCUMENTS, "d5": Document("d5", "cat", "fox")}),
        hash_texts(QUERIES, {**DOCUMENTS, "d0": Document("d0", "", "")}),
    ]

    assert hash_texts(QUERIES, backwards) == hash_texts(QUERIES, DOCUMENTS)
    assert hash_texts(QUERIES, DOCUMENTS) not in others


# The journal


def scored(qid):
    return ScoredTopic(qid, [0.1, float(np.float32(-7.3))], 0.5)


class Killed(Exception):
    pass


def write_and_die(output, qids, settings):
    with suppress(Killed), open_journal(output, settings) as journal:
        for qid in qids:
            journal.add(scored(qid))
        raise Killed


def test_journal_has_what_a_killed_run_scored(tmp_path):
    """Exactly as it was, and gone once the run is finished."""
    write_and_die(tmp_path / "run", ["q1", "q2"], {"depth": 3})

    with open_journal(tmp_path / "run", {"depth": 3}) as journal:
        assert journal.topics == {qid: scored(qid) for qid in ("q1", "q2")}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", [1, 9, 30])
def test_journal_drops_a_line_that_is_half_written(tmp_path, lost):
    """What is before it counts, and what comes after it is read later."""
    output = tmp_path / "run"
    write_and_die(output, ["q1", "q2"], {"depth": 3})
    content = journal_path(output).read_bytes()
    journal_path(output).write_bytes(content[:-lost])

    write_and_die(output, ["q3"], {"depth": 3})

    with open_journal(output, {"depth": 3}) as journal:
        assert list(journal.topics) == ["q1", "q3"]


@pytest.mark.parametrize("content", [b"", b"{", b"\0\0\0\n", b"[]\n", b'{"qid": "q1"}\n'])
def test_damaged_journal_is_started_anew(tmp_path, content):
    """Whatever stands there is no reason to stop."""
    output = tmp_path / "run"
    journal_path(output).write_bytes(content)

    write_and_die(output, ["q3"], {"depth": 3})

    with open_journal(output, {"depth": 3}) as journal:
        assert list(journal.topics) == ["q3"]


@pytest.mark.parametrize(
    "line",
    ['{"foo": 1}', '{"qid": "q2", "scores": "x", "seconds": 0.5}', '{"qid": "q2", "scores": [1]}'],
)
def test_journal_ends_before_a_line_that_is_none_of_its_own(tmp_path, line):
    """Whatever wrote it, the topics before it count."""
    output = tmp_path / "run"
    write_and_die(output, ["q1"], {"depth": 3})
    with journal_path(output).open("a") as file:
        file.write(line + "\n")

    with open_journal(output, {"depth": 3}) as journal:
        assert list(journal.topics) == ["q1"]


def test_journal_of_other_settings_is_started_anew(tmp_path, caplog):
    """Their scores are others; the log names what changed."""
    write_and_die(tmp_path / "run", ["q1"], {"depth": 3, "model": {"max_length": 9}})

    with (
        caplog.at_level("WARNING"),
        open_journal(tmp_path / "run", {"depth": 3, "model": {"max_length": 8}}) as journal,
    ):
        assert journal.topics == {}
    assert "starts anew, as ['model'] changed" in caplog.text


def test_scored_topics_are_not_scored_again(tmp_path):
    """The run is that of an undisturbed one."""
    expected = rerank_run(RUN, QUERIES, DOCUMENTS, LengthModel(), RerankSettings(depth=3))
    first, second = LengthModel(), LengthModel()
    settings = RerankSettings(depth=3)
    with suppress(Killed), open_journal(tmp_path / "run", {}) as journal:
        rerank_run({"q2": RUN["q2"]}, QUERIES, DOCUMENTS, first, settings, journal=journal)
        raise Killed

    with open_journal(tmp_path / "run", {}) as journal:
        found = rerank_run(RUN, QUERIES, DOCUMENTS, second, settings, journal=journal)

    assert found == expected
    assert [asked[0] for asked in second.asked] == [{"cat"}]

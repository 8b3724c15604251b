"""Which candidates become a topic's negatives, from whatever source."""

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from ance_plugin.train.negatives.mining import Candidates, Miner
from ance_plugin.train.negatives.rows import TopicNegatives

MIX = {"ann": 2, "bm25": 1, "random": 1}


def ranked(docids, first=100.0, step=1.0):
    """Give docids scores that go down by ``step``."""
    scores = first - step * np.arange(len(docids))
    return Candidates(docids, scores.astype(np.float32))


def numbered(*numbers):
    return [f"d{n}" for n in numbers]


class TestExclusion:
    def test_no_positive_and_no_copy_of_one_is_a_negative(self, make_miner):
        """From ann, bm25 and random: all that is allowed is taken, and nothing else."""
        texts = {f"d{n}": f"text {n % 8}" for n in range(24)}  # three documents of each text
        qrels = {"q": {"d0": 1, "d1": 2, "d18": 3, "d7": 0, "gone": 1}}  # d18 has the text of d2
        mix = {"ann": 1, "bm25": 1, "random": 1}
        miner = make_miner(qrels, texts=texts, mix=mix, num_negatives=100)
        everything = list(texts)

        row = miner.mine("q", {"ann": ranked(everything), "bm25": ranked(everything[::-1])})

        assert row.positives == ("d18", "d1", "d0")
        assert len(row.negatives) == len(set(row.negatives)) == 15
        assert {int(docid[1:]) % 8 for docid in row.negatives} == {3, 4, 5, 6, 7}
        assert row.num_dropped == {"absent": 1, "positive": 2 * 3, "duplicate": 2 * 6}

    def test_random_excludes_them_too(self, make_miner):
        """In many rounds, none of a topic's copies is drawn, and all else is."""
        texts = {f"d{n}": f"text {n % 4}" for n in range(16)}
        miner = make_miner({"q": {"d0": 1, "d5": 1}}, texts=texts, mix={"random": 1})

        rows = [miner.mine("q", {}, round=n) for n in range(20)]

        allowed = {f"d{n}" for n in range(16) if n % 4 in (2, 3)}
        assert all(len(row.negatives) == 8 and set(row.negatives) == allowed for row in rows)
        assert rows[0].sources == ("random",) * 8
        assert rows[0].scores == rows[0].ranks == (None,) * 8
        assert rows[0].num_dropped == {}

    def test_what_is_not_in_the_collection_is_no_negative(self, make_miner):
        """It is counted as absent, with the judged positives that are not."""
        miner = make_miner({"q": {"d0": 1, "x": 1}}, num_negatives=2, sampler="top")

        row = miner.mine("q", {"ann": ranked(["y", "d3", "x", "z", "d4"])})

        assert row.negatives == ("d3", "d4")
        assert row.ranks == (2, 5)
        assert row.num_dropped == {"absent": 3, "positive": 1}

    def test_only_the_depth_is_read_and_counted(self, make_miner):
        """A positive below it drops nothing."""
        miner = make_miner({"q": {"d3": 1}}, num_negatives=3, depth=3, sampler="top")

        row = miner.mine("q", {"ann": ranked(numbered(*range(9)))})

        assert row.negatives == ("d0", "d1", "d2")
        assert row.num_dropped == {}

    def test_a_topic_without_positives_is_not_mined(self, make_miner):
        """has_positive says so beforehand."""
        miner = make_miner({"q": {"d0": 0, "gone": 1}, "p": {"d0": 1}})

        assert [miner.has_positive(qid) for qid in ("p", "q", "r")] == [True, False, False]
        with pytest.raises(ValueError, match=r"topic q has no positive in .*tokens; skip it"):
            miner.mine("q", {"ann": ranked([])})


class TestMix:
    def test_quotas_are_kept_and_gaps_filled_at_random(self, make_miner):
        """A source with too few, or none, leaves its place to random documents."""
        mix = {"ann": 0.5, "bm25": 0.25, "random": 0.25}
        miner = make_miner({"q": {"d0": 1}}, num_negatives=8, mix=mix, sampler="top")
        ann, bm25 = numbered(*range(10)), numbered(0, 1, 2, 3, 4, 5)

        row = miner.mine("q", {"ann": ranked(ann), "bm25": ranked(bm25, first=9.0)})
        short = miner.mine("q", {"ann": ranked(ann[:2])})

        assert row.negatives[:6] == ("d1", "d2", "d3", "d4", "d5", row.negatives[5])
        assert row.sources == ("ann",) * 4 + ("bm25",) + ("random",) * 3  # bm25 has no sixth
        assert (row.scores[:5], row.ranks[:5]) == ((99.0, 98.0, 97.0, 96.0, 4.0), (2, 3, 4, 5, 6))
        assert Counter(short.sources) == {"ann": 1, "random": 7}
        assert len(set(row.negatives)) == len(set(short.negatives)) == 8

    def test_random_is_uniform(self, make_miner):
        """Over many topics each document but the positive is drawn equally often."""
        qrels = {f"q{n}": {"d7": 1} for n in range(4000)}
        miner = make_miner(qrels, num_documents=40, num_negatives=3, mix={"random": 1})

        rows = [miner.mine(qid, {}) for qid in qrels]

        counts = Counter(docid for row in rows for docid in row.negatives)
        assert len(counts) == 39
        assert chisquare(list(counts.values())).pvalue > 0.01

    def test_a_small_collection_gives_what_it_has(self, make_miner):
        """Every other document, once."""
        miner = make_miner({"q": {"d0": 1}}, num_documents=5, num_negatives=20)

        row = miner.mine("q", {"ann": ranked(numbered(0, 1))})

        assert sorted(row.negatives) == ["d1", "d2", "d3", "d4"]


class TestFilters:
    def test_the_margin_is_below_the_best_positive(self, make_miner):
        """Of what is found or stated; what it drops comes back from no other source."""
        mix = {"ann": 1, "bm25": 1}
        qrels = {"q": {"d2": 1, "d4": 1}}
        miner = make_miner(
            qrels, num_documents=10, num_negatives=20, mix=mix, margin=0.0, sampler="top"
        )
        candidates = {"ann": ranked(numbered(0, 1, 2, 3)), "bm25": ranked(numbered(3, 1, 5))}

        row = miner.mine("q", candidates, positive_scores={"d2": 98.0, "d4": 50.0})

        assert row.positive_scores == (98.0, 50.0)
        assert row.num_dropped == {"positive": 1, "margin": 2}
        assert row.negatives[:2] == ("d3", "d5")
        assert sorted(row.negatives) == numbered(3, 5, 6, 7, 8, 9)

    def test_what_a_later_source_drops_no_earlier_one_gives(self, make_miner):
        """d1 passes ann's margin but not bm25's."""
        mix = {"ann": 1, "bm25": 1}
        miner = make_miner({"q": {"d0": 1}}, num_documents=4, mix=mix, margin=0.0)

        row = miner.mine("q", {"ann": ranked(numbered(0, 1, 2)), "bm25": ranked(numbered(1, 0, 3))})

        assert sorted(row.negatives) == ["d2", "d3"]
        assert row.num_dropped == {"positive": 2, "margin": 1}

    def test_scores_may_be_negative(self, make_miner):
        """Of inner products below zero the margin keeps the lower ones."""
        miner = make_miner({"q": {"d1": 1}}, num_negatives=2, margin=0.1, sampler="top")

        row = miner.mine("q", {"ann": ranked(numbered(0, 1, 2, 3, 4), first=-9.0)})

        assert row.negatives == ("d3", "d4")  # below -10 - 1
        assert row.num_dropped == {"positive": 1, "margin": 2}

    def test_without_a_reference_the_margin_drops_nothing(self, make_miner):
        """No positive was found, and none has a stated score."""
        miner = make_miner({"q": {"d9": 1}}, num_negatives=2, margin=0.5, sampler="top")

        row = miner.mine("q", {"ann": ranked(numbered(0, 1, 2))})

        assert row.negatives == ("d0", "d1")
        assert row.positive_scores == (None,)

    def test_simans_is_about_the_positive(self, make_miner):
        """Steeply, it takes the two whose scores are next to the best positive's."""
        settings = {"sampler": "simans", "sampler_a": 1e6, "num_negatives": 2}
        miner = make_miner({"q": {"d500": 1, "d5": 1}}, **settings)

        row = miner.mine("q", {"ann": ranked(numbered(*range(10)))})
        stated = miner.mine(
            "q", {"ann": ranked(numbered(*range(4)))}, positive_scores={"d500": 98.4}
        )
        unknown = miner.mine("q", {"ann": ranked(numbered(*range(4)))})

        assert set(row.negatives) == {"d4", "d6"}
        assert stated.negatives == ("d2", "d1")
        assert unknown.negatives == ("d3", "d2")


class TestTeacher:
    def test_it_drops_and_scores_what_is_drawn(self, make_miner):
        """The positives are scored once; each negative has its own score; random ones too."""
        asked = []

        def teacher(qid, docids):
            asked.extend((qid, docid) for docid in docids)
            return np.array([float(docid[1:]) - 3.5 for docid in docids])

        qrels = {"q": {"d1": 2, "d8": 1}}
        settings = {"num_documents": 12, "num_negatives": 4, "teacher_threshold": 0.5}
        miner = make_miner(qrels, teacher=teacher, sampler="top", **settings)

        row = miner.mine("q", {"ann": ranked(numbered(9, 2, 5, 1))})

        assert row.positives == ("d1", "d8")
        assert row.positive_teacher_scores == (-2.5, 4.5)
        assert row.negatives[0] == "d2"
        assert sorted(row.negatives) == ["d0", "d2", "d3"]  # the others are taken for relevant
        assert row.teacher_scores == tuple(float(d[1:]) - 3.5 for d in row.negatives)
        assert row.num_dropped == {"positive": 1, "cross-encoder": 7}
        assert len(asked) == len(set(asked)) == 12

    def test_without_a_threshold_it_only_scores(self, make_miner):
        """Nothing is dropped, and only what is taken is scored."""
        calls = []

        def teacher(qid, docids):
            calls.append(list(docids))
            return np.full(len(docids), 9.0)

        miner = make_miner({"q": {"d0": 1}}, teacher=teacher, num_negatives=2, sampler="top")

        row = miner.mine("q", {"ann": ranked(numbered(*range(9)))})

        assert calls == [["d0", "d1", "d2"]]
        assert (row.teacher_scores, row.positive_teacher_scores) == ((9.0, 9.0), (9.0,))
        assert row.num_dropped == {"positive": 1}

    @pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, float("nan")]])
    def test_its_scores_must_be_one_finite_number_each(self, make_miner, scores):
        """Else the message names the topic."""
        miner = make_miner({"q": {"d0": 1}}, teacher=lambda *_: np.array(scores), num_negatives=2)

        with pytest.raises(ValueError, match="topic q: expected 3 finite scores of the teacher"):
            miner.mine("q", {"ann": ranked(numbered(1, 2))})

    def test_a_threshold_needs_it(self, make_miner):
        """Before any topic is mined."""
        with pytest.raises(ValueError, match="teacher_threshold needs a cross-encoder"):
            make_miner({"q": {"d0": 1}}, teacher_threshold=0.9)


class TestDraw:
    def mine_all(self, miner, qids, **options):
        ann, bm25 = ranked(numbered(*range(100))), ranked(numbered(*range(200, 300)))
        return {qid: miner.mine(qid, {"bm25": bm25, "ann": ann}, **options) for qid in qids}

    def test_other_topics_and_their_order_do_not_matter(self, make_miner):
        """Nor does another miner with the same seed."""
        qrels = {f"q{n}": {f"d{n}": 1} for n in range(30)}
        miner, other = (make_miner(qrels, mix=MIX) for _ in range(2))
        qids = list(qrels)
        random.Random(1).shuffle(qids)

        rows = self.mine_all(miner, qrels)

        assert rows == self.mine_all(miner, qids)
        assert rows["q7"] == self.mine_all(other, ["q7"])["q7"]

    def test_seed_round_and_topic_do(self, make_miner):
        """Another one gives other negatives."""
        qrels = {"p": {"d0": 1}, "q": {"d0": 1}}
        miner, other = (make_miner(qrels, mix=MIX, seed=seed) for seed in (1, 2))

        drawn = {
            self.mine_all(miner, "p")["p"].negatives,
            self.mine_all(miner, "q")["q"].negatives,
            self.mine_all(miner, "p", round=1)["p"].negatives,
            self.mine_all(other, "p")["p"].negatives,
        }

        assert len(drawn) == 4

    def test_another_process_mines_the_same(self, make_miner):
        """With another hash seed."""
        qrels = {"q": {"d3": 1, "d5": 1, "d777": 2}}
        miner = make_miner(qrels, mix=MIX, sampler="simans")
        code = f"""
from pathlib import Path
import numpy as np
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.negatives.mining import Candidates, Miner, MiningSettings
settings = MiningSettings(mix={MIX}, sampler="simans")
miner = Miner(Corpus(Path({str(miner.corpus.path)!r})), {qrels}, settings, seed=1)
scores = (100.0 - np.arange(100)).astype(np.float32)
ann = Candidates([f"d{{n}}" for n in range(100)], scores)
bm25 = Candidates([f"d{{n}}" for n in range(200, 300)], scores)
print(miner.mine("q", {{"ann": ann, "bm25": bm25}}, round=4))
"""
        command = [sys.executable, "-c", code]
        env = {"PYTHONHASHSEED": "77"}

        printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True)

        assert printed.stdout == f"{self.mine_all(miner, 'q', round=4)['q']}\n"


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0], "topic q: candidates of ann: scores must be numbers, best first"),
        ([2.0, float("nan")], "scores must be numbers, best first"),
        ([2.0], r"2 docids but scores of shape \(1,\)"),
    ],
)
def test_candidates_must_be_scored_best_first(make_miner, scores, message):
    """A list in another order is somebody's mistake, such as a distance for a score."""
    miner = make_miner({"q": {"d0": 1}})

    with pytest.raises(ValueError, match=message):
        miner.mine("q", {"ann": Candidates(["d1", "d2"], np.array(scores, np.float32))})


def test_candidates_are_taken_back_from_a_table():
    """Those of the source, by rank, with what its positives score."""
    row = TopicNegatives(
        qid="q",
        positives=("p1", "p2"),
        positive_scores=(7.0, None),
        negatives=("a", "b", "c", "d"),
        scores=(3.0, None, 5.0, 4.0),
        ranks=(4, None, 1, 2),
        sources=("bm25", "random", "bm25", "ann"),
    )

    docids, scores, positive_scores = Candidates.from_negatives(row, "bm25")

    assert docids == ["c", "a"]
    assert scores.tolist() == [5.0, 3.0]
    assert positive_scores == {"p1": 7.0}


def test_scores_are_those_the_table_holds(make_miner):
    """Doubles are rounded to float32 when they come in, so that a row survives the table."""
    miner = make_miner({"q": {"d0": 1}})

    row = miner.mine("q", {"ann": ranked(numbered(1, 2), first=0.1)}, positive_scores={"d0": 0.3})

    assert row.positive_scores == (float(np.float32(0.3)),)
    assert row.scores[row.negatives.index("d1")] == float(np.float32(0.1))
    assert isinstance(miner, Miner)

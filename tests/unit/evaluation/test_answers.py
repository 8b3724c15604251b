"""DPR's answer match, on cases worked out by hand."""

import pytest

from ance_plugin.records import Hit
from evaluation.answers import AnswerFinder, has_answer, measure_accuracy, tokenize


def test_tokens_are_words_and_single_other_characters():
    """Marks stay with their letter, after NFD; punctuation is a token a character; spaces none."""
    text = "The U.S.A.'s café\u00a0co-op:\t№5 ½ e\u0301 \u200b!!"

    assert tokenize(text) == [
        *("the", "u", ".", "s", ".", "a", ".", "'", "s", "cafe\u0301", "co", "-", "op", ":"),
        *("№", "5", "½", "e\u0301", "!", "!"),
    ]


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("Röntgen", "wilhelm RÖNTGEN, 1901", True),
        ("Ro\u0308ntgen", "Wilhelm Röntgen", True),  # composed and decomposed are one
        ("Rontgen", "Wilhelm Röntgen", False),  # a mark is part of its word
        ("co-op", "a co - op shop", True),  # tokens, not characters
        ("co-op", "a coop shop", False),
        ("co op", "a co-op shop", False),
        ("U.S.", "the U . S . army", True),
        ("U.S.", "the US army", False),
        ("art", "a party started", False),  # whole words
        ("new york", "New\n York City", True),
        ("york new", "New York", False),
        ("new york new", "in New York", False),
        ("a b", "a c b", False),
        ("2018", "in 2018.", True),
        ("2018", "in 20,18", False),
        ("ΟΔΟΣ", "μια οδος", True),  # sigma's form depends on where it stands
        ("οδοσ", "ΟΔΟΣ", False),
        ("İstanbul", "i\u0307stanbul", True),
        ("straße", "STRASSE", False),  # lower case is not case folding
        ("\u212a", "k", True),  # the Kelvin sign's NFD
        ("[MASK]", "a [ mask ] b", True),
        ("", "anything", True),  # as DPR's loop has it
        ("\u200b", "", True),
        ("x", "", False),
    ],
)
def test_an_answer_is_a_run_of_tokens(answer, text, expected):
    """In NFD and lower case."""
    assert has_answer([answer], text) is expected
    assert has_answer(["never there", answer], text) is expected


def test_no_answers_are_nowhere():
    """An empty list matches nothing."""
    assert not has_answer([], "text")
    assert not has_answer([], "text", is_regex=True)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"19\d\d", "in 1901", True),
        (r"^born", "He\nBORN there", True),
        ("art", "a party", True),  # anywhere in the characters
        ("Röntgen", "Ro\u0308ntgen", True),
        ("(", "(", False),  # does not compile
        ("[[a]", "a", True),  # Python warns of it
    ],
)
def test_expressions_are_searched_in_the_characters(pattern, text, expected):
    """Ignoring case, with ^ and $ at lines, in NFD."""
    assert has_answer([pattern], text, is_regex=True) is expected


RUN = {
    "q1": [Hit("a", 3.0), Hit("b", 2.0), Hit("c", 1.0)],
    "q2": [Hit("c", 3.0), Hit("a", 2.0)],
    "other": [Hit("absent", 1.0)],
}
TEXTS = {"a": "the red fox", "b": "a blue whale", "c": "nothing"}
ANSWERS = {"q1": ("blue whale",), "q2": ("fox",), "q3": ("red",)}


def test_accuracy_counts_every_question_once():
    """By the first passage with an answer; a topic without hits is a miss, another is ignored."""
    found = measure_accuracy(RUN, ANSWERS, TEXTS, (1, 2, 3))

    assert found == {
        1: {"q1": 0.0, "q2": 0.0, "q3": 0.0},
        2: {"q1": 1.0, "q2": 1.0, "q3": 0.0},
        3: {"q1": 1.0, "q2": 1.0, "q3": 0.0},
    }


def test_passages_below_the_depth_are_not_read():
    """Rank 2 is outside a depth of 1, and its text is not asked for."""
    finder = AnswerFinder(ANSWERS, {"a": TEXTS["a"], "c": TEXTS["c"]})

    assert finder.find_ranks(RUN, 1) == {"q1": None, "q2": None, "q3": None}


def test_several_runs_share_what_was_judged():
    """Ranks are of each run's own order."""
    finder = AnswerFinder(ANSWERS, TEXTS)
    turned = {qid: hits[::-1] for qid, hits in RUN.items()}

    assert finder.find_ranks(RUN, 3) == {"q1": 2, "q2": 2, "q3": None}
    assert finder.find_ranks(turned, 3) == {"q1": 2, "q2": 1, "q3": None}


def test_answers_that_cannot_be_judged_are_counted():
    """No token, or no expression."""
    assert AnswerFinder({"q": ["", "x"]}, {}).num_useless == 1
    assert AnswerFinder({"q": ["(", "x"]}, {}, is_regex=True).num_useless == 1

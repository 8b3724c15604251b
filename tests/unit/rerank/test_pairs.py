"""Pairs are what the tokenizer makes of two texts; windows cover a document."""

import pytest

from ance_plugin.errors import FormatError
from ance_plugin.rerank.pairs import BestPassage, PairTokenizer

LONG = "the red fox sees a cat " * 20
PAIRS = [
    ("red fox", "the cat"),
    ("", "the cat"),
    ("red fox", ""),
    ("", ""),
    ("red fox", LONG),
    (LONG, "the cat"),
    (LONG, LONG),
    (LONG + "red", LONG),
    ("a " * 20, "the " * 9),
]


def join(pairs, query, text):
    return pairs.join(*pairs.tokenize([query, text]))


@pytest.mark.parametrize("max_length", [5, 16, 17, 64])
@pytest.mark.parametrize(("query", "text"), PAIRS)
def test_pairs_are_those_of_the_tokenizer(tokenizer, query, text, max_length):
    """Without a limit for queries the longer text gives way, as ``longest_first`` says."""
    pairs = PairTokenizer(tokenizer, max_length=max_length)

    found = join(pairs, query, text)

    expected = tokenizer([query], [text], truncation=True, max_length=max_length)
    assert found.ids == expected["input_ids"][0]
    assert found.types == expected["token_type_ids"][0]


def test_a_query_is_cut_to_its_limit_and_then_only_the_document(tokenizer):
    """With a limit of 4, a query has 4 tokens, and a document of any length the rest of 16."""
    pairs = PairTokenizer(tokenizer, max_length=16, max_query_tokens=4)

    found = join(pairs, "a " * 9, "the " * 99)

    a, the = (ids[0] for ids in pairs.tokenize(["a", "the"]))
    assert [token for token in found.ids if token in (a, the)] == [a] * 4 + [the] * 9
    assert len(join(pairs, "a " * 9, "the").ids) == 3 + 4 + 1


def test_half_a_surrogate_pair_is_a_question_mark(tokenizer):
    """No tokenizer takes it, and one such text shall not end a run."""
    pairs = PairTokenizer(tokenizer, max_length=16)

    assert pairs.tokenize(["cat \ud83d"]) == pairs.tokenize(["cat ?"])


@pytest.mark.parametrize("max_length", [0, 4])
def test_a_length_without_room_is_refused(tokenizer, max_length):
    """Three special tokens and one for each text are the least."""
    with pytest.raises(ValueError, match=f"at least 5.*found {max_length}"):
        PairTokenizer(tokenizer, max_length=max_length)


@pytest.mark.parametrize("limit", [0, 13, 99])
def test_a_query_limit_without_room_for_a_document_is_refused(tokenizer, limit):
    """Of 16 tokens 3 are special, so that 12 are the most a query may have."""
    with pytest.raises(ValueError, match=f"between 1 and 12.*found {limit}"):
        PairTokenizer(tokenizer, max_length=16, max_query_tokens=limit)


def test_a_tokenizer_without_a_place_for_two_texts_is_refused(tokenizer):
    """One that drops the second text, say."""

    class OneText(type(tokenizer)):
        def __call__(self, text, pair=None, **options):
            return super().__call__(text, **options)

    tokenizer = OneText(vocab=dict(tokenizer.get_vocab()))

    with pytest.raises(FormatError, match="does not put two texts into one sequence"):
        PairTokenizer(tokenizer, max_length=16)


def windows(tokenizer, document, passage, *, query="red fox"):
    pairs = PairTokenizer(tokenizer, max_length=16)
    query, document = pairs.tokenize([query, document])
    made = pairs.windows(query, document, passage)
    start = len(query) + 2
    assert all(window.ids[: start - 1] == [2, *query] for window in made)
    return document, [window.ids[start:-1] for window in made]


@pytest.mark.parametrize("length", [0, 1, 4, 5, 7, 8, 11, 12, 13, 40])
def test_windows_cover_a_document_once_and_no_more(tokenizer, length):
    """Windows of 4 by 3: each starts 3 later, and only the last one reaches the end."""
    words = ["the", "cat", "dog", "fox", "red", "green", "sees", "eats", "a", "and"]
    text = " ".join((words * 4)[:length])

    document, found = windows(tokenizer, text, BestPassage(4, 3))

    num_windows = 1 + max(0, -(-(length - 4) // 3))
    assert found == [document[3 * n : 3 * n + 4] for n in range(num_windows)]
    assert found[-1][-1:] == document[-1:]


def test_windows_are_as_long_as_fit_and_overlap_by_half(tokenizer):
    """Of 16 tokens 3 are special and 2 are the query's: windows of 11 by 5."""
    document, found = windows(tokenizer, "the cat " * 10, BestPassage())

    assert found == [document[:11], document[5:16], document[10:]]


def test_a_window_wider_than_fits_is_cut(tokenizer):
    """A stride given with it still leaves no token out."""
    document, found = windows(tokenizer, "the cat " * 10, BestPassage(99, 50))

    assert found == [document[:11], document[11:]]


def test_a_long_query_leaves_half_to_the_windows(tokenizer):
    """Of 13 tokens it gets 6."""
    pairs = PairTokenizer(tokenizer, max_length=16)
    query, document = pairs.tokenize(["a " * 9, "the " * 14])

    made = pairs.windows(query, document, BestPassage(7, 7))

    assert [len(window.ids) for window in made] == [16, 16]


@pytest.mark.parametrize("passage", [BestPassage(), BestPassage(7, 3)])
def test_an_empty_document_is_one_window_however_long_the_query(tokenizer, passage):
    """The query may take all 13 tokens, which leaves none to stride by."""
    pairs = PairTokenizer(tokenizer, max_length=16)
    (query,) = pairs.tokenize(["a " * 99])

    (window,) = pairs.windows(query, [], passage)

    assert window == pairs.join(query, [])
    assert len(window.ids) == 16


@pytest.mark.parametrize("values", [(0, None), (None, 0), (4, 5), (-1, None)])
def test_passages_out_of_range_are_refused(values):
    """Sizes below one, and strides that leave tokens out."""
    with pytest.raises(ValueError, match=r"at least 1|leaves out tokens"):
        BestPassage(*values)

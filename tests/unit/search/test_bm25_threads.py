"""Several BM25 searchers in threads of one process, each asked about its own index."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ance_plugin.index.__main__ import main as index
from ance_plugin.search.bm25 import Bm25Searcher
from tests.conftest import WORDS
from tests.load_threads import Load, run_load

NOUNS = WORDS.split()[:21]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two indexes of the same texts, whose docids begin with the index's name."""
    found = {}
    for name in ("one", "other"):
        folder = tmp_path_factory.mktemp(name)
        texts = [f"the {noun} sees the {NOUNS[place - 5]}" for place, noun in enumerate(NOUNS)]
        lines = [json.dumps({"id": f"{name}{n}", "contents": t}) for n, t in enumerate(texts)]
        (folder / "docs.jsonl").write_text("\n".join(lines) + "\n")
        words = ["bm25", "--collection", f"{folder}/docs.jsonl", "--threads", "1"]
        assert index([*words, "--output", f"{folder}/bm25"]) == 0
        found[name] = folder / "bm25"
    return found


@contextmanager
def frequent_switches():
    """Have Python go from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.java
@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "anserini"])
def test_searchers_of_several_indexes_keep_to_their_own(folders, is_fast):
    """Eight threads ask both, alone and in batches, while another opens both again."""
    searchers = {name: Bm25Searcher(folder) for name, folder in folders.items()}
    if not is_fast:  # as for the indexes of Lucene 8
        for searcher in searchers.values():
            searcher._fast = None
    load = Load(searchers, NOUNS[:10], k=5)
    for name, part, answer in load.expected:
        hits = answer if isinstance(part, str) else answer["0"]
        assert [hit.docid.removeprefix(name).isdigit() for hit in hits] == [True] * 2

    with frequent_switches(), ThreadPoolExecutor(1) as pool:
        again = [*folders.values()] * 3
        opened = pool.submit(lambda: [Bm25Searcher(folder).num_docs for folder in again])
        figures = run_load(load, threads=8, seconds=3)

    assert opened.result() == [len(NOUNS)] * 6
    assert figures["queries"] > 0
    assert (figures["wrong"], figures["errors"], figures["stuck_threads"]) == (0, 0, 0)


@pytest.mark.java
def test_texts_are_read_from_the_index_that_was_asked(folders):
    """By threads that read of both at once."""
    searchers = {name: Bm25Searcher(folder) for name, folder in folders.items()}
    asked = [(name, n) for n in range(len(NOUNS)) for name in searchers] * 3

    with frequent_switches(), ThreadPoolExecutor(4) as pool:
        texts = list(
            pool.map(lambda one: searchers[one[0]].read_contents(f"{one[0]}{one[1]}"), asked)
        )

    assert texts == [f"the {NOUNS[n]} sees the {NOUNS[n - 5]}" for _, n in asked]

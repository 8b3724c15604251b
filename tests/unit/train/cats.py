"""Topics and documents by a rule: documents with a cat are wanted, whatever else is in them."""

import numpy as np

from ance_plugin.records import Document, Topic
from ance_plugin.train.negatives.rows import TopicNegatives

COLOURS = ["red", "green", "blue"]
ANIMALS = ["cat", "dog", "fox"]  # the first is wanted
FILLERS = ["the", "a", "and", "sees", "eats", "lynx"]


def make_data(*, num_topics=48, seed=0, prefix="q"):
    """Make topics, documents, and a table of negatives by the rule."""
    rng = np.random.default_rng(seed)
    topics, documents, rows = [], [], []

    def add(animal):
        words = [*rng.choice(FILLERS, size=rng.integers(2, 9)), animal]
        documents.append(Document(f"{prefix}d{len(documents)}", " ".join(rng.permutation(words))))
        return documents[-1].docid

    for number in range(num_topics):
        colour = COLOURS[number % 3]
        topics.append(Topic(f"{prefix}{number}", f"the {colour}"))
        positives = (add("cat"), add("cat"))
        negatives = tuple(add(ANIMALS[1 + place % 2]) for place in range(5))
        rows.append(make_row(topics[-1].qid, positives, negatives))
    return topics, documents, rows


def make_row(qid, positives, negatives):
    unknown = (None,) * len(negatives)
    sources = ("bm25",) * len(negatives)
    return TopicNegatives(
        qid, positives, (None,) * len(positives), negatives, unknown, unknown, sources
    )

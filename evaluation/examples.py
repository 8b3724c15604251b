"""The topics on which systems differ most, with what each system puts first."""

from collections.abc import Iterable, Mapping, Sequence

from ance_plugin.records import Document, Hit, Qrels
from ance_plugin.rerank.sources import read_documents
from evaluation.comparison import Example, ShownHit

HITS = 5
_MAX_CHARACTERS = 280


def choose_topics(values: Mapping[str, Mapping[str, float]], count: int) -> list[str]:
    """Choose the topics whose largest and smallest value differ most.

    Args:
        values: system -> qid -> value of one measure, topics in one order.
        count: How many at most.

    Returns:
        Qids, the largest difference first, then in the order given; none where all agree.
    """
    spreads = {
        qid: max(topic) - min(topic)
        for qid, *topic in zip(
            next(iter(values.values()), {}), *(v.values() for v in values.values()), strict=True
        )
    }
    return [qid for qid in sorted(spreads, key=lambda qid: -spreads[qid]) if spreads[qid]][:count]


def make_examples(
    qids: Sequence[str],
    values: Mapping[str, Mapping[str, float]],
    tops: Mapping[str, Mapping[str, Sequence[Hit]]],
    qrels: Qrels,
    *,
    source: Iterable[Document] | None,
) -> list[Example]:
    """Show the first hits of every system for some topics.

    Args:
        qids: The topics.
        values: system -> qid -> value.
        tops: system -> qid -> hits, best first.
        qrels: Judgments of the topics.
        source: Documents, read in one pass for their texts; None shows docids alone.

    Returns:
        An example a topic; a document that the source lacks has no text.
    """
    shown = {(name, qid): top.get(qid, ())[:HITS] for name, top in tops.items() for qid in qids}
    docids = {hit.docid for hits in shown.values() for hit in hits}
    texts = {} if source is None else read_documents(docids, source)
    return [
        Example(
            qid=qid,
            values={name: values[name][qid] for name in values},
            hits={
                name: tuple(
                    _show(hit, qrels[qid].get(hit.docid), texts.get(hit.docid))
                    for hit in shown[name, qid]
                )
                for name in tops
            },
            num_relevant=sum(grade > 0 for grade in qrels[qid].values()),
        )
        for qid in qids
    ]


def clean(text: str) -> str:
    """Join the words of a text by single spaces; what UTF-8 cannot hold becomes a question mark."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _show(hit: Hit, relevance: int | None, document: Document | None) -> ShownHit:
    title, text = (document.title, document.text) if document else ("", "")
    relevance = None if relevance is None or relevance < 0 else relevance  # as in ``measures``
    return ShownHit(hit.docid, hit.score, relevance, _shorten(clean(title)), _shorten(clean(text)))


def _shorten(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    return text[:_MAX_CHARACTERS].rsplit(" ", 1)[0] + " …"

"""What a benchmark reads, read and checked before any long work starts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ance_plugin.errors import FormatError, LeakError, MismatchError
from ance_plugin.formats.collection import Collection, Fingerprint
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Qrels, Topic
from evaluation.benchmarks.stages import hash_json
from evaluation.benchmarks.table import Benchmark

logger = logging.getLogger(__name__)

_SHARED_BY_CHANCE = 0.05  # of the texts: real splits have a question twice now and then


@dataclass(frozen=True, slots=True)
class JudgedTopics:
    """Topics and what judges them.

    Attributes:
        name: As ``--topics`` takes them.
        qrels: As ``--qrels`` takes them; empty where there are none.
        qids: The judged topics' ids; all of them where there are no judgments.
        texts: Their texts, white space and case evened out.
        num_topics: Topics in all.
        topics_sha256: Of ids and texts, in their order.
        qrels_sha256: Of ids and grades; None without judgments.
    """

    name: str
    qrels: str
    qids: frozenset[str]
    texts: frozenset[str]
    num_topics: int
    topics_sha256: str
    qrels_sha256: str | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a benchmark reads, by its hashes.

    ``num_lost`` counts relevant documents that the collection does not have.
    """

    collection: str
    fingerprint: Fingerprint
    test: JudgedTopics
    tuning: JudgedTopics | None
    num_relevant: int
    num_lost: int

    def list_notes(self) -> list[str]:
        """Say what a reader of the report must know of the inputs."""
        notes = []
        if self.num_lost:
            notes.append(
                f"{self.num_lost} of {self.num_relevant} relevant documents are not in the "
                "collection; no system can find them"
            )
        if self.test.qrels_sha256 and len(self.test.qids) < self.test.num_topics:
            unjudged = self.test.num_topics - len(self.test.qids)
            notes.append(f"{unjudged} of {self.test.num_topics} topics have no judgments; ignored")
        return notes


def read_inputs(benchmark: Benchmark) -> Inputs:
    """Read topics, judgments and the collection once, and see that they belong together.

    Args:
        benchmark: Which ones.

    Returns:
        Their hashes and sizes.

    Raises:
        FileNotFoundError: A part is no file and no dataset.
        FormatError: A part is malformed, or the collection is of another size than the table says.
        LeakError: A topic to tune on is among those that are judged.
        MismatchError: Topics, judgments and collection are not of one dataset.
    """
    if not benchmark.topics:
        raise FileNotFoundError(f"{benchmark.name}: {benchmark.note}")
    test, qrels = _read_judged(benchmark.topics, benchmark.qrels)
    tuning = None
    if benchmark.tuning is not None:
        tuning, _ = _read_judged(benchmark.tuning.topics, benchmark.tuning.qrels)
        _refuse_leak(test, tuning)
        _refuse_copies(test, tuning)
    collection = Collection(benchmark.collection)
    logger.info("reading the collection %s", benchmark.collection)
    fingerprint = collection.scan()
    if benchmark.num_documents not in (None, fingerprint.num_documents):
        raise FormatError(
            f"{benchmark.collection}: has {fingerprint.num_documents} documents, {benchmark.name} "
            f"has {benchmark.num_documents}; is it whole?"
        )
    relevant = {docid for judged in qrels.values() for docid, grade in judged.items() if grade > 0}
    lost = relevant - _find(relevant, collection)
    if relevant and len(lost) == len(relevant):
        raise MismatchError(
            f"{benchmark.qrels}: none of its {len(relevant)} relevant documents, such as "
            f"{min(relevant)!r}, is in {benchmark.collection}; are both of one dataset?"
        )
    return Inputs(benchmark.collection, fingerprint, test, tuning, len(relevant), len(lost))


def _read_judged(topics_name: str, qrels_name: str) -> tuple[JudgedTopics, Qrels]:
    topics = read_topics(topics_name)
    qrels = read_qrels(qrels_name) if qrels_name else {}
    known = {topic.qid for topic in topics}
    strangers = sorted(qrels.keys() - known)
    if strangers:
        raise MismatchError(
            f"{qrels_name}: judges {len(strangers)} topics that {topics_name} lacks, such as "
            f"{strangers[0]!r}; they would count zero for every system"
        )
    qids = frozenset(qrels or known)
    judged = JudgedTopics(
        name=topics_name,
        qrels=qrels_name,
        qids=qids,
        texts=frozenset(_even_out(topic.text) for topic in topics if topic.qid in qids),
        num_topics=len(topics),
        topics_sha256=_hash_topics(topics),
        qrels_sha256=hash_json(qrels) if qrels_name else None,
    )
    return judged, qrels


def _even_out(text: str) -> str:
    return " ".join(text.casefold().split())


def _hash_topics(topics: Sequence[Topic]) -> str:
    return hash_json([[topic.qid, topic.text] for topic in topics])


def _refuse_leak(test: JudgedTopics, tuning: JudgedTopics) -> None:
    shared = sorted(test.qids & tuning.qids)
    if shared:
        raise LeakError(
            f"{tuning.qrels}: {len(shared)} of its topics, such as {shared[0]!r}, are among those "
            f"that {test.qrels or test.name} judges; tune on other topics"
        )


def _refuse_copies(test: JudgedTopics, tuning: JudgedTopics) -> None:
    """Refuse the topics that are judged under other ids."""
    shared = sorted(test.texts & tuning.texts)
    if len(shared) > _SHARED_BY_CHANCE * len(tuning.texts):
        raise LeakError(
            f"{tuning.name}: {len(shared)} of its {len(tuning.texts)} texts, such as "
            f"{shared[0]!r}, are those of topics that {test.name} judges; tune on other topics"
        )


def _find(docids: set[str], collection: Collection) -> set[str]:
    return {document.docid for document in collection if document.docid in docids}

"""Which answers belong to which topic: by qid, or by the text of the question."""

import unicodedata
from collections.abc import Iterable, Sequence

from ance_plugin.errors import MismatchError
from ance_plugin.formats.answers import Answered, unquote
from ance_plugin.records import Topic
from ance_plugin.rerank.sources import name_some
from evaluation.answers import tokenize


def match_answers(
    topics: Iterable[Topic], records: Iterable[Answered], *, source: str
) -> dict[str, tuple[str, ...]]:
    """Find the answers of each topic.

    Args:
        topics: The questions.
        records: Answers; a record with a qid is that topic's, others are found by their question,
            white space and the quotes of a CSV file aside.
        source: What errors call the answers.

    Returns:
        qid -> answers, in the order of the topics.

    Raises:
        MismatchError: A topic has no record, one of its qid with another question, or several that
            answer it differently.
    """
    by_qid: dict[str, list[Answered]] = {}
    by_question: dict[str, list[Answered]] = {}
    for record in records:
        if record.qid is not None:
            by_qid.setdefault(record.qid, []).append(record)
        if record.question is not None:
            by_question.setdefault(_key(record.question), []).append(record)
    found, missing = {}, []
    for topic in topics:
        chosen = by_qid.get(topic.qid) or by_question.get(_key(topic.text), [])
        if not chosen:
            missing.append(topic.qid)
            continue
        _refuse_other_question(topic, chosen[0])
        _refuse_different(topic, chosen)
        found[topic.qid] = chosen[0].answers
    if missing:
        raise MismatchError(
            f"{source}: has no answers for {len(missing)} of {len(missing) + len(found)} topics: "
            f"{name_some(missing)}; give the answers of these questions, by qid or question"
        )
    return found


def _key(question: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unquote(question)).split())


def _refuse_other_question(topic: Topic, record: Answered) -> None:
    """Compare words: the records of a topic may be of another case and punctuation."""
    if record.question is None:
        return
    asked, answered = (
        [token for token in tokenize(unquote(text)) if token.isalnum()]
        for text in (topic.text, record.question)
    )
    if asked != answered:
        raise MismatchError(
            f"{record.source}: answers {record.question!r}, but topic {topic.qid} asks "
            f"{topic.text!r}; give the answers of these topics"
        )


def _refuse_different(topic: Topic, chosen: Sequence[Answered]) -> None:
    for record in chosen[1:]:
        if record.answers != chosen[0].answers:
            raise MismatchError(
                f"topic {topic.qid} is answered by {chosen[0].source} and by {record.source}, "
                "differently; leave one of them"
            )

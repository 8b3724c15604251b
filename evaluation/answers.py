"""Does a passage hold an answer, as DPR defines it (Karpukhin et al. 2020, arXiv 2004.04906).

Passage and answers are brought into NFD and cut into tokens: runs of letters, digits and marks, and
each other character that is neither space nor control, all lower-cased. A passage has an answer
whose tokens stand in it one after the other. For CuratedTREC answers are regular expressions,
searched in the whole text. Both are what Pyserini's ``evaluate_dpr_retrieval`` computes.
"""

import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property

import regex

from ance_plugin.progress import track
from ance_plugin.records import Hit, Run

TOPK = (1, 5, 20, 100)
_SIGMA, _FINAL_SIGMA = "\u03c3", "\u03c2"
_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")


def has_answer(answers: Sequence[str], text: str, *, is_regex: bool = False) -> bool:
    """Say whether a text holds one of the answers.

    Args:
        answers: Texts, or regular expressions. An answer without a token, such as the empty one, is
            in every text; an expression that does not compile is in none.
        text: What to look in; of a passage DPR takes the text without the title.
        is_regex: Whether answers are expressions; they ignore case.

    Returns:
        Whether it does; false where there are no answers.
    """
    return new_matcher(answers, is_regex=is_regex).matches(Passage(text))


def tokenize(text: str) -> list[str]:
    """Cut a text into DPR's lower-cased tokens, after bringing it into NFD."""
    return [token.lower() for token in _TOKEN.findall(unicodedata.normalize("NFD", text))]


class Passage:
    """A text that answers are looked for in; it is tokenized once, where that is needed.

    Args:
        text: Without the title.
    """

    def __init__(self, text: str) -> None:
        self.normalized = unicodedata.normalize("NFD", text)

    @cached_property
    def joined(self) -> str:
        """The tokens with a blank before, between and after; no token holds a blank."""
        return _join(_TOKEN.findall(self.normalized))

    @property
    def folded(self) -> str:
        """The characters in lower case, whatever follows them."""
        return _fold(self.normalized)


class TextMatcher:
    """Looks for the tokens of any of some answers.

    Args:
        answers: Their texts.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = []
        for answer in answers:
            tokens = _TOKEN.findall(unicodedata.normalize("NFD", answer))
            self._answers.append(([_fold(token) for token in tokens], _join(tokens)))

    @property
    def num_useless(self) -> int:
        """How many answers have no token, and are in every passage."""
        return sum(not tokens for tokens, _ in self._answers)

    def matches(self, passage: Passage) -> bool:
        """Say whether a passage holds an answer.

        Most passages are told by a token that they do not hold as characters either, which takes a
        twentieth of the time of tokenizing them.
        """
        folded = passage.folded
        return any(
            not tokens or (all(token in folded for token in tokens) and joined in passage.joined)
            for tokens, joined in self._answers
        )


class RegexMatcher:
    """Looks for any of some regular expressions, as Python's ``re`` reads them.

    Args:
        answers: The expressions; one that does not compile is left out, as in DPR.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        compiled = [_compile(unicodedata.normalize("NFD", answer)) for answer in answers]
        self._patterns = [pattern for pattern in compiled if pattern is not None]
        self.num_useless = len(compiled) - len(self._patterns)

    def matches(self, passage: Passage) -> bool:
        """Say whether an expression is found in a passage."""
        return any(pattern.search(passage.normalized) for pattern in self._patterns)


type Matcher = TextMatcher | RegexMatcher


def new_matcher(answers: Sequence[str], *, is_regex: bool) -> Matcher:
    """Make what looks for a question's answers."""
    return RegexMatcher(answers) if is_regex else TextMatcher(answers)


class AnswerFinder:
    """Find the first passages with an answer; no passage is tokenized or judged twice.

    Args:
        answers: qid -> the question's answers.
        texts: docid -> text of the passage, without its title; those of the runs to come.
        is_regex: Whether answers are regular expressions.
    """

    def __init__(
        self,
        answers: Mapping[str, Sequence[str]],
        texts: Mapping[str, str],
        *,
        is_regex: bool = False,
    ) -> None:
        self._matchers: dict[str, Matcher] = {
            qid: new_matcher(texts_of, is_regex=is_regex) for qid, texts_of in answers.items()
        }
        self._passages = {docid: Passage(text) for docid, text in texts.items()}
        self._judged: dict[str, dict[str, bool]] = {qid: {} for qid in answers}

    @property
    def num_useless(self) -> int:
        """How many answers have no token, or do not compile."""
        return sum(matcher.num_useless for matcher in self._matchers.values())

    def find_ranks(self, run: Run, depth: int) -> dict[str, int | None]:
        """Find where the first answer stands.

        Args:
            run: Hits, best first.
            depth: Passages read of each topic.

        Returns:
            qid -> rank, from 1, for every question; None where no passage has an answer.

        Raises:
            KeyError: A passage's text was not given.
        """
        pairs = track(self._matchers.items(), what="answers", total=len(self._matchers))
        return {
            qid: self._find_first(qid, matcher, run.get(qid, [])[:depth]) for qid, matcher in pairs
        }

    def _find_first(self, qid: str, matcher: Matcher, hits: Sequence[Hit]) -> int | None:
        judged = self._judged[qid]
        for rank, hit in enumerate(hits, start=1):
            if hit.docid not in judged:
                judged[hit.docid] = matcher.matches(self._passages[hit.docid])
            if judged[hit.docid]:
                return rank
        return None


def measure_accuracy(
    run: Run,
    answers: Mapping[str, Sequence[str]],
    texts: Mapping[str, str],
    topk: Sequence[int] = TOPK,
    *,
    is_regex: bool = False,
) -> dict[int, dict[str, float]]:
    """Measure one run whose passages are at hand.

    Args:
        run: Hits, best first.
        answers: qid -> answers; these are the questions that count, whether the run has them.
        texts: docid -> text without its title, of the run's first ``max(topk)`` passages.
        topk: The numbers of passages.
        is_regex: Whether answers are regular expressions.

    Returns:
        k -> qid -> 1 where an answer is in the first k passages, else 0.
    """
    ranks = AnswerFinder(answers, texts, is_regex=is_regex).find_ranks(run, max(topk))
    return {
        k: {qid: float(rank is not None and rank <= k) for qid, rank in ranks.items()} for k in topk
    }


def _join(tokens: Sequence[str]) -> str:
    return f" {' '.join(tokens)} ".lower()


def _fold(text: str) -> str:
    """Lower-case so that no character depends on its neighbours: of all, only sigma's form does."""
    return text.lower().replace(_FINAL_SIGMA, _SIGMA)


def _compile(pattern: str) -> "re.Pattern[str] | None":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python will read in another way
            return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    except (re.error, OverflowError, RecursionError):
        return None

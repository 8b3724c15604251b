"""Query and document as one sequence of tokens; long documents cut, or laid out in windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ance_plugin.errors import FormatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Pair(NamedTuple):
    """Token ids of a query and a document (or a window of it), and which of the two each is."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True)
class BestPassage:
    """A document is scored by the best of its windows, as BERT-MaxP (Dai & Callan, SIGIR 2019).

    Windows are cut from the tokens of title and text joined, so that only the first has the title;
    the paper puts it before each.

    Attributes:
        tokens: Tokens of a document in a window; None, or more than fit, is as many as fit.
        stride: Tokens from one window's start to the next; None is half a window, as in the paper.
    """

    tokens: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        for name in ("tokens", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} of a passage must be at least 1, found {value}")
        if self.tokens and self.stride and self.stride > self.tokens:
            raise ValueError(
                f"a stride of {self.stride} leaves out tokens between windows of {self.tokens}"
            )


class PairTokenizer:
    """Make pairs as a tokenizer does, from token ids, so that each text is tokenized once.

    Args:
        tokenizer: Whose tokens, and whose special tokens around the two texts.
        max_length: Tokens of a pair at most, special tokens included.
        max_query_tokens: Tokens a query is cut to, without special tokens, before its document is
            cut. None cuts the longer of the two first, as transformers' ``longest_first``, which
            for queries below half of ``max_length`` cuts documents only.
        source: What errors name.

    Raises:
        FormatError: The tokenizer puts no two texts into one sequence, or has no padding.
        ValueError: ``max_length`` leaves no room for two texts.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        max_length: int,
        max_query_tokens: int | None = None,
        source: object = "tokenizer",
    ) -> None:
        self._tokenizer = tokenizer
        self._start, self._middle, self._end, self._types = _read_layout(tokenizer, source)
        num_special = len(self._start.ids) + len(self._middle.ids) + len(self._end.ids)
        self._room = max_length - num_special
        if self._room < 2:
            raise ValueError(
                f"max_length must be at least {num_special + 2}, as {num_special} tokens are "
                f"special; found {max_length}"
            )
        if max_query_tokens is not None and not 0 < max_query_tokens < self._room:
            raise ValueError(
                f"max_query_tokens must be between 1 and {self._room - 1} for a max_length of "
                f"{max_length}, found {max_query_tokens}"
            )
        self.max_length = max_length
        self.max_query_tokens = max_query_tokens
        if tokenizer.pad_token_id is None:
            raise FormatError(f"{source}: its tokenizer has no padding token")
        self.padding = Pair([int(tokenizer.pad_token_id)], [int(tokenizer.pad_token_type_id)])

    @property
    def has_types(self) -> bool:
        """Whether the model is told which token is whose."""
        return "token_type_ids" in self._tokenizer.model_input_names

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into token ids, whole and without special tokens.

        Args:
            texts: Queries or documents.

        Returns:
            One list of ids a text; empty for a text without a token.
        """
        if not texts:
            return []
        # Half a surrogate pair, which no tokenizer takes, becomes a question mark.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        ids: list[list[int]] = self._tokenizer(
            whole, add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        return ids

    def join(self, query: Sequence[int], document: Sequence[int]) -> Pair:
        """Put the two into one sequence, cut to what fits.

        Args:
            query: Token ids of the query.
            document: Token ids of the document.
        """
        query = query[: self._query_limit(len(query), len(document))]
        document = document[: self._room - len(query)]
        of_query, of_document = self._types
        return Pair(
            [*self._start.ids, *query, *self._middle.ids, *document, *self._end.ids],
            [
                *self._start.types,
                *[of_query] * len(query),
                *self._middle.types,
                *[of_document] * len(document),
                *self._end.types,
            ],
        )

    def windows(
        self, query: Sequence[int], document: Sequence[int], passage: BestPassage
    ) -> list[Pair]:
        """Put the query before each window of a document; a document that fits is one window.

        Args:
            query: Token ids of the query.
            document: Token ids of the document.
            passage: How to lay out the windows.
        """
        query = query[: self._query_limit(len(query), len(document))]
        room = self._room - len(query)
        width = min(room, passage.tokens or room)
        stride = max(1, min(width, passage.stride or width // 2))
        last = max(0, len(document) - width)  # a window that starts here or later reaches the end
        starts = range(0, last + stride, stride)
        return [self.join(query, document[start : start + width]) for start in starts]

    def _query_limit(self, query: int, document: int) -> int:
        """Say how many tokens a query keeps, given the lengths of the two."""
        if self.max_query_tokens is not None:
            return self.max_query_tokens
        if query <= document:
            return self._room // 2 if query + document > self._room else query
        return max(self._room - self._room // 2, self._room - document)


def _read_layout(
    tokenizer: "PreTrainedTokenizerBase", source: object
) -> tuple[Pair, Pair, Pair, tuple[int, int]]:
    """Read off one pair what stands before, between and after two texts, and the texts' types."""
    first, second = (len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in "ab")
    made = tokenizer("a", "b", return_token_type_ids=True, return_special_tokens_mask=True)
    ids, types, mask = (
        list(made[name]) for name in ("input_ids", "token_type_ids", "special_tokens_mask")
    )
    start = mask.index(0) if 0 in mask else len(mask)
    middle = start + first
    end = middle
    while end < len(mask) and mask[end]:
        end += 1
    after = end + second
    is_known = first > 0 and second > 0 and not any(mask[start:middle]) and not any(mask[end:after])
    if not is_known or not all(mask[after:]) or after > len(ids):
        raise FormatError(f"{source}: its tokenizer does not put two texts into one sequence")
    parts = [Pair(ids[low:high], types[low:high]) for low, high in _gaps(start, middle, end, after)]
    return parts[0], parts[1], parts[2], (types[start], types[end])


def _gaps(start: int, middle: int, end: int, after: int) -> list[tuple[int, int | None]]:
    return [(0, start), (middle, end), (after, None)]

"""What decides an encoder's vectors beside its weights; index and queries must agree on it."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

type Pooling = Literal["cls", "mean"]
type Replacement = tuple[str, str, str]
"""Where (``title``, ``text``, or ``document`` for the two joined), what, and by what."""

POOLINGS: tuple[str, ...] = ("cls", "mean")
_PLACES = ("{title}", "{text}")
_PLACE = re.compile("|".join(map(re.escape, _PLACES)))
_REPLACED_IN = ("title", "text", "document")
# Written only where they are set: metadata of before they existed stays comparable.
_OPTIONAL = ("is_document_pair", "replacements")


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How texts become vectors.

    Attributes:
        pooling: ``cls`` (the first token) or ``mean`` over the tokens that are not padding.
        is_normalized: Vectors have length one.
        max_query_tokens: Tokens a query is cut to, special tokens included.
        max_document_tokens: Tokens a document is cut to, special tokens included.
        is_lowercased: Texts are lower-cased before the tokenizer sees them.
        template: How title and text become one string. White space around each of the three is
            dropped, as Pyserini drops it; a byte-level tokenizer would make tokens of it.
        is_document_pair: Title and text go to the tokenizer as a pair, in place of the template. A
            document without a title takes its first line as one, as Pyserini's collections have it.
        replacements: What is replaced in documents, in order, before they are lower-cased.
    """

    pooling: Pooling
    is_normalized: bool = False
    max_query_tokens: int = 64
    max_document_tokens: int = 512
    is_lowercased: bool = False
    template: str = "{title} {text}"
    is_document_pair: bool = False
    replacements: tuple[Replacement, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of range."""
        if self.pooling not in POOLINGS:
            raise ValueError(
                f"pooling must be one of {', '.join(POOLINGS)}, found {self.pooling!r}"
            )
        for name in ("max_query_tokens", "max_document_tokens"):
            if getattr(self, name) < 3:
                raise ValueError(f"{name} must be at least 3, found {getattr(self, name)}")
        if not any(place in self.template for place in _PLACES):
            raise ValueError(f"template must hold {' or '.join(_PLACES)}, found {self.template!r}")
        replacements = tuple((where, old, new) for where, old, new in self.replacements)
        object.__setattr__(self, "replacements", replacements)  # JSON gives lists
        for where, _, _ in replacements:
            if where not in _REPLACED_IN:
                raise ValueError(
                    f"a replacement is made in {', '.join(_REPLACED_IN)}, found {where!r}"
                )

    def render(self, title: str, text: str) -> str:
        """Join a document's title and text into what is encoded."""
        title, text = self._replace("title", title).strip(), self._replace("text", text).strip()
        values = {"{title}": title, "{text}": text}
        joined = _PLACE.sub(lambda place: values[place[0]], self.template).strip()
        joined = self._replace("document", joined)
        return joined.lower() if self.is_lowercased else joined

    def render_pair(self, title: str, text: str) -> tuple[str, str]:
        """Give a document's title and text apart; the title is empty where there is none."""
        if not title:
            title, line_break, rest = text.partition("\n")
            title, text = (title, rest) if line_break else ("", text)
        title, text = self._replace("title", title).strip(), self._replace("text", text).strip()
        return (title.lower(), text.lower()) if self.is_lowercased else (title, text)

    def to_json(self) -> dict[str, Any]:
        """Give the settings as they stand in ``metadata.json``."""
        content = asdict(self)
        content["replacements"] = [list(replacement) for replacement in self.replacements]
        return {name: value for name, value in content.items() if value or name not in _OPTIONAL}

    def _replace(self, place: str, text: str) -> str:
        for where, old, new in self.replacements:
            if where == place:
                text = text.replace(old, new)
        return text


def as_unicode(text: str) -> str:
    """Put a question mark where half a surrogate pair stands, which no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

"""What decides an encoder's vectors beside its weights; index and queries must agree on it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

type Pooling = Literal["cls", "mean"]

POOLINGS: tuple[str, ...] = ("cls", "mean")
_PLACES = ("{title}", "{text}")


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How texts become vectors.

    Attributes:
        pooling: ``cls`` (the first token) or ``mean`` over the tokens that are not padding.
        is_normalized: Vectors have length one.
        max_query_tokens: Tokens a query is cut to, special tokens included.
        max_document_tokens: Tokens a document is cut to, special tokens included.
        is_lowercased: Texts are lower-cased before the tokenizer sees them.
        template: How title and text become one string; white space around it is dropped.
    """

    pooling: Pooling
    is_normalized: bool = False
    max_query_tokens: int = 64
    max_document_tokens: int = 512
    is_lowercased: bool = False
    template: str = "{title} {text}"

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

    def render(self, title: str, text: str) -> str:
        """Join a document's title and text into what is encoded."""
        joined = self.template.replace("{title}", title, 1).replace("{text}", text, 1).strip()
        return joined.lower() if self.is_lowercased else joined

    def to_json(self) -> dict[str, Any]:
        """Give the settings as they stand in ``metadata.json``."""
        return asdict(self)

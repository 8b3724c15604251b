"""Recipes: the text treatment that Pyserini's prebuilt ANCE indexes were made with, by name.

They were made by scripts that lower-case and keep 512 tokens; ``pyserini.encode`` does neither
(castorini/pyserini, ``scripts/ance/encode_corpus_*.py`` against ``pyserini/encode/_ance.py``).
"""

from collections.abc import Mapping
from typing import Any

_MSMARCO: dict[str, Any] = {
    "is_lowercased": True,
    "max_query_tokens": 64,
    "max_document_tokens": 512,
}
# The scripts write "<sep>", which RoBERTa's tokenizer does not know as a token; contents are three
# lines: URL, title and text.
_MSMARCO_DOC = {
    **_MSMARCO,
    "template": "{title}\n{text}",
    "replacements": (("document", "\n", " <sep> "),),
}

RECIPES: dict[str, dict[str, Any]] = {
    "ance-msmarco-passage": {
        **_MSMARCO,
        "template": "{title} {text}",
        "replacements": (("document", "\n", " "),),
    },
    "ance-msmarco-doc-firstp": _MSMARCO_DOC,
    "ance-msmarco-doc-maxp": _MSMARCO_DOC,
    "ance-dpr": {
        "is_lowercased": False,  # the tokenizer of its BERT does it
        "max_query_tokens": 256,
        "max_document_tokens": 256,
        "is_document_pair": True,
        "replacements": (("title", '"', ""), ("text", '""', '"')),
    },
    "plain": {
        "is_lowercased": False,
        "template": "{title} {text}",
        "is_document_pair": False,
        "replacements": (),
    },
}


def expand_recipe(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put the settings of a recipe where ``overrides`` names one; what is given beside it wins.

    Args:
        overrides: Fields of ``EncoderSettings``, and ``recipe``, one of ``RECIPES``, or neither.

    Returns:
        Fields of ``EncoderSettings``.

    Raises:
        ValueError: There is no such recipe.
    """
    given = dict(overrides)
    recipe = given.pop("recipe", None)
    if recipe is None:
        return given
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, found {recipe!r}")
    return {**RECIPES[recipe], **given}

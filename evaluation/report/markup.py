"""HTML and SVG in which nothing is markup by accident: a plain string is always escaped."""

import html
import re

type Content = str | None
type Attribute = str | int | float | bool | None

_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Html(str):
    """Text that is markup already; only ``tag``, ``join`` and the page's own files make it."""

    __slots__ = ()


def tag(name: str, /, *children: Content, **attributes: Attribute) -> Html:
    """Write an element.

    Args:
        name: Of the element.
        children: What it holds, in order; a plain string is escaped, None is left out.
        attributes: Its attributes: an underscore stands for a hyphen, one at the end is dropped;
            True has no value, False and None are left out, floats have two decimals.

    Returns:
        The markup.
    """
    written = "".join(_write_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def void(name: str, /, **attributes: Attribute) -> Html:
    """Write an element that holds nothing and has no end."""
    return Html(
        f"<{name}{''.join(_write_attribute(key, value) for key, value in attributes.items())}>"
    )


def join(*children: Content) -> Html:
    """Put contents one after the other; a plain string is escaped, None is left out."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(child)
            for child in children
            if child is not None
        )
    )


def escape(text: str) -> Html:
    """Make text inert in an element and in a quoted attribute; control characters are shown."""
    return Html(html.escape(_UNSEEN.sub("\ufffd", text), quote=True))


def number(value: float) -> str:
    """Write a coordinate to two decimals, without zeros that say nothing."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _write_attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = number(value) if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'

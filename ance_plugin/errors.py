"""The errors a caller may want to catch.

AnceError
 ├─ FormatError     a file is not what it should be; names file and line
 ├─ ArtifactError   a directory of ours is missing, damaged, unfinished or in use
 ├─ MismatchError   two artifacts that do not belong together
 ├─ LeakError       parameters applied to the topics they were tuned on
 └─ JavaError       no usable Java

A caller's plain mistake (an argument out of range, a file that is not there) is a ``ValueError`` or
``FileNotFoundError``, as everywhere in Python.
"""

import unicodedata


class AnceError(Exception):
    """Base of every error this package defines."""


class FormatError(AnceError, ValueError):
    """A file does not have the format it should have."""

    @classmethod
    def at(cls, path: object, line: int, problem: str) -> "FormatError":
        """Name the place the way compilers do: ``path:line: problem``."""
        return cls(f"{path}:{line}: {problem}")


class ArtifactError(AnceError):
    """An artifact is missing, damaged, unfinished or held by another process."""


class MismatchError(AnceError, ValueError):
    """Two artifacts that do not belong together, such as an index and another encoder."""


class LeakError(AnceError, ValueError):
    """Parameters would be applied to topics they were tuned on."""


def first_line(err: BaseException) -> str:
    """Give the first line of an error's message, or its class where it has none."""
    return next(iter(str(err).strip().splitlines()), type(err).__name__)


def printable(text: str) -> str:
    """Show control characters as escapes, so that a text cannot act on the terminal it is shown on.

    Line ends and tabs stay; letters of every script do too, but marks that turn the direction of
    what follows are shown as escapes.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter in "\n\t" or _is_harmless(letter) else ascii(letter)[1:-1]
        for letter in text
    )


def _is_harmless(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


class JavaError(AnceError):
    """No usable Java runtime, or the JVM could not start."""

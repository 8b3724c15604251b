"""What holds for the errors a caller may catch."""

import pytest

from ance_plugin import errors
from ance_plugin.errors import AnceError, FormatError, JavaError, LeakError, MismatchError


def test_format_error_names_the_place_as_compilers_do():
    """Editors jump to ``path:line``."""
    assert str(FormatError.at("topics.tsv", 14, "is empty")) == "topics.tsv:14: is empty"


@pytest.mark.parametrize(
    "name", ["FormatError", "ArtifactError", "MismatchError", "LeakError", "JavaError"]
)
def test_every_error_is_an_ance_error(name):
    """One ``except`` catches what this package raises on its own account."""
    assert issubclass(getattr(errors, name), AnceError)


@pytest.mark.parametrize("error", [FormatError, MismatchError, LeakError])
def test_bad_input_is_a_value_error_too(error):
    """A caller who knows only Python's own errors catches these."""
    assert issubclass(error, ValueError)


def test_java_error_is_no_value_error():
    """A machine without Java is not a wrong argument."""
    assert not issubclass(JavaError, ValueError)

"""What holds for the versions an artifact records."""

import platform
from importlib import metadata

from ance_plugin.version import describe_versions


def test_python_and_this_package_are_always_named():
    """Every artifact says what wrote it."""
    assert describe_versions() == {
        "python": platform.python_version(),
        "ance-plugin": metadata.version("ance-plugin"),
    }


def test_asked_packages_follow_in_the_order_asked():
    """A result names the libraries it depends on."""
    versions = describe_versions("numpy", "hypothesis")

    assert list(versions) == ["python", "ance-plugin", "numpy", "hypothesis"]
    assert versions["numpy"] == metadata.version("numpy")


def test_package_that_is_not_installed_says_so():
    """A missing package is recorded, not an error."""
    assert describe_versions("no-such-package-here")["no-such-package-here"] == "not installed"

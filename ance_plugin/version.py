"""Which version of this package, and of the libraries a result depends on, made something."""

import platform
from importlib import metadata


def describe_versions(*packages: str) -> dict[str, str]:
    """Give the versions of ance-plugin, Python and ``packages``; one not installed says so."""
    versions = {"python": platform.python_version()}
    for package in ("ance-plugin", *packages):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions

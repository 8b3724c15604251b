"""What tests of searchers share."""

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that all examples of one property share."""
    return tmp_path_factory.mktemp("indexes")

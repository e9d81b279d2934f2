"""What the tests of strangers share: the genuine bundles, and a place for what is installed and built."""

from pathlib import Path

import pytest

from tests.outsiders.genuine import Genuine, genuine


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Genuine:
    """The genuine bundles; not to be written to."""
    return genuine(tmp_path_factory.mktemp("outsiders"))


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config) -> Path:
    """Where what was installed and built stays from one run of the tests to the next."""
    return Path(pytestconfig.cache.mkdir("outsiders"))

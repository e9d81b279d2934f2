"""What journeys share: one workspace to copy, and teachers on plain TCP and on TLS."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import found_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with two approved students and their keys, made once for each test process."""
    folder = tmp_path_factory.mktemp("template")
    yield found_template(folder / "workspace")
    shutil.rmtree(folder)

"""What the trainer's tests share: one thread, and a tiny random student in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from student.model import Student, load_student
from tests.student.students import write_student

# No property fails by the clock: the machine may be busy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order: the same figures on every machine, and no core taken from other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random student; not to be written to."""
    return write_student(tmp_path_factory.mktemp("base"))


@pytest.fixture
def student(base: Path, tmp_path: Path) -> Student:
    """A freshly loaded tiny student."""
    return load_student(str(base), tmp_path / "cache")

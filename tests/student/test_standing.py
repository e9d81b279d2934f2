"""What a dataset is worth: its own date, and what its log signed about it since."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.ledger.status import Affected
from student.errors import IntakeError
from student.intake import open_dataset
from tests.student.datasets import LESSONS, NOW, STUDENT, Lesson, Sealed, issue_status, seal_dataset


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A sound dataset; not to be written to."""
    return seal_dataset(tmp_path_factory.mktemp("sound") / "dataset")


def test_a_dataset_past_its_date_is_refused(sealed: Sealed) -> None:
    """From `valid_until` on, the dataset is not opened."""
    late = NOW + timedelta(days=40)
    with pytest.raises(IntakeError, match="valid until 2026-12-24") as caught:
        open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=late)
    assert caught.value.code == "dataset-expired"


def test_a_good_status_lets_it_be_opened_longer(sealed: Sealed, tmp_path: Path) -> None:
    """Past the dataset's date a newer signed status that says `good` counts, until its own date."""
    late = NOW + timedelta(days=40)
    status = issue_status(sealed, tmp_path / "status", until="2027-01-20T00:00:00.000Z")
    admitted = open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=late, status=status)
    assert len(admitted.examples) == len(LESSONS)
    assert admitted.status is not None
    assert admitted.status.state == "good"
    later = NOW + timedelta(days=80)
    with pytest.raises(IntakeError, match="valid until 2027-01-20") as caught:
        open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=later, status=status)
    assert "inbond dataset status colours" in caught.value.help


def test_a_newer_word_counts_where_it_says_less(sealed: Sealed, tmp_path: Path) -> None:
    """A status that lasts no longer than a shortened grant ends the dataset before its own date."""
    status = issue_status(sealed, tmp_path / "status", until="2026-12-05T00:00:00.000Z")
    when = datetime(2026, 12, 6, tzinfo=UTC)
    open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=when)
    with pytest.raises(IntakeError, match="valid until 2026-12-05"):
        open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=when, status=status)


@pytest.mark.parametrize("state", ["withdrawn", "revoked"])
def test_a_dataset_taken_back_stops_with_its_examples(
    sealed: Sealed, tmp_path: Path, state: str
) -> None:
    """Also before its date: the message names the affected examples, why, and what to do."""
    first, *_ = open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW).examples
    affected = [Affected(first.exchange, "erased"), Affected("elsewhere", "erased")]
    status = issue_status(sealed, tmp_path / "status", affected, state=state, cause="erasure")
    with pytest.raises(IntakeError) as caught:
        open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW, status=status)
    assert caught.value.code == f"dataset-{state}"
    assert caught.value.message == (
        f"the dataset was {state} on 2026-12-01T08:00:00.000Z because of `erasure`; "
        f"affected are 1 of its 6 examples: `{first.example}` (erased)"
    )
    assert "build a dataset again" in caught.value.help


def test_many_affected_examples_are_counted(tmp_path: Path) -> None:
    """A message names the first twenty and says how many more there are."""
    lessons = [Lesson(answers=("a", "b", "c")) for _ in range(8)]
    sealed = seal_dataset(tmp_path / "dataset", lessons)
    examples = open_dataset(sealed.path, sealed.vkey, student=None, now=NOW).examples
    affected = [Affected(name, "excluded") for name in {each.exchange for each in examples}]
    status = issue_status(sealed, tmp_path / "status", affected, state="revoked")
    with pytest.raises(IntakeError, match=r"affected are 24 of its 24 .* and 4 more$"):
        open_dataset(sealed.path, sealed.vkey, student=None, now=NOW, status=status)


def test_a_status_of_another_log_dataset_or_time_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    """A file counts that the pinned key signed, of this dataset, after it was sealed; no other."""

    def opened(status: Path) -> None:
        with pytest.raises(IntakeError) as caught:
            open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW, status=status)
        assert (caught.value.code, caught.value.where) == ("status-unproven", str(status))
        messages.append(caught.value.message)

    messages: list[str] = []
    until = "2027-01-20T00:00:00.000Z"
    opened(tmp_path / "absent")
    opened(issue_status(sealed, tmp_path / "other", until=until, dataset="shapes"))
    opened(issue_status(sealed, tmp_path / "older", until=until, seq=2))
    changed = issue_status(sealed, tmp_path / "changed", until=until)
    changed.write_text(changed.read_text().replace("2027", "2037"))
    opened(changed)
    assert messages == [
        "the status file cannot be read: no such file or directory",
        "the status file is of the dataset `shapes`, not of `colours`",
        "the status file is older than the dataset",
        "the status file is not proven: the inclusion proof does not lead to the root",
    ]

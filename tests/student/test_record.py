"""A run record shows any line, header, file or signature that is not what was written."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.ledger.checkpoint import LogKey
from student import digest
from student.errors import RecordError
from student.record import Record, run_name, verify_record
from tests.student.records import HEADER, write_record


def test_a_record_verifies_under_its_pinned_key(tmp_path: Path) -> None:
    """What was recorded comes back, in order, and all of it is signed."""
    record = write_record(tmp_path)
    verified = verify_record(tmp_path, record.vkey)
    assert verified.header["run"] == HEADER.run
    assert [line.kind for line in verified.lines] == [
        "held-out",
        "step",
        "step",
        "adapter",
        "finished",
    ]
    assert verified.lines[1].values == {"step": 1, "loss": 2.5}
    assert (verified.head, verified.unsigned, verified.is_pinned) == (record.head, 0, True)


def test_without_a_pin_the_record_is_only_consistent(tmp_path: Path) -> None:
    """The key beside the record shows that it hangs together, and says no more."""
    write_record(tmp_path)
    assert not verify_record(tmp_path, None).is_pinned


def test_the_run_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The secret key's file has mode 0600 and the public one is beside it."""
    record = write_record(tmp_path)
    assert stat.S_IMODE((tmp_path / "run.key").stat().st_mode) == 0o600
    assert (tmp_path / "run.vkey").read_text().strip() == record.vkey
    assert LogKey.from_text((tmp_path / "run.key").read_text()).name == HEADER.run


def test_the_chain_is_plain_to_check(tmp_path: Path) -> None:
    """Each line's `prev` is the sha256 of the line before; the first's is that of the header."""
    record = write_record(tmp_path)
    before = digest.of_file(tmp_path / "run.json")
    for line in (tmp_path / "steps.jsonl").read_bytes().splitlines(keepends=True):
        assert json.loads(line)["prev"] == before
        before = digest.of_bytes(line)
    assert before == record.head


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert change(data) != data
        (folder / name).write_bytes(change(data))

    return edit


def _without_line(number: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[number + 1 :])

    return change


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (_edit("steps.jsonl", lambda data: data.replace(b"2.5", b"1.1")), "steps.jsonl:3"),
        (_edit("steps.jsonl", lambda data: data.replace(b"1.5", b"0.5")), "steps.jsonl:4"),
        (_edit("steps.jsonl", _without_line(0)), "steps.jsonl:1"),
        (_edit("steps.jsonl", _without_line(2)), "steps.jsonl:3"),
        (_edit("steps.jsonl", _without_line(3)), "steps.jsonl"),
        (_edit("steps.jsonl", lambda data: data + b"[]\n"), "steps.jsonl:6"),
        (_edit("steps.jsonl", lambda data: data + b"{}\n"), "steps.jsonl:6"),
        (_edit("steps.jsonl", lambda data: data + b"{\n"), "steps.jsonl:6"),
        (_edit("run.json", lambda data: data.replace(b"acme-large", b"acme-small")), "jsonl:1"),
        (_edit("run.json", lambda data: data[:-3]), ""),
        (_edit("record.note", lambda data: data.replace(b"\n5\n", b"\n4\n")), "record.note"),
        (_edit("record.note", lambda data: data[:-20]), "record.note"),
        (_edit("examples.jsonl", lambda data: data.replace(b"held out", b"learned")), "examples"),
        (lambda folder: (folder / "examples.jsonl").unlink(), ""),
        (lambda folder: (folder / "steps.jsonl").unlink(), ""),
        (lambda folder: (folder / "model/weights").write_bytes(b"other"), "model/weights"),
        (lambda folder: (folder / "model/weights").unlink(), "model/weights"),
        (lambda folder: (folder / "adapter/weights").write_bytes(b"more"), "adapter/weights"),
    ],
)
def test_any_change_is_found(tmp_path: Path, damage: Callable[[Path], None], where: str) -> None:
    """A line, header, note or weight that was changed, dropped or added is found, with its place."""
    record = write_record(tmp_path)
    damage(tmp_path)
    with pytest.raises(RecordError, match="not what it says") as caught:
        verify_record(tmp_path, record.vkey)
    assert where in caught.value.where


@pytest.mark.parametrize(
    "left", [("run.key",), ("run.key", "run.vkey", "examples.jsonl", ".run.json")]
)
def test_a_start_that_was_killed_can_be_made_again(tmp_path: Path, left: tuple[str, ...]) -> None:
    """What lies there without a header is no run: the next start puts its own in its place."""
    for name in left:
        (tmp_path / name).write_bytes(b"half")
    record = write_record(tmp_path)
    assert verify_record(tmp_path, record.vkey).unsigned == 0


@pytest.mark.parametrize("name", ["../../elsewhere", "..", "run-1/2"])
def test_a_runs_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    """Folders are named after it: what leads elsewhere is no run, whoever signed it."""
    record = Record.start(tmp_path, replace(HEADER, run=name), b"\x02" * 32)
    with pytest.raises(RecordError, match="not what it says"):
        verify_record(tmp_path, record.vkey)


def test_a_changed_snapshot_is_found(tmp_path: Path) -> None:
    """A snapshot that is not the last one recorded under its name is found; a pruned one is not."""
    record = Record.start(tmp_path, HEADER, b"\x02" * 32)
    state = tmp_path / "snapshots/step-00000001/state.json"
    state.parent.mkdir(parents=True)
    for text in ("first", "again"):
        state.write_text(text)
        record.add("snapshot", step=1, folder="step-00000001", digest=digest.of_file(state))
    record.add("snapshot", step=2, folder="step-00000002", digest="00" * 32)
    verify_record(tmp_path, record.vkey)
    state.write_text("first")
    with pytest.raises(RecordError, match="not the snapshot that the record names"):
        verify_record(tmp_path, record.vkey)


def test_a_record_written_anew_fails_under_the_pinned_key(tmp_path: Path) -> None:
    """Whoever rewrites all of it with a key of his own is caught by the pinned one."""
    pinned = write_record(tmp_path / "true").vkey
    Record.start(tmp_path / "false", HEADER, b"\x03" * 32)
    with pytest.raises(RecordError, match="no signature of key"):
        verify_record(tmp_path / "false", pinned)


def test_another_runs_header_is_refused(tmp_path: Path) -> None:
    """A record signed under one name cannot carry the header of another run."""
    write_record(tmp_path)
    text = (tmp_path / "run.json").read_bytes().replace(b"run-0123", b"run-9999")
    (tmp_path / "run.json").write_bytes(text)
    (tmp_path / "steps.jsonl").write_bytes(b"")
    record = Record(tmp_path, LogKey.generate(HEADER.run, b"\x02" * 32), digest.of_bytes(text), [])
    record.sign()
    with pytest.raises(RecordError, match="header of run `run-9999"):
        verify_record(tmp_path, record.vkey)


def test_lines_after_the_last_signature_are_counted(tmp_path: Path) -> None:
    """A run stopped between signatures still verifies, and says how much is unsigned."""
    record = Record.start(tmp_path, HEADER, b"\x02" * 32)
    record.add("step", step=1, loss=2.0)
    assert verify_record(tmp_path, record.vkey).unsigned == 1


def test_reopening_goes_on_from_the_last_whole_line(tmp_path: Path) -> None:
    """A record reopened after a kill continues its chain; half a line is cut off."""
    record = Record.start(tmp_path, HEADER, b"\x02" * 32)
    record.add("step", step=1, loss=2.0)
    with (tmp_path / "steps.jsonl").open("ab") as stream:
        stream.write(b'{"kind":')
    again = Record.reopen(tmp_path, replace(HEADER, started_at="2027-01-01T00:00:00.000Z"))
    again.add("step", step=2, loss=1.0)
    again.sign()
    assert [line["step"] for line in again.values("step")] == [1, 2]
    assert verify_record(tmp_path, record.vkey).head == again.head


def test_reopening_as_another_run_names_the_difference(tmp_path: Path) -> None:
    """Only the parts that differ are shown, as theirs and ours."""
    Record.start(tmp_path, HEADER, b"\x02" * 32)
    other = replace(HEADER, config={"seed": 1, "learning_rate": 0.5}, tokens="99" * 100)
    with pytest.raises(RecordError) as caught:
        Record.reopen(tmp_path, other)
    assert 'config: {"seed": 0} -> {"seed": 1}' in caught.value.message
    assert "..." in caught.value.message


@pytest.mark.parametrize("change", ["student", "started_at", "root", "config"])
def test_the_name_of_a_run_comes_from_what_makes_it(change: str) -> None:
    """Any other student, start, dataset or knobs give another name."""
    values = {"student": "s", "started_at": "t", "root": "r", "config": "c"}
    name = run_name(**values)
    assert name.startswith("run-")
    assert run_name(**{**values, change: "other"}) != name

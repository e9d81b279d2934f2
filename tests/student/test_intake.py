"""Only a dataset of which every proof holds, for this student and this day, gives examples."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger.checkpoint import LogKey
from student.errors import IntakeError
from student.intake import AdmittedExample, ToolCall, Turn, open_dataset, teachings
from tests.student.datasets import (
    LESSONS,
    NOW,
    STUDENT,
    Lesson,
    Sealed,
    admit,
    seal_audit,
    seal_dataset,
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A sound dataset; not to be written to."""
    return seal_dataset(tmp_path_factory.mktemp("sound") / "dataset")


def test_a_sound_dataset_gives_its_examples(sealed: Sealed) -> None:
    """Every row becomes an example with its texts and its papers."""
    admitted = open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW)
    first = admitted.examples[0]
    assert len(admitted.examples) == len(LESSONS)
    assert (admitted.student, admitted.dataset, admitted.vkey) == (STUDENT, "colours", sealed.vkey)
    assert first.prompt == (Turn(role="user", text="What colour is grass?"),)
    assert first.answer == Turn(role="assistant", text="It is green.")
    assert (first.model, first.licence, first.finish) == ("acme-large", "Apache-2.0", "stop")


def test_the_student_need_not_be_named(sealed: Sealed) -> None:
    """Without a name given, the dataset's own student is taken."""
    assert open_dataset(sealed.path, sealed.vkey, student=None, now=NOW).student == STUDENT


def test_tools_and_their_calls_are_carried(tmp_path: Path) -> None:
    """Tools offered and called come with the example."""
    lesson = Lesson(tools=[{"type": "function"}], tool_calls=(("look_up", '{"word": "tea"}'),))
    (example,) = admit(tmp_path / "dataset", [lesson]).examples
    assert example.tools == [{"type": "function"}]
    assert example.answer.tool_calls == (
        ToolCall(id="c0", name="look_up", arguments='{"word": "tea"}'),
    )


def test_teachings_say_who_taught_what_under_which_clause(tmp_path: Path) -> None:
    """Examples are counted by teacher, licence, clauses and duties, the most first."""
    other = Lesson(model="acme-small", clauses=("acme-api/small acme-terms 9",))
    found = teachings([admit(tmp_path / "dataset", [other, *LESSONS])])
    assert [(t.model, t.clauses, t.examples) for t in found] == [
        ("acme-large", LESSONS[0].clauses, len(LESSONS)),
        ("acme-small", other.clauses, 1),
    ]
    assert found[0].duties == ("notice: Built with Acme",)


def test_an_example_has_no_other_constructor(sealed: Sealed) -> None:
    """Nobody but intake can make an example: an example does not even hold what it was made with."""
    (example, *_) = open_dataset(sealed.path, sealed.vkey, student=None, now=NOW).examples
    values = {each.name: getattr(example, each.name) for each in dataclasses.fields(example)}
    with pytest.raises(IntakeError, match="without a proven dataset"):
        AdmittedExample(**values, warrant=object())
    assert not hasattr(example, "warrant")


def test_a_changed_copy_of_an_example_is_no_example(sealed: Sealed) -> None:
    """A changed text cannot pass for a proven one."""
    (example, *_) = open_dataset(sealed.path, sealed.vkey, student=None, now=NOW).examples
    changed = Turn(role="assistant", text="It is pink.")
    with pytest.raises(ValueError, match="warrant"):
        dataclasses.replace(example, answer=changed)  # type: ignore[call-arg] # the claim
    with pytest.raises(IntakeError, match="without a proven dataset"):
        dataclasses.replace(example, answer=changed, warrant=None)


def test_the_wrong_key_is_refused(sealed: Sealed) -> None:
    """A dataset signed by another log is refused."""
    other = LogKey.generate("ledger.example/demo", b"\x07" * 32).verifier.to_text()
    with pytest.raises(IntakeError, match="not proven") as caught:
        open_dataset(sealed.path, other, student=STUDENT, now=NOW)
    assert caught.value.where


def test_what_is_no_key_is_refused(sealed: Sealed) -> None:
    """A key that is not one is named as such."""
    with pytest.raises(IntakeError, match="not an Ed25519 key"):
        open_dataset(sealed.path, "nonsense", student=STUDENT, now=NOW)


def _edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        data = (path / name).read_bytes()
        assert old in data
        (path / name).write_bytes(data.replace(old, new, 1))

    return edit


def _remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (_edit("dataset/examples.parquet", b"PAR1", b"PAR2"), "dataset/examples.parquet"),
        (_edit("dataset/manifest.jsonl", b"permit", b"forbid"), "dataset/manifest.jsonl"),
        (_edit("entries.jsonl", b"acme-large", b"acme-small"), "entries.jsonl"),
        (_edit("openings.jsonl", b'"body":"', b'"body":"AAAA'), "openings.jsonl"),
        (_edit("export.json", b"dataset", b"audit"), "export.json"),
        (_remove("export.sig"), "export.sig"),
        (_remove("entries.jsonl"), "entries.jsonl"),
        (_remove("dataset/examples.parquet"), "dataset/examples.parquet"),
        (lambda path: (path / "more.txt").write_text("x"), "more.txt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_damage_is_refused_with_its_place(
    sealed: Sealed, tmp_path: Path, damage: Callable[[Path], None], where: str
) -> None:
    """A dataset with any file changed, added or removed is refused, and the file is named."""
    shutil.copytree(sealed.path, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(IntakeError) as caught:
        open_dataset(tmp_path / "copy", sealed.vkey, student=STUDENT, now=NOW)
    assert where in caught.value.where
    assert caught.value.help


def test_another_students_dataset_is_refused(sealed: Sealed) -> None:
    """What one student may learn says nothing about another."""
    with pytest.raises(IntakeError, match=f"built for student `{STUDENT}`, not for `other`"):
        open_dataset(sealed.path, sealed.vkey, student="other", now=NOW)


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    """A dataset without examples teaches nothing, and says so."""
    empty = seal_dataset(tmp_path / "empty", [])
    with pytest.raises(IntakeError, match="the dataset is empty"):
        open_dataset(empty.path, empty.vkey, student=STUDENT, now=NOW)


def test_an_audit_is_no_dataset(tmp_path: Path) -> None:
    """A sound audit is refused all the same: nothing in it was sealed for a student."""
    audit = seal_audit(tmp_path / "audit")
    with pytest.raises(IntakeError, match="is an audit"):
        open_dataset(audit.path, audit.vkey, student=None, now=NOW)


def test_what_changes_after_it_was_verified_is_refused(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle that can no longer be read after its proofs held gives nothing."""

    def gone(path: Path) -> None:
        raise BundleError("it is gone", help="get it again")

    monkeypatch.setattr("student.proving.read_bundle", gone)
    with pytest.raises(IntakeError, match="is not opened: it is gone"):
        open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW)


@pytest.mark.parametrize("name", ["absent", "file", "folder"])
def test_what_is_no_dataset_is_refused(sealed: Sealed, tmp_path: Path, name: str) -> None:
    """No path, a plain file and an empty folder are each refused as no dataset."""
    (tmp_path / "file").write_text(json.dumps({}))
    (tmp_path / "folder").mkdir()
    with pytest.raises(IntakeError, match="not proven"):
        open_dataset(tmp_path / name, sealed.vkey, student=STUDENT, now=NOW)

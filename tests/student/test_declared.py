"""A dataset is for the student as it was declared, letter by letter."""

import json
from pathlib import Path

import pytest

from student.declared import declaration_in, read_declaration, refuse_other_declaration
from student.errors import IntakeError
from tests.student.datasets import DECLARATION, STUDENT


def _policies(**documents: str) -> bytes:
    return json.dumps({"documents": documents}).encode()


@pytest.mark.parametrize("written", ["writer", '"writer"', "'writer' # the small one", "writer  "])
def test_the_declaration_is_found_however_its_name_is_written(written: str) -> None:
    """Quotes and remarks make no difference; another student's declaration is not taken for it."""
    ours = f"inbond: 1\nstudent: {written}\n"
    documents = {"a": "student: writer-2\n", "b": ours, "c": "note: |\n  student: writer\n"}
    assert declaration_in(_policies(**documents), "writer") == ours


def test_no_declaration_is_none() -> None:
    """Policies that declare no such student have none to compare with."""
    assert declaration_in(_policies(a="policy: acme"), "writer") is None


def _refused(today: str, then: str | None) -> str:
    with pytest.raises(IntakeError) as caught:
        refuse_other_declaration(
            today, then, student=STUDENT, dataset=Path("colours"), where=Path("writer.yaml")
        )
    assert (caught.value.code, caught.value.where) == ("other-declaration", "colours")
    assert "writer.yaml" in caught.value.help
    return caught.value.message


def test_the_same_declaration_passes() -> None:
    """Nothing changed: nothing is said."""
    refuse_other_declaration(
        DECLARATION, DECLARATION, student=STUDENT, dataset=Path(), where=Path()
    )


def test_a_changed_line_is_shown_both_ways() -> None:
    """The message says what stood there and what stands there now."""
    changed = DECLARATION.replace("narrow", "general")
    assert _refused(changed, DECLARATION) == (
        "the dataset was built for `summary-writer` as declared otherwise: "
        "`-purpose: distil-narrow`, `+purpose: distil-general`"
    )


def test_blanks_count_and_are_named() -> None:
    """A declaration that differs in its last line end is another; the message does not stay empty."""
    assert _refused(DECLARATION.rstrip(), DECLARATION).endswith("line ends or blanks")


def test_a_dataset_without_a_declaration_is_refused() -> None:
    """There is nothing to compare with, which is not the same as being equal."""
    assert _refused(DECLARATION, None) == (
        "the policies of the dataset declare no student `summary-writer`"
    )


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file or directory"), (b"\xff\xfe\x00", "no text")]
)
def test_what_cannot_be_read_is_no_declaration(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """An absent file and one that is no text are each refused by name."""
    path = tmp_path / "writer.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntakeError, match=message) as caught:
        read_declaration(path)
    assert caught.value.where == str(path)

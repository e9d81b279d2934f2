"""Claims on forms: every field by its name, whatever bytes a file holds."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.form import Field, fields_of, is_form

TYPE = 'multipart/form-data; boundary="b"'


def _form(*fields: Field) -> bytes:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in fields
    )
    return b"".join(parts) + b"--b--\r\n"


def test_fields() -> None:
    """Fields come in order, with their bytes as they are."""
    fields = [("model", b"m"), ("file", b"\x00\r\n\r\n--c\xff"), ("model", b"")]
    assert fields_of(_form(*fields), TYPE) == fields


@given(
    fields=st.lists(
        st.tuples(
            st.text("abcxyz_-", min_size=1, max_size=8),
            st.binary(max_size=40).filter(lambda value: b"--b" not in value),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_fields_come_back(fields: list[Field]) -> None:
    """Whatever a form holds is read as it was written."""
    assert fields_of(_form(*fields), TYPE) == fields


def test_a_file_cannot_pass_for_a_field() -> None:
    """Neither a file's name nor its bytes name another field."""
    body = (
        b'--b\r\nContent-Type: audio/wav\r\ncontent-disposition: form-data; name="file"; '
        b'filename="a; name=model"\r\n\r\nContent-Disposition: form-data; name="model"\r\n\r\nx'
        b"\r\n--b--"
    )
    fields = fields_of(body, "Multipart/Form-Data; boundary=b")
    assert [name for name, _ in fields] == ["file"]


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (_form(("a", b"")), "multipart/form-data", "no `boundary`"),
        (b"", TYPE, "last boundary"),
        (_form(("a", b""))[:-4], TYPE, "last boundary"),
        (b"--b\r\n\r\nvalue\r\n--b--", TYPE, "no name"),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n--b--', TYPE, "no name"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: str, why: str) -> None:
    """A form that could be read in two ways says what is wrong with it."""
    with pytest.raises(WireError, match=why) as caught:
        fields_of(body, content_type)
    assert caught.value.code == "malformed-form"


@given(body=st.binary(max_size=80), content_type=st.text(max_size=20))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    """Any bytes at all are fields or a `WireError`, and nothing else is raised."""
    for kind in (TYPE, content_type, f"multipart/form-data; boundary={content_type}"):
        with suppress(WireError):
            fields_of(b"--b\r\n" + body + b"\r\n--b--", kind)


def test_which_content_types_are_forms() -> None:
    """A form is told by its content type."""
    assert is_form("Multipart/Form-Data; boundary=b")
    assert not is_form("application/json")
    assert not is_form(None)

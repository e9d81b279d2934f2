"""Forms (RFC 7578): the fields of a `multipart/form-data` body, as uploads of audio and images send them."""

from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value

from proxy.errors import WireError

__all__ = ["Field", "fields_of", "is_form"]

type Field = tuple[str, bytes]
"""A field's name and its bytes."""

_BLANK_LINE = b"\r\n\r\n"


def is_form(content_type: str | None) -> bool:
    """Whether a content type is that of a form with files."""
    return (content_type or "").lower().lstrip().startswith("multipart/form-data")


def fields_of(body: bytes, content_type: str) -> list[Field]:
    """The fields of a form, in order; a file is one as well.

    Raises:
        WireError: `malformed-form`: no boundary, no last boundary, or a part without a name.
    """
    boundary = _header(content_type).get_boundary()
    if not boundary:
        raise _malformed("its content type has no `boundary`")
    # RFC 2046 §5.1.1: the line break before a boundary belongs to it.
    delimiter = b"\r\n--" + boundary.encode(errors="replace")
    parts = (b"\r\n" + body).split(delimiter)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise _malformed("its last boundary is not there")
    return list(_read(parts[1:-1]))


def _read(parts: list[bytes]) -> Iterator[Field]:
    for part in parts:
        headers, blank, value = part.partition(_BLANK_LINE)
        fields = BytesHeaderParser().parsebytes(headers.lstrip() + _BLANK_LINE)
        found = fields.get_param("name", header="content-disposition")
        if not blank or found is None:
            raise _malformed("a part has no name")
        yield collapse_rfc2231_value(found), value


def _header(content_type: str) -> Message:
    header = Message()
    header["content-type"] = content_type
    return header


def _malformed(why: str) -> WireError:
    return WireError(
        f"the form cannot be read: {why}",
        code="malformed-form",
        help="send it as RFC 7578 says, so that the model it asks for is known",
    )

"""Forms that are read while they pass (RFC 7578, RFC 2046 §5.1.1): a file goes on piece by piece.

Memory holds one boundary's length of a file, and a bounded part of every other field.
"""

from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value

from proxy.errors import WireError

__all__ = ["FormStream"]

_BLANK_LINE = b"\r\n\r\n"
_MAX_FIELD_BYTES = 64 * 1024
"""How much is kept of a field that is no file, and of a part's headers."""


class FormStream:
    """Reads a form in any pieces: `feed` gives the bytes of its field `file` that came."""

    def __init__(self, content_type: str) -> None:
        """Take the boundary from the content type of the form.

        Raises:
            WireError: it names none.
        """
        header = Message()
        header["content-type"] = content_type
        boundary = header.get_boundary()
        if not boundary:
            raise _malformed("its content type has no `boundary`")
        self.fields: dict[str, str] = {}
        """The fields that are no file, as far as they were read."""
        self.files = 0
        """How many files began."""
        self.is_whole = False
        """Whether the last boundary was read."""
        self._delimiter = b"\r\n--" + boundary.encode(errors="replace")
        self._rest = bytearray(b"\r\n")
        self._name: str | None = None
        self._value = bytearray()
        self._is_in_head = False

    def feed(self, chunk: bytes) -> bytes:
        """The bytes of the file that came with this piece.

        Raises:
            WireError: `malformed-form`.
        """
        self._rest += chunk
        found = bytearray()
        while not self.is_whole and self._step(found):
            pass
        return bytes(found)

    def finish(self) -> None:
        """Make sure that the form was whole.

        Raises:
            WireError: its last boundary never came.
        """
        if not self.is_whole:
            raise _malformed("its last boundary is not there")

    def _step(self, found: bytearray) -> bool:
        return self._read_head() if self._is_in_head else self._read_body(found)

    def _read_body(self, found: bytearray) -> bool:
        """Take what belongs to the part; true where the next part's head begins."""
        at = self._rest.find(self._delimiter)
        if at < 0:
            keep = len(self._delimiter) - 1
            self._take(self._rest[:-keep], found)
            del self._rest[:-keep]
            return False
        after = self._rest[at + len(self._delimiter) :]
        if len(after) < 2:
            self._take(self._rest[:at], found)
            del self._rest[:at]
            return False
        self._take(self._rest[:at], found)
        self._end_part()
        self.is_whole = after.startswith(b"--")
        self._rest, self._is_in_head = after, True
        return True

    def _read_head(self) -> bool:
        head, blank, rest = self._rest.partition(_BLANK_LINE)
        if not blank:
            if len(self._rest) > _MAX_FIELD_BYTES:
                raise _malformed("the headers of a part do not end")
            return False
        if head.partition(b"\r\n")[0].strip():
            # RFC 2046 §5.1.1: to other readers this is a line of the file, and so is what follows.
            raise _malformed("a line of a part begins like its boundary")
        fields = BytesHeaderParser().parsebytes(bytes(head).lstrip() + _BLANK_LINE)
        name = fields.get_param("name", header="content-disposition")
        if name is None:
            raise _malformed("a part has no name")
        self._name = collapse_rfc2231_value(name)
        self.files += self._name == "file"
        if self._name in self.fields or self.files > 1:
            raise _malformed(f"it gives `{self._name[:40]}` twice")
        self._rest, self._is_in_head = rest, False
        return True

    def _take(self, data: bytearray, found: bytearray) -> None:
        if self._name == "file":
            found += data
        elif self._name is not None:
            self._value += data
            if len(self._value) > _MAX_FIELD_BYTES:
                raise _malformed("a field that is no file is too long")

    def _end_part(self) -> None:
        if self._name is not None and self._name != "file":
            self.fields[self._name] = self._value.decode(errors="replace")
        self._name = None
        self._value.clear()


def _malformed(why: str) -> WireError:
    return WireError(
        f"the form cannot be read: {why}",
        code="malformed-form",
        help="send it as RFC 7578 says, with one `file` and its `purpose`",
    )

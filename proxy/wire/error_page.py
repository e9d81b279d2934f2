"""Errors that are no JSON object: pages and lines of text of the gateways between us and a teacher.

They come with a status of their own (RFC 9110 §15.5, §15.6), so that they are errors whatever they say.
"""

import html
import re

from proxy.errors import WireError
from proxy.exchange import TeacherError
from proxy.wire.document import Object, objects, read_object

__all__ = ["BOM", "first_of", "is_page", "page_error"]

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""

_MAX_CHARS = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def is_page(body: bytes) -> bool:
    """Whether the body of an error is no JSON document: nothing, a text or a page."""
    return not body.lstrip().startswith((b"{", b"["))


def page_error(body: bytes) -> TeacherError:
    """The error that such a body tells: its text, or the title of its page, on one line."""
    said = body.decode(errors="replace")
    if said.lstrip().startswith("<"):
        titled = _TITLE.search(said)
        said = "" if titled is None else html.unescape(titled.group(1))
    line = " ".join(said.split())[:_MAX_CHARS]
    return TeacherError(message=line or None)


def first_of(body: bytes) -> Object:
    """The first object of a list, as Google's hosts wrap an error.

    Raises:
        WireError: the body is no list of objects, or an empty one.
    """
    found = objects(read_object(b'{"errors":' + body + b"}", of="the answer"), "errors")
    if not found:
        raise WireError("the answer is an empty list", code="wrong-type", where="$")
    return found[0]

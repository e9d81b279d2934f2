"""Claims on errors that are no JSON object: each is told on one line, and none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.error_page import first_of, is_page, page_error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b"  \n", None),
        (b"upstream connect error\nor disconnect", "upstream connect error or disconnect"),
        (b"<html><TITLE lang=en>502\n Bad &amp; slow</title><body>x", "502 Bad & slow"),
        (b" <!doctype html><p>x", None),
        (b"caf\xe9", "caf\ufffd"),
        (b"x" * 900, "x" * 500),
    ],
)
def test_pages(body: bytes, message: str | None) -> None:
    """A text is the message on one line; of a page of HTML its title is."""
    assert is_page(body)
    assert page_error(body).message == message


@pytest.mark.parametrize("body", [b"{}", b' {"error', b"[", b"\n[{}]"])
def test_json_is_no_page(body: bytes) -> None:
    """What begins as JSON is JSON, cut or not."""
    assert not is_page(body)


@given(body=st.binary(max_size=80))
def test_any_bytes_are_one_line(body: bytes) -> None:
    """Whatever a gateway sends, its error is at most one short line."""
    message = page_error(body).message
    assert message is None or (0 < len(message) <= 500 and "\n" not in message)


def test_the_first_of_a_list() -> None:
    """An error in a list is its first object."""
    assert first_of(b'[{"a": 1}, {"b": 2}]') == {"a": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "wrong-type"),
        (b"[1]", "wrong-type"),
        (b"[{}", "malformed-json"),
        (b"[", "malformed-json"),
    ],
)
def test_no_list_of_objects(body: bytes, code: str) -> None:
    """A list that is empty, cut or of other things is no error's."""
    with pytest.raises(WireError) as caught:
        first_of(body)
    assert caught.value.code == code

"""Forms read while they pass: the same file whatever the pieces, and no form that is not whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.batch_form import FormStream

TYPE = "multipart/form-data; boundary=the-boundary"


def _form(file: bytes, *, purpose_first: bool) -> bytes:
    parts = [
        b'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch',
        b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + file,
    ]
    ordered = parts if purpose_first else parts[::-1]
    return (
        b"".join(b"--the-boundary\r\n" + part + b"\r\n" for part in ordered) + b"--the-boundary--"
    )


@given(
    file=st.binary(max_size=60).filter(lambda data: b"--the-boundary" not in data),
    purpose_first=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=9),
)
def test_a_file_comes_out_however_it_is_cut(
    *, file: bytes, purpose_first: bool, cuts: list[int]
) -> None:
    """Any pieces give the file's bytes in order, and the purpose, wherever it stands."""
    body = _form(file, purpose_first=purpose_first) + b"\r\n"
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    stream = FormStream(TYPE)
    pieces = [stream.feed(body[a:b]) for a, b in pairwise(edges)]
    stream.finish()
    assert b"".join(pieces) == file
    assert (stream.fields, stream.files) == ({"purpose": "batch"}, 1)


def _read(body: bytes) -> None:
    stream = FormStream(TYPE)
    stream.feed(body)
    stream.finish()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--the-boundary\r\n\r\nno name\r\n--the-boundary--",
        b'--the-boundary\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc',
        _form(b"x", purpose_first=True)[:-2],
        _form(b"x", purpose_first=True).replace(b'"file"', b'"purpose"'),
        b"--the-boundary\r\n" + b"x" * 70_000,
        b'--the-boundary\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 70_000,
    ],
)
def test_what_is_no_whole_form_is_refused(body: bytes) -> None:
    """Cut, nameless, doubled or endless: nothing of it counts as a file of requests."""
    with pytest.raises(WireError) as caught:
        _read(body)
    assert caught.value.code == "malformed-form"


def test_a_form_without_a_boundary_is_refused() -> None:
    """Nobody could say where a part ends."""
    with pytest.raises(WireError, match="boundary"):
        FormStream("multipart/form-data")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No bytes raise anything but a `WireError`, and memory holds no more than came."""
    stream = FormStream(TYPE)
    try:
        found = stream.feed(b"--the-boundary" + body)
    except WireError:
        return
    assert len(found) <= len(body)


def test_what_only_begins_like_a_boundary_ends_no_file() -> None:
    """Others read on there: what they take for lines of the file must not be passed over here."""
    hidden = b'x: y\r\nContent-Disposition: form-data; name="note"\r\n\r\na line'
    file = b"one\r\n--the-boundary" + hidden
    with pytest.raises(WireError, match="begins like its boundary"):
        FormStream(TYPE).feed(_form(file, purpose_first=True))

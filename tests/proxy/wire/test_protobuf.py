"""Claims on reading protobuf: what the reference library reads is read alike, and nothing else."""

import contextlib

import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it ships no types
from hypothesis import given
from hypothesis import strategies as st
from xai_sdk.proto import chat_pb2

from proxy.errors import WireError
from proxy.wire.protobuf import Fields, read_fields

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INT32 = st.integers(-(2**31), 2**31 - 1)
REQUESTS = st.builds(
    chat_pb2.GetCompletionsRequest,
    model=_TEXT,
    n=st.none() | _INT32,
    logprobs=st.booleans(),
    temperature=st.none() | st.floats(width=32, allow_nan=False),
    stop=st.lists(_TEXT, max_size=3),
    messages=st.lists(
        st.builds(
            chat_pb2.Message,
            role=st.integers(0, 6),
            content=st.lists(st.builds(chat_pb2.Content, text=_TEXT), max_size=2),
        ),
        max_size=3,
    ),
)
LOGPROBS = st.builds(chat_pb2.LogProb, token=_TEXT, bytes=st.binary(max_size=6))


def _check(fields: Fields, message: chat_pb2.GetCompletionsRequest) -> None:
    assert fields.text(2) == message.model
    assert (fields.integer(8), fields.has(8)) == (message.n, message.HasField("n"))
    assert fields.flag(5) == message.logprobs
    assert repr(fields.decimal(14)) == repr(message.temperature)  # not a number is itself too
    assert fields.texts(12) == list(message.stop)
    assert [each.integer(2) for each in fields.messages(1)] == [m.role for m in message.messages]
    spoken = [[part.text(1) for part in each.messages(1)] for each in fields.messages(1)]
    assert spoken == [[part.text for part in each.content] for each in message.messages]


@given(message=REQUESTS)
def test_messages_read_as_the_library_wrote_them(message: chat_pb2.GetCompletionsRequest) -> None:
    """Each field of a message has the value that was written."""
    _check(read_fields(message.SerializeToString()), message)


@given(message=LOGPROBS)
def test_bytes_are_kept(message: chat_pb2.LogProb) -> None:
    """A field of bytes is given as it is."""
    assert read_fields(message.SerializeToString()).data(3) == message.bytes


@given(first=REQUESTS, second=REQUESTS)
def test_messages_that_follow_each_other_merge(
    first: chat_pb2.GetCompletionsRequest, second: chat_pb2.GetCompletionsRequest
) -> None:
    """The last value counts, lists grow, messages within merge: as in the library."""
    written = first.SerializeToString() + second.SerializeToString()
    _check(read_fields(written), chat_pb2.GetCompletionsRequest.FromString(written))


@given(message=REQUESTS, at=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_changed_byte_reads_as_in_the_library(
    message: chat_pb2.GetCompletionsRequest, at: int, byte: int
) -> None:
    """After any byte was changed, both read the same or this one reads nothing."""
    written = bytearray(message.SerializeToString())
    if written:
        written[at % len(written)] = byte
    try:
        wanted = chat_pb2.GetCompletionsRequest.FromString(bytes(written))
    except DecodeError:
        wanted = None
    with contextlib.suppress(WireError):
        fields = read_fields(bytes(written))
        if wanted is not None:
            _check(fields, wanted)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes is a message or a `WireError`."""
    with contextlib.suppress(WireError):
        fields = read_fields(data)
        for number in fields.numbers():
            with contextlib.suppress(WireError):
                fields.text(number)
            with contextlib.suppress(WireError):
                fields.message(number)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x01", "no valid number"),
        (b"\x80\x80\x80\x80\x80\x01\x01", "no valid number"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x05ab", "ends inside a field"),
        (b"\x0d\x00\x00", "ends inside a field"),
        (b"\x08", "ends inside a number"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
    ],
)
def test_what_is_malformed_says_why(data: bytes, why: str) -> None:
    """The error names the fault and the field it is in."""
    with pytest.raises(WireError) as raised:
        read_fields(data, "$.7")
    assert why in raised.value.message
    assert (raised.value.code, raised.value.where[:3]) == ("malformed-protobuf", "$.7")


def test_text_that_is_no_text() -> None:
    """A string that is not UTF-8 is refused where it is asked for."""
    fields = read_fields(b"\x12\x02\xc3\x28")
    assert fields.data(2) == b"\xc3("
    with pytest.raises(WireError, match="not UTF-8") as raised:
        fields.text(2)
    assert (raised.value.code, raised.value.where) == ("not-utf-8", "$.2")


def test_another_wire_type_is_another_field() -> None:
    """A field of a type that was not asked for counts as absent, as in the library."""
    fields = read_fields(b"\x10\x05\x15\x00\x00\x80\x3f")
    assert (fields.text(2), fields.integer(2), fields.decimal(2)) == ("", 5, 1.0)
    assert fields.message(2) is None
    assert fields.messages(9) == []


def test_the_last_alternative_counts() -> None:
    """Of a `oneof` that was written twice the last one is set."""
    content = chat_pb2.Content(text="a").SerializeToString()
    content += chat_pb2.Content(file=chat_pb2.FileContent()).SerializeToString()
    fields = read_fields(content)
    assert (fields.last_of(1, 2, 3), fields.last_of(2)) == (3, None)

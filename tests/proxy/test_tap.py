"""The tap: a copy is read and sealed, memory is bounded, and what cannot be read poisons the record."""

import gzip
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enforce import may_train
from proxy.exchange import Exchange, Headers, Outcome, RequestHead
from proxy.ledger.seal import decrypt_body, seal
from proxy.tap import Tap
from proxy.wire.format import Reader
from proxy.wire.openai_chat import OpenAIChat
from tests.proxy.calls import ANSWER, EVENTS, FRAMES, JSON, REQUEST, STREAMED

STREAM = b"".join(FRAMES)
GZIP: Headers = (("Content-Encoding", "gzip"),)
FREE_BYTES = 1_000_000
WIRE_OUTCOMES = st.sampled_from(
    [Outcome.COMPLETE, Outcome.CLIENT_DISCONNECTED, Outcome.UPSTREAM_FAILED, Outcome.CUT]
)


def _reader(body: bytes) -> Reader:
    reader = OpenAIChat().reader(RequestHead(method="POST", path="/v1/chat/completions"))
    reader.request(body)
    return reader


def _tap(body: bytes = STREAMED, *, keep_wire: bool = False, limit_bytes: int = FREE_BYTES) -> Tap:
    return Tap(_reader(body), keep_wire=keep_wire, limit_bytes=limit_bytes)


def _run(
    tap: Tap,
    chunks: Sequence[bytes],
    *,
    headers: Headers = EVENTS,
    status: int = 200,
    wire: Outcome = Outcome.COMPLETE,
) -> tuple[Exchange, Outcome]:
    tap.respond(status, headers)
    for chunk in chunks:
        tap.feed(chunk)
    exchange = tap.finish(wire)
    return exchange, tap.outcome(wire, exchange)


@given(
    data=st.binary(max_size=200)
    | st.sampled_from([STREAM, ANSWER, STREAM[:-20], STREAM + b"x", gzip.compress(STREAM)[:60]]),
    cuts=st.lists(st.integers(0, 400), max_size=5).map(sorted),
    headers=st.sampled_from([EVENTS, JSON, (*EVENTS, *GZIP), (), (("Content-Encoding", "odd"),)]),
    status=st.sampled_from([200, 204, 404, 500]),
    wire=WIRE_OUTCOMES,
    keep_wire=st.booleans(),
)
def test_whatever_comes_is_sealed_and_never_wrongly_whole(
    data: bytes,
    cuts: list[int],
    headers: Headers,
    status: int,
    wire: Outcome,
    keep_wire: bool,  # noqa: FBT001 - hypothesis passes it by name
) -> None:
    """Any bytes in any pieces give the seal of those bytes, and a whole answer only a complete call."""
    tap = _tap(keep_wire=keep_wire)
    edges = [0, *cuts, max(len(data), *cuts, 0)]
    exchange, outcome = _run(
        tap, [data[a:b] for a, b in pairwise(edges)], headers=headers, status=status, wire=wire
    )
    prepared = tap.sealed()
    assert prepared.record.seal == seal(prepared.body.salt, data)
    assert prepared.record.size_bytes == len(data)
    if may_train(exchange.answer, tap.problem):
        assert outcome is Outcome.COMPLETE
        assert [choice.text for choice in exchange.answer.choices] == ["Hello"]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    """However the network cuts an answer, the same is read of it."""
    whole = _run(_tap(), [STREAM])
    edges = [0, *cuts, len(STREAM)]
    assert _run(_tap(), [STREAM[a:b] for a, b in pairwise(edges)]) == whole


@pytest.mark.parametrize("keep_wire", [False, True])
def test_wire_bytes_are_stored_only_if_wanted(keep_wire: bool) -> None:  # noqa: FBT001 - a parameter
    """Without `keep_wire` nothing of the wire stays in memory; with it the stored body opens."""
    tap = _tap(keep_wire=keep_wire)
    _run(tap, FRAMES)
    body = tap.sealed().body
    assert tap.kept_bytes == (len(STREAM) if keep_wire else 0)
    assert (body.blob is not None) is keep_wire
    if body.blob is not None:
        assert decrypt_body(body.salt, body.blob) == STREAM


@pytest.mark.parametrize(
    ("encoding", "problem"), [((), "answer-too-large"), (GZIP, "expands-too-far")]
)
def test_an_answer_over_the_limit_is_poisoned(encoding: Headers, problem: str) -> None:
    """Past the limit nothing more is read or kept, whatever the encoding; the seal goes on."""
    data = b'data: {"choices":[]}\n\n' * 100
    wire = gzip.compress(data) if encoding else data
    tap = _tap(keep_wire=True, limit_bytes=500)
    _run(tap, [wire[at : at + 40] for at in range(0, len(wire), 40)], headers=(*EVENTS, *encoding))
    assert tap.problem == problem
    assert tap.kept_bytes <= 500
    prepared = tap.sealed()
    assert prepared.record.size_bytes == len(wire)
    assert prepared.record.seal == seal(prepared.body.salt, wire)


def test_kept_bytes_are_bounded_even_when_poisoned() -> None:
    """What follows a poisoned answer is kept up to the limit, and then none of it."""
    tap = _tap(keep_wire=True, limit_bytes=100)
    tap.respond(200, EVENTS)
    tap.poison("hook-failed")
    tap.feed(b"x" * 60)
    assert tap.kept_bytes == 60
    tap.feed(b"x" * 60)
    assert (tap.kept_bytes, tap.sealed().body.blob) == (0, None)


def test_a_terminal_frame_completes_whatever_the_socket_does() -> None:
    """A stream whose terminal frame was read is complete even if the connection died after it."""
    exchange, outcome = _run(_tap(), FRAMES, wire=Outcome.UPSTREAM_FAILED)
    assert outcome is Outcome.COMPLETE
    assert may_train(exchange.answer, None)


@pytest.mark.parametrize("headers", [EVENTS, (*EVENTS, *GZIP)])
def test_a_stream_without_its_end_failed_upstream(headers: Headers) -> None:
    """A stream that closes politely before its terminal frame was cut by the teacher."""
    data = gzip.compress(STREAM)[:-30] if len(headers) > 1 else STREAM[:-40]
    exchange, outcome = _run(_tap(), [data], headers=headers)
    assert outcome is Outcome.UPSTREAM_FAILED
    assert not exchange.answer.is_complete


@pytest.mark.parametrize(
    "wire", [Outcome.CLIENT_DISCONNECTED, Outcome.UPSTREAM_FAILED, Outcome.CUT, Outcome.REFUSED]
)
def test_without_a_terminal_frame_the_wire_says_how_it_ended(wire: Outcome) -> None:
    """An unfinished answer ends as the wire ended it."""
    assert _run(_tap(), FRAMES[:1], wire=wire)[1] is wire


def test_an_error_answer_is_complete() -> None:
    """An error in the provider's words is the whole answer to a streamed request, and never whole."""
    body = b'{"error":{"message":"slow down","type":"rate"}}'
    exchange, outcome = _run(_tap(), [body], headers=JSON, status=429)
    assert outcome is Outcome.COMPLETE
    assert not may_train(exchange.answer, None)


def test_what_we_cannot_read_did_not_fail_upstream() -> None:
    """An answer of an encoding we do not know was delivered; its record is poisoned."""
    tap = _tap()
    exchange, outcome = _run(tap, FRAMES, headers=(*EVENTS, ("content-encoding", "odd")))
    assert (outcome, tap.problem) == (Outcome.COMPLETE, "unknown-encoding")
    assert exchange.answer.status == 200


def test_a_broken_encoding_poisons() -> None:
    """Bytes that are not what their encoding says poison the record; the first reason stays."""
    tap = _tap()
    _run(tap, [b"no gzip", b"more"], headers=(*EVENTS, *GZIP))
    tap.poison("later")
    assert tap.problem == "malformed-encoding"


def test_a_broken_stream_poisons() -> None:
    """Bytes that are not what the format says poison the record."""
    tap = _tap()
    exchange, _ = _run(tap, [b"data: nonsense\n\n", *FRAMES])
    assert tap.problem is not None
    assert not may_train(exchange.answer, tap.problem)


def test_a_missing_trailer_does_not_matter_after_the_end() -> None:
    """A whole answer whose encoding lost only its trailer is whole."""
    tap = _tap(REQUEST)
    exchange, outcome = _run(tap, [gzip.compress(ANSWER)[:-4]], headers=(*JSON, *GZIP))
    assert (tap.problem, outcome) == (None, Outcome.COMPLETE)
    assert may_train(exchange.answer, None)


def test_without_a_head_there_is_no_answer() -> None:
    """Where no head came, nothing was answered; stray bytes are sealed and not read."""
    tap = _tap()
    tap.feed(b"stray")
    exchange = tap.finish(Outcome.CLIENT_DISCONNECTED)
    assert (exchange.answer.status, exchange.answer.problem) == (0, "no-response")
    assert tap.sealed().record.size_bytes == 5


def test_only_listed_headers_are_kept() -> None:
    """Of the response's head cookies and unknown headers are not kept (P4)."""
    tap = _tap()
    tap.respond(200, (("Set-Cookie", "canary"), ("X-Odd", "canary"), ("X-Request-Id", "r")))
    assert tap.head.headers == (("x-request-id", "r"),)

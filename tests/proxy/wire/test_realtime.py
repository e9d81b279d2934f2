"""Claims on realtime sockets: which messages ask for, bring and end a response; and on set-up calls."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.document import read_object
from proxy.wire.realtime import Part, Realtime

SAMPLES = sorted(
    (Path(__file__).parents[4] / "shared" / "exchanges").glob("sample-openai-realtime-*.json")
)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v1/realtime", "realtime"),
        ("GET", "/openai/realtime", "realtime"),
        ("POST", "/v1/realtime/calls", "realtime"),
        ("POST", "/v1/realtime/calls/c-1/accept", "realtime"),
        ("POST", "/v1/realtime/client_secrets", "realtime"),
        ("POST", "/v1/realtime/sessions", "realtime"),
        ("POST", "/v1/realtime/transcription_sessions", "realtime"),
        ("POST", "/v1/realtime", None),
        ("GET", "/v1/realtime/calls", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """The request that opens a socket, and the calls that set one up elsewhere."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["openai.realtime"])
    assert (found and found.claims(head)) == operation
    assert found is None or found.reader(head).request(b"").operation == operation


@pytest.mark.parametrize(
    ("content_type", "body", "model"),
    [
        ("application/sdp", b"v=0\r\n", None),
        ("application/json", b'{"session": {"model": "m"}}', "m"),
        ("application/json; charset=utf-8", b'{"model": "m"}', "m"),
        ("application/json", b" ", None),
        (
            "multipart/form-data; boundary=x",
            (
                b'--x\r\nContent-Disposition: form-data; name="session"\r\n\r\n{"model": "m"}\r\n'
                b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--x--\r\n'
            ),
            "m",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--x--\r\n',
            None,
        ),
    ],
)
def test_the_model_of_a_set_up(content_type: str, body: bytes, model: str | None) -> None:
    """It stands in the session, however that is sent; a description of media names none."""
    headers = (("content-type", content_type),)
    head = RequestHead(method="POST", path="/v1/realtime/calls", headers=headers)
    found = format_for(head, ["openai.realtime"])
    assert found is not None
    request = found.reader(head).request(body)
    assert (request.model_asked, request.operation) == (model, "realtime")


@pytest.mark.parametrize(
    ("query", "model"),
    [("model=m", "m"), ("api-version=1&deployment=d", "d"), ("", None), ("model=", None)],
)
def test_the_model_of_a_socket(query: str, model: str | None) -> None:
    """The query names it, or Azure's deployment; else the session says it later."""
    kind = Realtime()
    session = kind.session(query)
    request = kind.opening(session).request(b"")
    assert (session.model, request.model_asked, request.is_whole) == (model, model, False)


def test_a_session_learns_its_model() -> None:
    """What a side says of the session's model counts, from then on."""
    session = Realtime().session("model=a")
    assert session.part_of({"type": "session.created", "session": {"model": "b"}}) is None
    assert session.model == "b"
    assert session.keeps({"type": "session.update", "session": {"model": "c"}})
    assert session.model == "c"
    assert session.reader().request(b"").model_asked == "c"


def test_which_client_messages_count() -> None:
    """One kind asks for a response; sound is not kept for the prompt."""
    session = Realtime().session("")
    assert session.asks({"type": "response.create"})
    assert not session.asks({"type": "response.cancel"})
    assert not session.keeps({"type": "input_audio_buffer.append", "audio": "eA=="})


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ({"type": "response.created", "response": {"id": "r"}}, Part("begin", "r")),
        ({"type": "response.output_text.delta", "response_id": "r"}, Part("go-on", "r")),
        ({"type": "response.done", "response": {"id": "r"}}, Part("end", "r")),
        ({"type": "error", "error": {"event_id": "e"}}, Part("fail", "e")),
        ({"type": "error"}, Part("fail")),
        ({"type": "conversation.item.done"}, None),
    ],
)
def test_what_a_teachers_message_is(message: dict[str, Any], part: Part | None) -> None:
    """Messages tell by their kind and their response's id where they belong."""
    assert Realtime().session("").part_of(message) == part


def test_an_error_is_told_in_a_message_of_its_own() -> None:
    """The client reads a refusal as it reads any error of a session."""
    said = json.loads(Realtime().session("").refusal({"message": "no"}) or "")
    assert (said["type"], said["error"]) == ("error", {"message": "no"})


def _responses(sample: dict[str, Any]) -> list[Exchange]:
    """The responses of a recorded session, each read by itself."""
    session = Realtime().session("")
    asked, found, open_ = b"", [], {}
    for frame in sample["frames"]:
        doc = read_object(frame["data"], of="a message")
        line = json.dumps(doc).encode() + b"\n"
        if frame["from"] == "client":
            asked += line if session.keeps(doc) else b""
            continue
        part = session.part_of(doc)
        if part is None:
            continue
        if part.does == "begin":
            reader = open_[part.response] = session.reader()
            reader.request(asked)
            reader.respond(ResponseHead(status=200))
            asked = b""
        open_[part.response].feed(line)
        if part.does == "end":
            assert open_[part.response].is_terminal
            found.append(open_.pop(part.response).finish())
    return found


def test_samples_read_as_expected() -> None:
    """Each response of a recorded session reads as its `expected` block says."""
    for path in SAMPLES:
        sample = json.loads(path.read_text())
        wanted = sample["expected"]
        found = _responses(sample)
        assert [
            {
                "response_id": exchange.answer.response_id,
                "status": exchange.answer.choices[0].finish_reason,
                "text": exchange.answer.choices[0].text,
                "tool_calls": [call.name for call in exchange.answer.choices[0].tool_calls],
                "usage": exchange.answer.usage
                and {
                    "input": exchange.answer.usage.input,
                    "output": exchange.answer.usage.output,
                    "total": exchange.answer.usage.total,
                },
            }
            for exchange in found
        ] == wanted["responses"]
        assert {exchange.answer.model_served for exchange in found} == {wanted["model_served"]}
        assert {exchange.request.operation for exchange in found} == {wanted["operation"]}

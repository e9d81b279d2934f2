"""Claims on the Live API: which messages ask for, bring and end a turn."""

from typing import Any

import pytest

from proxy.exchange import RequestHead
from proxy.wire.dialects import format_for
from proxy.wire.gemini_live import GeminiLive
from proxy.wire.realtime import Part

GOOGLE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", GOOGLE, "realtime"),
        ("GET", f"{GOOGLE}Constrained", "realtime"),
        (
            "GET",
            "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
            "realtime",
        ),
        ("POST", GOOGLE, None),
        ("GET", "/v1beta/models", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """The request that opens a socket, on either of its hosts."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["gemini.live"])
    assert (found and found.claims(head)) == operation
    assert found is None or found.reader(head).request(b"").operation == operation


def test_the_first_message_names_the_model() -> None:
    """Until then nobody is known to be asked; the name is the last part of what is written."""
    session = GeminiLive().session("")
    assert (session.model, session.reader().request(b"").model_asked) == (None, None)
    assert session.keeps({"setup": {"model": "models/small-live"}})
    assert (session.model, session.reader().request(b"").model_asked) == ("small-live",) * 2
    assert GeminiLive().opening(session).request(b"").operation == "realtime"


@pytest.mark.parametrize(
    ("message", "asks", "keeps"),
    [
        ({"clientContent": {"turns": [], "turnComplete": True}}, True, True),
        ({"client_content": {"turn_complete": True}}, True, True),
        ({"clientContent": {"turns": []}}, False, True),
        ({"toolResponse": {}}, True, True),
        ({"tool_response": {}}, True, True),
        ({"realtimeInput": {"audio": {}}}, False, False),
        ({"realtime_input": {"text": "Hi"}}, False, True),
    ],
)
def test_which_client_messages_count(message: dict[str, Any], *, asks: bool, keeps: bool) -> None:
    """A turn that is over asks, and so does a tool's answer; sound is not kept."""
    session = GeminiLive().session("")
    assert (session.asks(message), session.keeps(message)) == (asks, keeps)


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ({"setupComplete": {}}, None),
        ({"serverContent": {"inputTranscription": {"text": "Hi"}}}, None),
        ({"serverContent": {"modelTurn": {}}}, Part("begin")),
        ({"serverContent": {"outputTranscription": {}}}, Part("begin")),
        ({"serverContent": {"turnComplete": True}}, Part("end")),
        ({"serverContent": {"interrupted": True}}, Part("begin")),
        ({"serverContent": {"modelTurn": {}, "turnComplete": True}}, Part("whole")),
        ({"toolCall": {}}, Part("whole")),
    ],
)
def test_what_a_servers_message_is(message: dict[str, Any], part: Part | None) -> None:
    """Words begin a turn or go on with it; its mark, or a call of a tool, ends it."""
    session = GeminiLive().session("")
    assert session.part_of(message) == part
    assert session.refusal({}) is None

"""Claims on Mistral's conversations; what their answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead
from proxy.wire.dialects import format_for
from tests.proxy.wire import playback

CASES = playback.cases("mistral.conversations")


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/conversations", "chat"),
        ("POST", "/v1/conversations/c1", "chat"),
        ("POST", "/v1/conversations/c1/restart", "chat"),
        ("GET", "/v1/conversations/c1/history", "other"),
        ("GET", "/v1/conversations/c1", "other"),
        ("DELETE", "/v1/conversations/c1", "other"),
        ("POST", "/v1/agents", "other"),
        ("PATCH", "/v1/agents/a1", "other"),
        ("POST", "/v1/ocr", "other"),
        ("POST", "/v1/chat/classifications", "other"),
        ("PUT", "/v1/conversations", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """Words are asked for by POST; the rest lists, keeps or ends."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["mistral.conversations"])
    assert (None if found is None else found.claims(head)) == operation

"""Detectors: what they see becomes facts; what was not seen to the end stays unknown."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from proxy.detect import NOTHING_SEEN, Detector, Detectors, Kind, kind_of
from proxy.exchange import Answer, Choice, Message, Request, ToolCall
from proxy.masking import Span

BODY = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "mail ann@example.org and bob@example.org"},
        {"role": "user", "content": [{"type": "text", "text": "key AKIA1"}]},
        {"role": "user", "content": [{"image_url": {"url": "data:image/png;base64,AKIA1+/="}}]},
    ],
}
REQUEST = Request(
    wire_format="x",
    operation="chat",
    model_asked="m",
    is_streamed=False,
    messages=(Message(role="user", text="mail ann@example.org"),),
)


class Pattern:
    """A detector of a regular expression."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it matches."""
        return (match.span() for match in self._pattern.finditer(text))


class Broken:
    """A detector that breaks, with the text in its words."""

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Break."""
        raise RuntimeError(text)


class Slow:
    """A detector that never ends by itself."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def find(self, text: str) -> list[tuple[int, int]]:
        """Wait."""
        self.end.wait(5)
        return [(0, len(text))]


MAIL, KEY = Pattern(r"\w+@[\w.]+"), Pattern("AKIA[0-9]")


async def _look(by_kind: dict[Kind, Detector], timeout_s: float = 5.0) -> dict[str, bool]:
    detectors = Detectors(by_kind, timeout_s=timeout_s)
    try:
        return (await detectors.in_request(json.dumps(BODY).encode(), REQUEST)).facts("request")
    finally:
        detectors.close()


async def test_what_is_seen_has_its_paths() -> None:
    """Each text that holds something is named by its JSON path; images are no texts."""
    detectors = Detectors({"pii": MAIL, "secret": KEY}, timeout_s=5)
    seen = await detectors.in_request(json.dumps(BODY).encode(), REQUEST)
    detectors.close()
    assert seen.kinds == {"pii", "secret"}
    assert seen.paths["pii"] == ("$.messages[0].content",)
    assert seen.paths["secret"] == ("$.messages[1].content[0].text",)
    assert seen.facts("request") == {"request.pii": True, "request.secret": True}
    spans = seen.only(frozenset({"pii"}))
    assert spans == {BODY["messages"][0]["content"]: (Span(5, 20, "pii"), Span(25, 40, "pii"))}  # type: ignore[index] # a literal


async def test_words_that_look_like_media_are_words() -> None:
    """Only bytes in base64 are no text; what begins in the same way hides nothing."""
    detectors = Detectors({"pii": MAIL}, timeout_s=5)
    for words in ("data: mail ann@example.org", "data:text/plain,ann@example.org"):
        body = json.dumps({"messages": [{"role": "user", "content": words}]}).encode()
        seen = await detectors.in_request(body, REQUEST)
        assert seen.facts("request") == {"request.pii": True}
    detectors.close()


async def test_clean_is_not_unknown() -> None:
    """A kind that was looked for and not found is known to be absent; another stays unknown."""
    assert await _look({"pii": Pattern("nothing like it")}) == {"request.pii": False}
    assert await _look({}) == {}


async def test_a_body_that_is_no_json_is_looked_at_by_its_messages() -> None:
    """Forms and binary formats have their texts in the reading."""
    detectors = Detectors({"pii": MAIL}, timeout_s=5)
    seen = await detectors.in_request(b"\0binary", REQUEST)
    detectors.close()
    assert seen.paths["pii"] == ("$.messages[0]",)


_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%s\r\n'
    b"--b\r\nContent-Type: %s\r\n\r\n\xff\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b"", {"request.pii": False}),
        (b'{"a": 1}\n{"b": ["ann@example.org"]}\n', {"request.pii": True}),
        (b'{"a": "ann@example.org", "a": "x"}', {"request.pii": True}),
        (_FORM % (b"draw ann@example.org", b"image/png"), {"request.pii": True}),
        (_FORM % (b"draw a cat", b"image/png"), {"request.pii": False}),
        (_FORM % (b"draw a cat", b"text/plain"), {}),
        (b"\0ann@example.org", {}),
    ],
)
async def test_what_is_not_looked_at_is_not_clean(body: bytes, facts: dict[str, bool]) -> None:
    """Without messages the body itself is looked at; where that cannot be, nothing is known (P9)."""
    detectors = Detectors({"pii": MAIL}, timeout_s=5)
    seen = await detectors.in_request(body, replace(REQUEST, messages=()))
    detectors.close()
    assert seen.facts("request") == facts


async def test_all_that_a_teacher_said_is_looked_at() -> None:
    """Text, reasoning, refusal and arguments of tools."""
    call = ToolCall(id=None, name="f", arguments='{"to": "d@x.org"}')
    choice = Choice(
        index=1, text="a@x.org", reasoning="b@x.org", refusal="c@x.org", tool_calls=(call,)
    )
    detectors = Detectors({"pii": MAIL}, timeout_s=5)
    seen = await detectors.in_answer(Answer(status=200, choices=(choice,)))
    detectors.close()
    assert seen.paths["pii"] == (
        "$.choices[1].text",
        "$.choices[1].reasoning",
        "$.choices[1].refusal",
        "$.choices[1].tool_calls[0].arguments",
    )
    assert seen.facts("response") == {"response.pii": True}


async def test_a_detector_that_breaks_saw_nothing() -> None:
    """Its kind stays unknown, the others count, and its words, which quote the text, are not told."""
    with capture_logs() as logs:
        facts = await _look({"pii": Broken(), "secret": KEY})
    assert facts == {"request.secret": True}
    assert [(line["event"], line["error"]) for line in logs] == [
        ("a detector broke", "RuntimeError")
    ]
    assert "example.org" not in repr(logs)


async def test_a_look_that_takes_too_long_saw_nothing() -> None:
    """After the limit everything is unknown, and the call goes on to its rules."""
    slow = Slow()
    with capture_logs() as logs:
        facts = await _look({"pii": slow, "secret": KEY}, timeout_s=0.05)
    slow.end.set()
    assert facts == {}
    assert [line["event"] for line in logs] == ["detectors took too long"]


async def test_without_detectors_nothing_is_looked_at() -> None:
    """They are off by default: no thread, no fact."""
    detectors = Detectors({}, timeout_s=1)
    assert not detectors.is_on
    assert await detectors.in_answer(Answer(status=200)) is NOTHING_SEEN
    detectors.close()


@pytest.mark.parametrize(
    ("word", "kind"),
    [("pii", "pii"), (" Secrets ", "secret"), ("secret", "secret"), ("names", None)],
)
def test_what_a_duty_names(word: str, kind: str | None) -> None:
    """A duty's word is one that a detector looks for, or none."""
    assert kind_of(word) == kind

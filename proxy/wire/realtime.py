"""The format `openai.realtime`: sockets whose events are JSON, and the calls that set up others.

One socket carries many responses. A `Session` says which messages ask for one, bring one and end one;
`realtime_answer` reads each as an exchange of its own. Media of WebRTC and SIP never pass an HTTP
proxy: of these only the set-up is seen, which policies may refuse.
"""

from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import parse_qs

from proxy.exchange import Request, RequestHead
from proxy.wire.document import Object, compact, object_, read_object, text, word
from proxy.wire.form import fields_of, is_form
from proxy.wire.format import Reader
from proxy.wire.paths import ends_with
from proxy.wire.plain import Plain
from proxy.wire.reading import ExchangeReader
from proxy.wire.realtime_answer import ResponseAssembly, events_of, read_asked

__all__ = ["Part", "Realtime", "RealtimeSetUp", "Session", "SocketFormat", "hands_out_key"]

_KEYS = tuple(
    f"/realtime/{path}" for path in ("client_secrets", "sessions", "transcription_sessions")
)
_UNSAID = frozenset({"input_audio_buffer.append"})
"""Client messages that hold sound alone: they are not kept."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a message of the teacher is to a response; `response` is its id, where it says one."""

    does: Literal["begin", "go-on", "end", "whole", "fail"]
    """What is `whole` ends a response, and is one of its own where none has begun."""
    response: str | None = None
    """The id of the response, where it says one; of a failure, that of the message that failed."""


class Session(Protocol):
    """What was said on one socket, as far as it tells the responses apart."""

    @property
    def model(self) -> str | None:
        """The model of the session, as it was last named."""

    def asks(self, message: Object) -> bool:
        """Whether a client's message asks for a response."""

    def keeps(self, message: Object) -> bool:
        """Whether a client's message is a part of the next prompt."""

    def part_of(self, message: Object) -> Part | None:
        """What a teacher's message is to a response; None: nothing."""

    def reader(self) -> Reader:
        """A fresh reader of one response: its request is the client's messages, one a line."""

    def refusal(self, error: Object) -> str | None:
        """The message that tells a client of an error, where the format has one."""


class SocketFormat(Protocol):
    """A wire format whose requests open a socket."""

    def session(self, query: str) -> Session:
        """A fresh session, given the query of the request that opens it."""

    def opening(self, session: Session) -> Reader:
        """A reader of the request that opens a socket: its answer has no words."""


class Realtime:
    """The upgrade itself; its answer has no body."""

    name = "openai.realtime"

    def __init__(self) -> None:
        """Take the request that opens a socket."""
        self._plain = Plain("realtime", method="GET", suffixes=("/realtime",))

    def claims(self, head: RequestHead) -> str | None:
        """`realtime` for a request that opens a socket."""
        return self._plain.claims(head)

    def reader(self, head: RequestHead) -> Reader:
        """A fresh reader for one exchange."""
        return self.opening(self.session(head.query))

    def session(self, query: str) -> "_Session":
        """A fresh session; a query names the model, and Azure's the deployment."""
        asked = parse_qs(query)
        named = asked.get("model") or asked.get("deployment")
        return _Session(named[0] if named else None)

    def opening(self, session: Session) -> Reader:
        """A reader of the upgrade: all that it asks stands in its head."""

        def read(_: bytes) -> Request:
            return Request(
                wire_format=self.name,
                operation="realtime",
                model_asked=session.model,
                is_streamed=True,
                is_whole=False,
            )

        plain = Plain("realtime", method="GET", suffixes=(), read=read)
        return plain.reader(RequestHead(method="GET", path=""))


class _Session:
    def __init__(self, model: str | None) -> None:
        self.model = model

    def asks(self, message: Object) -> bool:
        return message.get("type") == "response.create"

    def keeps(self, message: Object) -> bool:
        self._learn(message)
        return word(message, "type") not in _UNSAID

    def part_of(self, message: Object) -> Part | None:
        self._learn(message)
        kind = message.get("type")
        response = object_(message, "response") or {}
        if kind == "response.created":
            return Part("begin", text(response, "id"))
        if kind == "response.done":
            return Part("end", text(response, "id"))
        if kind == "error":
            return Part("fail", text(object_(message, "error") or {}, "event_id"))
        named = text(message, "response_id")
        return None if named is None else Part("go-on", named)

    def _learn(self, message: Object) -> None:
        if word(message, "type") in {"session.created", "session.updated", "session.update"}:
            said = object_(message, "session") or {}
            self.model = text(said, "model") or self.model

    def reader(self) -> Reader:
        blank = Request(
            wire_format=Realtime.name,
            operation="realtime",
            model_asked=self.model,
            is_streamed=True,
            is_whole=False,
        )
        parts = ResponseAssembly(self.model)
        return ExchangeReader(blank, lambda body: read_asked(body, blank), parts, framing=events_of)

    def refusal(self, error: Object) -> str | None:
        return compact({"type": "error", "event_id": "inbond", "error": error})


def hands_out_key(head: RequestHead) -> bool:
    """Whether the answer to a request holds a key, so that its bytes are never kept (P4)."""
    return any(ends_with(head.path, path) for path in _KEYS)


class RealtimeSetUp:
    """Calls that set up a session elsewhere: by WebRTC, by telephone, or with a short-lived key."""

    name = Realtime.name

    def __init__(self) -> None:
        """Take what OpenAI's reference lists under Realtime."""
        paths = ("calls", "client_secrets", "sessions", "transcription_sessions")
        acts = ("accept", "hangup", "refer", "reject")
        suffixes = (
            *(f"/realtime/{path}" for path in paths),
            *(f"/realtime/calls/*/{act}" for act in acts),
        )
        self._plain = Plain("realtime", method="POST", suffixes=suffixes)

    def claims(self, head: RequestHead) -> str | None:
        """`realtime` for a call that sets up a session."""
        return self._plain.claims(head)

    def reader(self, head: RequestHead) -> Reader:
        """A fresh reader for one exchange: of the request the model is read, of the answer nothing."""
        content_type = head.header("content-type") or ""

        def read(body: bytes) -> Request:
            return Request(
                wire_format=self.name,
                operation="realtime",
                model_asked=_model_set_up(body, content_type),
                is_streamed=False,
            )

        return Plain("realtime", method="POST", suffixes=(), read=read).reader(head)


def _model_set_up(body: bytes, content_type: str) -> str | None:
    """The model that a session is set up with; a description of media alone names none."""
    if is_form(content_type):
        said = [value for name, value in fields_of(body, content_type) if name == "session"]
        doc = read_object(said[-1], of="the field `session`") if said else {}
    elif body.strip() and ("json" in content_type or body.lstrip().startswith(b"{")):
        doc = read_object(body, of="the request body")
    else:
        return None
    session = object_(doc, "session") or doc
    return text(session, "model")

"""The format `gemini.live`: sockets of Google's Live API (`…BidiGenerateContent`), on both its hosts.

The first message sets the session up and names the model; then turns of the client are answered by
turns of the model, one at a time. Frames are binary and hold JSON. See `proxy.wire.realtime`.
"""

from proxy.exchange import Request, RequestHead
from proxy.wire.document import Object, flag, object_, text
from proxy.wire.format import Reader
from proxy.wire.gemini_live_answer import TurnAssembly, read_turn
from proxy.wire.plain import Plain
from proxy.wire.reading import ExchangeReader
from proxy.wire.realtime import Part, Session
from proxy.wire.realtime_answer import events_of

__all__ = ["GeminiLive"]

_SPOKEN = frozenset({"modelTurn", "outputTranscription"})
_MARKS = frozenset({"interrupted", "generationComplete"})
_METHODS = ("BidiGenerateContent", "BidiGenerateContentConstrained")


class GeminiLive:
    """The upgrade; who is asked stands in the first message on the socket."""

    name = "gemini.live"

    def claims(self, head: RequestHead) -> str | None:
        """`realtime` for a request that opens a socket."""
        last = head.path.rpartition("/")[2]
        is_ours = head.method == "GET" and last.rpartition(".")[2] in _METHODS
        return "realtime" if is_ours else None

    def reader(self, head: RequestHead) -> Reader:  # noqa: ARG002 - it says nothing of the model
        """A fresh reader for one exchange."""
        return self.opening(self.session(""))

    def session(self, query: str) -> "_Session":  # noqa: ARG002 - as above
        """A fresh session."""
        return _Session()

    def opening(self, session: Session) -> Reader:  # noqa: ARG002 - as above
        """A reader of the request that opens a socket."""
        blank = _blank(None)
        return Plain("realtime", method="GET", suffixes=(), read=lambda _: blank).reader(
            RequestHead(method="GET", path="")
        )


def _blank(model: str | None) -> Request:
    return Request(
        wire_format=GeminiLive.name,
        operation="realtime",
        model_asked=model,
        is_streamed=True,
        is_whole=False,
    )


class _Session:
    def __init__(self) -> None:
        self.model: str | None = None

    def asks(self, message: Object) -> bool:
        turn = object_(message, "clientContent") or object_(message, "client_content")
        if turn is not None:
            return flag(turn, "turnComplete") or flag(turn, "turn_complete")
        return "toolResponse" in message or "tool_response" in message

    def keeps(self, message: Object) -> bool:
        setup = object_(message, "setup")
        if setup is not None:
            named = text(setup, "model") or ""
            self.model = named.rpartition("/")[2] or None
        spoken = object_(message, "realtimeInput") or object_(message, "realtime_input")
        return spoken is None or "text" in spoken

    def part_of(self, message: Object) -> Part | None:
        content = object_(message, "serverContent") or {}
        has_call, has_words = "toolCall" in message, not _SPOKEN.isdisjoint(content)
        if has_call or flag(content, "turnComplete"):
            return Part("whole" if has_call or has_words else "end")
        return Part("begin") if has_words or not _MARKS.isdisjoint(content) else None

    def reader(self) -> Reader:
        blank = _blank(self.model)
        return ExchangeReader(
            blank, lambda body: read_turn(body, blank), TurnAssembly(self.model), framing=events_of
        )

    def refusal(self, error: Object) -> str | None:  # noqa: ARG002 - it has no message for it
        return None

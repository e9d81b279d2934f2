"""One response of `openai.realtime`: what was asked on its socket before it, and its events.

The prompt is known in part at most: the provider holds the session, and sound is not text. The event
that ends a response holds the whole of it again; where it never came, the pieces are all there is.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.exchange import (
    Choice,
    Json,
    Message,
    Request,
    ResponseHead,
    TeacherError,
    ToolCall,
    Usage,
)
from proxy.wire.document import Object, count, object_, objects, read_object, text
from proxy.wire.framing import Framing
from proxy.wire.jsonlines import LinesDecoder
from proxy.wire.sse import Event

__all__ = ["ResponseAssembly", "events_of", "read_asked"]

_PIECES: Mapping[str, str] = MappingProxyType(
    {
        "response.output_text.delta": "text",
        "response.output_audio_transcript.delta": "text",
        "response.text.delta": "text",
        "response.audio_transcript.delta": "text",
        "response.function_call_arguments.delta": "arguments",
    }
)
"""Events that bring a piece of text; the names without `output_` are those of the first version."""
_SPOKEN = ("text", "transcript")
_SERVER_ITEMS = frozenset({"mcp_call", "mcp_list_tools", "mcp_approval_request"})


def events_of(head: ResponseHead) -> Framing:  # noqa: ARG001 - a socket has no other framing
    """The messages of a socket, one a line."""
    return LinesDecoder()


def read_asked(body: bytes, blank: Request) -> Request:
    """What a client said on its socket before a response: its messages, one a line.

    Raises:
        WireError: one of them is no JSON object.
    """
    said = [read_object(line, of="a message") for line in body.splitlines() if line.strip()]
    items = [object_(doc, "item") or {} for doc in said if _is_item(doc)]
    return replace(
        blank,
        messages=tuple(message for item in items if (message := _message(item)) is not None),
        tools=_tools(said),
        has_system=any(item.get("role") == "system" for item in items),
        has_images=any(
            part.get("type") == "input_image" for item in items for part in objects(item, "content")
        ),
    )


def _is_item(doc: Object) -> bool:
    return doc.get("type") == "conversation.item.create"


def _tools(said: list[Object]) -> Json:
    found: list[Json] = []
    for doc in said:
        holder = object_(doc, "session") or object_(doc, "response") or {}
        found = [*objects(holder, "tools")] or found
    return found or None


def _message(item: Object) -> Message | None:
    if item.get("type") == "function_call_output":
        call = text(item, "call_id")
        return Message(role="tool", text=text(item, "output") or "", tool_call_id=call)
    role = text(item, "role")
    if role is None:
        return None
    parts = objects(item, "content")
    spoken = [_words(part) for part in parts]
    return Message(
        role=role,
        text="".join(words for words in spoken if words is not None),
        has_other_parts=None in spoken,
    )


def _words(part: Object) -> str | None:
    """The text of a part, or what its sound was written down as; None where it is neither."""
    return next((found for key in _SPOKEN if (found := text(part, key)) is not None), None)


class ResponseAssembly:
    """Puts one response together from the events that name it."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.is_terminal = False
        self._pieces: dict[str, dict[str, list[str]]] = {}
        self._names: dict[str, tuple[str | None, str | None]] = {}
        self._status: str | None = None
        self._items: tuple[Choice, ...] = ()
        self._usage: Usage | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the end of the socket ends a response: only its own event does."""
        return False

    def event(self, event: Event) -> None:
        """Take one event.

        Raises:
            WireError: it is no event of a response.
        """
        doc = read_object(event.data, of="an event")
        kind = text(doc, "type") or ""
        if kind == "error":
            self._fail(object_(doc, "error") or {})
        elif kind in {"response.created", "response.done"}:
            self._state(object_(doc, "response") or {}, is_done=kind == "response.done")
        elif kind in _PIECES:
            pieces = self._pieces.setdefault(text(doc, "item_id") or "", {})
            pieces.setdefault(_PIECES[kind], []).append(text(doc, "delta") or "")
        elif kind == "response.output_item.added":
            item = object_(doc, "item") or {}
            self._names[text(item, "id") or ""] = (text(item, "call_id"), text(item, "name"))

    def document(self, doc: Object) -> None:
        """Take a body: a socket has none."""

    def _fail(self, error: Object) -> None:
        self.is_terminal = True
        self.error = TeacherError(
            type=text(error, "type"), code=text(error, "code"), message=text(error, "message")
        )

    def _state(self, response: Object, *, is_done: bool) -> None:
        self.response_id = text(response, "id") or self.response_id
        if not is_done:
            return
        self.is_terminal, self._status = True, text(response, "status")
        self._items, self._usage = self._said(objects(response, "output")), _usage(response)
        details = object_(response, "status_details") or {}
        if self._status == "failed":
            self._fail(object_(details, "error") or {})
        elif self._status != "completed":
            self.problem = "not-finished"

    def choices(self) -> tuple[Choice, ...]:
        """The response as one choice: its messages' words and its calls, in order."""
        return self._items or self._begun()

    def _said(self, items: list[Object]) -> tuple[Choice, ...]:
        if not items:
            return ()
        spoken = [_words(part) or "" for item in items for part in objects(item, "content")]
        return (
            Choice(
                index=0,
                text="".join(spoken),
                finish_reason=self._status,
                tool_calls=tuple(_call(i) for i in items if i.get("type") == "function_call"),
                server_tools=tuple(
                    kind for i in items if (kind := text(i, "type")) in _SERVER_ITEMS
                ),
            ),
        )

    def _begun(self) -> tuple[Choice, ...]:
        """What came in pieces, where the whole never came."""
        if not self._pieces:
            return ()
        said = [(item, {k: "".join(v) for k, v in p.items()}) for item, p in self._pieces.items()]
        calls = [(self._names.get(item, (None, None)), p) for item, p in said if "arguments" in p]
        return (
            Choice(
                index=0,
                text="".join(pieces.get("text", "") for _, pieces in said),
                finish_reason=self._status,
                tool_calls=tuple(
                    ToolCall(id=names[0], name=names[1], arguments=pieces["arguments"])
                    for names, pieces in calls
                ),
            ),
        )

    def usage(self) -> Usage | None:
        """The usage that the last event states."""
        return self._usage


def _usage(response: Object) -> Usage | None:
    stated = object_(response, "usage")
    if stated is None:
        return None
    details = object_(stated, "input_token_details") or {}
    return Usage(
        input=count(stated, "input_tokens"),
        output=count(stated, "output_tokens"),
        total=count(stated, "total_tokens"),
        cache_read=count(details, "cached_tokens"),
        raw=stated,
    )


def _call(item: Object) -> ToolCall:
    return ToolCall(
        id=text(item, "call_id"), name=text(item, "name"), arguments=text(item, "arguments") or ""
    )

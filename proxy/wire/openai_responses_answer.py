"""The answer of `openai.responses`: a whole response, or the events that build one.

The event that closes a stream holds the whole response again. What came in pieces is what the client
saw first, and all there is where the stream was cut or its closing event leaves the output out.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.exchange import Choice, TeacherError, Usage
from proxy.wire.azure_filters import is_verbatim
from proxy.wire.document import Object, count, flag, object_, objects, read_object, text
from proxy.wire.openai_error import error_of
from proxy.wire.openai_responses_items import GrowingItem, Output
from proxy.wire.sse import Event

__all__ = ["ResponseAssembly"]

_PIECES: Mapping[str, str] = MappingProxyType(
    {
        "response.output_text.delta": "text",
        "response.refusal.delta": "refusal",
        "response.reasoning_summary_text.delta": "summary",
        "response.reasoning_text.delta": "content",
        "response.reasoning.delta": "content",
        "response.function_call_arguments.delta": "arguments",
        "response.custom_tool_call_input.delta": "input",
    }
)
"""Events that bring a piece of an item's text, and of which of its texts."""

_ENDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "response.output_text.done": ("text", "text"),
        "response.refusal.done": ("refusal", "refusal"),
        "response.reasoning_summary_text.done": ("summary", "text"),
        "response.reasoning_text.done": ("content", "text"),
        "response.reasoning.done": ("content", "text"),
        "response.function_call_arguments.done": ("arguments", "arguments"),
        "response.custom_tool_call_input.done": ("input", "input"),
    }
)
"""Events that state one of these texts whole, and under which key."""

_BEGINNINGS = frozenset({"response.created", "response.in_progress", "response.queued"})
_CLOSINGS: Mapping[str, str] = MappingProxyType(
    {
        "response.completed": "completed",
        "response.incomplete": "incomplete",
        "response.failed": "failed",
        "response.cancelled": "cancelled",
        "response.done": "",
    }
)
"""Events that hold the whole response, and the status that each one says by its name."""

_SILENT = frozenset(
    {
        "",
        "keepalive",
        "ping",
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
    }
)
_FILTERED = "content_filter"
_OVER = frozenset({"completed", "complete", "incomplete"})
"""What a response says of itself once the model has said what it will say."""


class ResponseAssembly:
    """Puts one answer of Responses together: always one choice."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.incomplete_reason: str | None = None
        """Why the response is incomplete, in the host's word."""
        self.previous_response_id: str | None = None
        """The response that this one went on from, as it says itself when it is fetched again."""
        self._items: list[GrowingItem] = []
        self._by_key: dict[int, GrowingItem] = {}
        self._by_id: dict[str, GrowingItem] = {}
        self._output = Output()
        self._status: str | None = None
        self._usage: Usage | None = None
        self._has_answer = False
        self._has_beginning = False
        self._has_unread = False
        self._is_blocked = False
        self._is_verbatim: bool | None = None
        self._is_closed = False

    @property
    def is_terminal(self) -> bool:
        """Whether the event that closes a stream was shown."""
        return self._is_closed

    @property
    def is_finished(self) -> bool:
        """Never: this format always ends in an event that closes it."""
        return False

    @property
    def is_over(self) -> bool:
        """Whether the response says that it is complete, or complete as far as it may go.

        One that is queued, in progress, cancelled or failed is read as any other, and is not an answer.
        """
        return self._status in _OVER

    def event(self, event: Event) -> None:
        """Take one event of a stream; its kind is told by the JSON, else by the line before it.

        Raises:
            WireError: it is no event of a response.
        """
        if event.data.startswith("[DONE]"):  # some hosts add it after the closing event
            return
        doc = read_object(event.data, of="an event of the stream")
        kind = text(doc, "type") or event.event
        family = _PIECES.get(kind)
        if family is not None:
            piece = text(doc, "delta") or ""
            logprobs = objects(doc, "logprobs") if "logprobs" in doc else []
            self._item(doc).add(family, _index(doc), piece, logprobs)
        elif kind in _ENDS:
            family, key = _ENDS[kind]
            if doc.get(key) is not None:
                whole = text(doc, key) or ""
                self._item(doc).end(family, _index(doc), whole, objects(doc, "logprobs"))
        else:
            self._mark(kind, doc)

    def document(self, doc: Object) -> None:
        """Take the whole response, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if doc.get("object") == "response" or isinstance(doc.get("output"), list):
            self._close(doc, "")
            return
        error = error_of(doc)
        if error == TeacherError():
            self.problem = "not-an-answer"
        else:
            self.error = error

    def choices(self) -> tuple[Choice, ...]:
        """The response so far as one choice; none before it began."""
        if not (self._has_answer or self._items):
            return ()
        output = self._output if self._is_closed else self._grown()
        choice = output.choice(self._status, is_models_own=not self._is_blocked)
        return (replace(choice, is_verbatim=self._is_verbatim),)

    def usage(self) -> Usage | None:
        """The usage the response states, which is at its end."""
        return self._usage

    def _mark(self, kind: str, doc: Object) -> None:
        """Take an event that brings no text, or none that is known."""
        match kind:
            case "response.output_item.added" | "response.output_item.done":
                self._state(doc, is_done=kind.endswith("done"))
            case "response.output_text.annotation.added":
                self._item(doc).cite(_index(doc))
            case _ if kind in _BEGINNINGS:
                self._begin(object_(doc, "response") or {})
            case _ if kind in _CLOSINGS:
                self._close(object_(doc, "response") or {}, _CLOSINGS[kind], "$.response")
            case "error" | "response.error":
                self.error = error_of(doc)
            case "" if doc.get("error") is not None:
                self.error = error_of(doc)
            case _:
                is_progress = "_call" in kind or "mcp_list_tools" in kind
                self._has_unread |= not (is_progress or kind in _SILENT)

    def _begin(self, response: Object) -> None:
        self._has_answer = self._has_beginning = True
        self._identify(response, "$.response")

    def _identify(self, response: Object, at: str) -> None:
        self.model = text(response, "model", at) or self.model
        self.response_id = text(response, "id", at) or self.response_id

    def _close(self, response: Object, named: str, at: str = "$") -> None:
        """Take the whole response; `named` is the status that its event says by name."""
        self._identify(response, at)
        status = text(response, "status", at)
        self._status = status if status in _OVER or not named else named
        self._count(response, at)
        details = object_(response, "incomplete_details", at) or {}
        self.incomplete_reason = text(details, "reason", f"{at}.incomplete_details") or None
        self.previous_response_id = text(response, "previous_response_id", at) or None
        self._is_blocked = self.incomplete_reason == _FILTERED or _is_blocked(response, at)
        self._is_verbatim = _quotes(response, at)
        if response.get("error"):
            self.error = error_of(response)
        for position, item in enumerate(objects(response, "output", at)):
            self._output.add(item, f"{at}.output[{position}]")
            self._has_answer = True
        if not response.get("output"):
            self._rebuild()
        self._compare()
        self._has_answer = self._is_closed = True
        if self._output.has_unread:
            self.problem = "unread-part"

    def _compare(self) -> None:
        """Hold the whole response against its pieces: whoever read along saw the pieces."""
        grown = sorted(self._items, key=lambda item: item.key)
        spoken = "".join(item.spoken for item in grown)
        if self._has_beginning and spoken and spoken != "".join(self._output.texts):
            self.problem = "text-changed"
        if not self._output.logprobs:
            self._output.logprobs = [entry for item in grown for entry in item.logprobs]

    def _rebuild(self) -> None:
        """Take the output from its pieces, if the stream was seen from its beginning."""
        if not self._items:
            return
        self._output = self._grown()
        self._output.has_unread |= self._has_unread
        if not self._has_beginning:
            self.problem = "missing-beginning"

    def _grown(self) -> Output:
        output = Output()
        for item in sorted(self._items, key=lambda item: item.key):
            output.add(item.whole(), "$.item")
        return output

    def _count(self, response: Object, at: str) -> None:
        stated = object_(response, "usage", at)
        if stated:
            self._usage = _usage(stated, f"{at}.usage")

    def _state(self, doc: Object, *, is_done: bool) -> None:
        item = object_(doc, "item") or {}
        key = count(doc, "output_index")
        kind, name = text(item, "type", "$.item"), text(item, "id", "$.item")
        found = self._by_id.get(name or "")
        if found is None and key is not None:
            found = self._by_key.get(key)
        if found is None or (not is_done and (found.is_done or not found.is_of(kind))):
            found = self._new(len(self._items) if key is None else key)
        if name:
            self._by_id[name] = found
        Output().add(item, "$.item")  # so that whatever is kept can be read
        found.state(item, is_done=is_done)

    def _item(self, doc: Object) -> GrowingItem:
        """The item that an event speaks of: by its place, else by its id, else the last one."""
        key = doc.get("output_index")
        found = self._by_key.get(key) if type(key) is int else None
        if found is not None:
            return found
        found = self._by_id.get(text(doc, "item_id") or "")
        if found is not None:
            return found
        place = count(doc, "output_index")
        if place is None and self._items:
            return self._items[-1]
        return self._new(len(self._items) if place is None else place)

    def _new(self, key: int) -> GrowingItem:
        item = self._by_key[key] = GrowingItem(key)
        self._items.append(item)
        return item


def _index(doc: Object) -> int:
    """Which of an item's texts an event speaks of; hosts with one text may leave it out."""
    key = "summary_index" if "summary_index" in doc else "content_index"
    return count(doc, key) or 0


def _is_blocked(response: Object, at: str) -> bool:
    """Whether a filter took words out, or put its own in (Azure: `content_filters`)."""
    filters = objects(response, "content_filters", at)
    return any(flag(found, "blocked", f"{at}.content_filters[]") for found in filters)


def _quotes(response: Object, at: str) -> bool | None:
    """Whether a filter of Azure's knows a text that the answer quotes; None where none looked."""
    found = [
        is_verbatim(each.get("content_filter_results"))
        for each in objects(response, "content_filters", at)
        if each.get("source_type") == "completion"
    ]
    stated = [one for one in found if one is not None]
    return any(stated) if stated else None


def _usage(stated: Object, at: str) -> Usage:
    asked = object_(stated, "input_tokens_details", at) or {}
    given = object_(stated, "output_tokens_details", at) or {}
    return Usage(
        input=count(stated, "input_tokens", at),
        output=count(stated, "output_tokens", at),
        total=count(stated, "total_tokens", at),
        cache_read=count(asked, "cached_tokens", f"{at}.input_tokens_details"),
        cache_write=count(asked, "cache_write_tokens", f"{at}.input_tokens_details"),
        reasoning=count(given, "reasoning_tokens", f"{at}.output_tokens_details"),
        raw=stated,
    )

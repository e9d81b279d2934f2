"""The answer of `anthropic.messages`: a whole message, or the events that build one.

A stream gives each content block a start, pieces and a stop; a JSON answer gives it whole, which
here is a start that says everything.
"""

from proxy.errors import WireError
from proxy.exchange import Choice, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, count, object_, objects, read_object, text
from proxy.wire.openai_error import error_of
from proxy.wire.sse import Event

__all__ = ["MessageAssembly"]

_WORDS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_SERVER_BLOCKS = frozenset(
    {
        "compaction",
        "container_upload",
        "fallback",
        "mcp_tool_listing",
        "mcp_tool_use",
        "server_tool_use",
    }
)
"""What the provider adds to a message, beside the results of its tools."""


class _Block:
    """One content block, growing."""

    def __init__(self, start: Object, at: str) -> None:
        self.kind = text(start, "type", at) or ""
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.id = text(start, "id", at)
        self.name = text(start, "name", at)
        self.has_citations = bool(objects(start, "citations", at))
        self._pieces: list[str] = []
        self._input = object_(start, "input", at) or {}
        if self.kind == "text":
            self.text.append(text(start, "text", at) or "")
        if self.kind == "thinking":
            self.reasoning.append(text(start, "thinking", at) or "")

    @property
    def is_server_tool(self) -> bool:
        return self.kind in _SERVER_BLOCKS or self.kind.endswith("_tool_result")

    @property
    def is_read(self) -> bool:
        return self.kind in _WORDS or self.is_server_tool

    def add(self, delta: Object, at: str) -> bool:
        """Add a piece; false where its kind is unknown."""
        match delta.get("type"):
            case "text_delta":
                self.text.append(text(delta, "text", at) or "")
            case "thinking_delta":
                self.reasoning.append(text(delta, "thinking", at) or "")
            case "input_json_delta":
                self._pieces.append(text(delta, "partial_json", at) or "")
            case "citations_delta":
                self.has_citations = True
            case "signature_delta" | "compaction_delta":
                pass  # the provider's own mark on its reasoning; its summary of what went before
            case _:
                return False
        return True

    @property
    def arguments(self) -> str:
        """The raw text of the pieces, which may be cut JSON; else the whole input as text."""
        return "".join(self._pieces) or compact(self._input)


class MessageAssembly:
    """Puts one Messages answer together: always one choice."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.served_by: str | None = None
        """Who ran the model, where a router names its upstream."""
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._blocks: dict[int, _Block] = {}
        self._stop_reason: str | None = None
        self._stop_details: Object = {}
        self._usage: Usage | None = None
        self._has_message = False
        self._is_stopped = False

    @property
    def is_terminal(self) -> bool:
        """Whether `message_stop` was read."""
        return self._is_stopped

    @property
    def is_finished(self) -> bool:
        """Never: this format always ends in `message_stop`."""
        return False

    def event(self, event: Event) -> None:
        """Take one event of a stream; unknown kinds say nothing of the message.

        Raises:
            WireError: it is no event of a message, or not in its place.
        """
        doc = read_object(event.data, of="an event of the stream")
        match text(doc, "type"):
            case "message_start":
                self._start(_needed(doc, "message"), "$.message")
            case "content_block_start":
                self._open(_index(doc), _needed(doc, "content_block"), "$.content_block")
            case "content_block_delta":
                self._add(_index(doc), _needed(doc, "delta"))
            case "message_delta":
                self._change(doc)
            case "message_stop":
                self._stop()
            case "error":
                self.error = error_of(doc)
            case "ping" | "content_block_stop":
                pass
            case _:
                self.problem = "unread-part"

    def document(self, doc: Object) -> None:
        """Take the whole message, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if doc.get("type") == "message":
            self._start(doc, "$")
            if self._stop_reason is None:
                self.problem = self.problem or "not-an-answer"  # nothing says that it has ended
            return
        error = error_of(doc)
        if doc.get("type") == "error" or error.message is not None:
            self.error = error
        else:
            self.problem = "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The message so far as one choice; none before it began."""
        if not self._has_message:
            return ()
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        return (
            Choice(
                index=0,
                text="".join(piece for block in blocks for piece in block.text),
                reasoning="".join(piece for block in blocks for piece in block.reasoning),
                refusal=self._refusal(),
                finish_reason=self._stop_reason,
                tool_calls=tuple(
                    ToolCall(id=block.id, name=block.name, arguments=block.arguments)
                    for block in blocks
                    if block.kind == "tool_use"
                ),
                server_tools=tuple(block.kind for block in blocks if block.is_server_tool),
                is_models_own=self._stop_reason != "refusal",
                has_citations=any(block.has_citations for block in blocks),
            ),
        )

    def usage(self) -> Usage | None:
        """The usage as it was last stated: counts of a stream are cumulative."""
        return self._usage

    def _refusal(self) -> str | None:
        if self._stop_reason != "refusal":
            return None
        explanation = self._stop_details.get("explanation")
        return explanation if isinstance(explanation, str) else ""

    def _start(self, message: Object, at: str) -> None:
        if self._has_message:
            raise _out_of_order("a second `message_start`")
        self._has_message = True
        self.model = text(message, "model", at) or None
        upstream = message.get("provider")
        self.served_by = upstream if isinstance(upstream, str) and upstream else None
        self.response_id = text(message, "id", at)
        for index, block in enumerate(objects(message, "content", at)):
            self._open(index, block, f"{at}.content[{index}]")
        self._conclude(message, at)
        self._count(object_(message, "usage", at) or {})

    def _open(self, index: int, block: Object, at: str) -> None:
        if index in self._blocks or not self._has_message:
            raise _out_of_order(f"`content_block_start` of block {index}")
        self._blocks[index] = opened = _Block(block, at)
        if opened.kind == "fallback":
            self.problem = "model-changed"  # another model spoke before this block
        elif not opened.is_read:
            self.problem = "unread-part"

    def _add(self, index: int, delta: Object) -> None:
        block = self._blocks.get(index)
        if block is None:
            raise _out_of_order(f"`content_block_delta` of block {index}")
        if not block.add(delta, "$.delta"):
            self.problem = "unread-part"

    def _change(self, doc: Object) -> None:
        self._conclude(object_(doc, "delta") or {}, "$.delta")
        self._count(object_(doc, "usage") or {})

    def _conclude(self, said: Object, at: str) -> None:
        self._stop_reason = text(said, "stop_reason", at) or self._stop_reason
        self._stop_details = object_(said, "stop_details", at) or self._stop_details

    def _count(self, stated: Object) -> None:
        before = self._usage.raw if self._usage is not None else {}
        kept = before if isinstance(before, dict) else {}
        new = {key: value for key, value in stated.items() if value is not None or key not in kept}
        if kept or new:
            self._usage = _usage({**kept, **new})

    def _stop(self) -> None:
        if not self._has_message:
            raise _out_of_order("`message_stop`")
        self._is_stopped = True
        if self._stop_reason is None:
            self.problem = self.problem or "not-an-answer"


def _usage(stated: Object) -> Usage:
    at = "$.usage"
    details = object_(stated, "output_tokens_details", at) or {}
    return Usage(
        input=count(stated, "input_tokens", at),
        output=count(stated, "output_tokens", at),
        cache_read=count(stated, "cache_read_input_tokens", at),
        cache_write=count(stated, "cache_creation_input_tokens", at),
        reasoning=count(details, "thinking_tokens", f"{at}.output_tokens_details"),
        raw=stated,
    )


def _needed(doc: Object, key: str) -> Object:
    found = object_(doc, key)
    if found is None:
        raise WireError(f"an event has no `{key}`", code="wrong-type", where=f"$.{key}")
    return found


def _index(doc: Object) -> int:
    index = count(doc, "index")
    if index is None:
        raise WireError("an event has no `index`", code="wrong-type", where="$.index")
    return index


def _out_of_order(what: str) -> WireError:
    return WireError(f"{what} is out of its place in the stream", code="out-of-order")

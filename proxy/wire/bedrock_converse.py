"""`bedrock.converse`: one shape of request and answer for every model (AWS API reference, Converse)."""

from dataclasses import replace

from proxy.errors import WireError
from proxy.exchange import Choice, Json, Message, Request, TeacherError, ToolCall, Usage
from proxy.wire.document import (
    Object,
    compact,
    count,
    number,
    object_,
    objects,
    read_object,
    text,
)
from proxy.wire.eventstream import EXCEPTION
from proxy.wire.prompt import entries_of, role_of
from proxy.wire.sse import Event

__all__ = ["ConverseAssembly", "read_converse", "said_wrong"]

_GUARDED = frozenset({"guardrail_intervened", "content_filtered"})
_SERVER_TOOL = "server_tool_use"
_SILENT = frozenset({"cachePoint", "guardContent", "redactedContent", "signature"})


def read_converse(body: bytes, blank: Request) -> Request:
    """What a Converse body asks; the path has said of which model.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    doc = read_object(body, of="the request body")
    entries = entries_of(doc)
    system = "".join(text(part, "text", "$.system[]") or "" for part in objects(doc, "system"))
    limits = object_(doc, "inferenceConfig") or {}
    tools = objects(object_(doc, "toolConfig") or {}, "tools", "$.toolConfig")
    return replace(
        blank,
        messages=(
            *((Message(role="system", text=system),) if system else ()),
            *(message for n, entry in enumerate(entries) for message in _messages(entry, n)),
        ),
        tools=[*tools] or None,
        max_tokens=count(limits, "maxTokens", "$.inferenceConfig"),
        temperature=number(limits, "temperature", "$.inferenceConfig"),
        has_system=bool(system),
        has_images=any("image" in part for entry in entries for part in objects(entry, "content")),
    )


def _messages(entry: Object, position: int) -> list[Message]:
    """A turn, and before it one message for each result of a tool that it brings."""
    at = f"$.messages[{position}]"
    role = role_of(entry, at)
    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    has_others = False
    for part in objects(entry, "content", at):
        if "text" in part:
            texts.append(text(part, "text", f"{at}.content[]") or "")
        elif "toolUse" in part:
            calls.append(_tool_use(object_(part, "toolUse", at) or {}, at))
        elif "toolResult" in part:
            results.append(_result(object_(part, "toolResult", at) or {}, at))
        elif not _SILENT & part.keys():
            has_others = True
    if not (texts or calls or has_others):
        return results
    turn = Message(
        role=role, text="".join(texts), tool_calls=tuple(calls), has_other_parts=has_others
    )
    return [*results, turn]


def _tool_use(said: Object, at: str) -> ToolCall:
    return ToolCall(
        id=text(said, "toolUseId", at),
        name=text(said, "name", at),
        arguments=compact(said.get("input") or {}),
    )


def _result(said: Object, at: str) -> Message:
    parts = objects(said, "content", at)
    texts = [
        text(part, "text", at) or "" if "text" in part else compact(part["json"])
        for part in parts
        if "text" in part or "json" in part
    ]
    return Message(
        role="tool",
        text="".join(texts),
        tool_call_id=text(said, "toolUseId", at),
        has_other_parts=len(texts) < len(parts),
    )


class _Block:
    """One content block, growing."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.tool: Object | None = None
        self.server_tool: str | None = None
        """The kind, where Amazon's host ran a tool itself or gives the result of one."""
        self.pieces: list[str] = []
        self.has_citations = False

    def add(self, part: Object, at: str) -> bool:
        """Add a part, or a piece of one; false where its kind is unknown."""
        if "text" in part:
            self.text.append(text(part, "text", at) or "")
        elif "reasoningContent" in part:
            self._reason(object_(part, "reasoningContent", at) or {}, at)
        elif "toolUse" in part:
            self._use(object_(part, "toolUse", at) or {}, at)
        elif "toolResult" in part:
            self._take_result(part.get("toolResult"), at)
        elif "citation" in part:
            self.has_citations = True
        elif "citationsContent" in part:
            self.has_citations = True
            cited = object_(part, "citationsContent", at) or {}
            self.text += [text(one, "text", at) or "" for one in objects(cited, "content", at)]
        else:
            return bool(_SILENT & part.keys()) or not part
        return True

    def _reason(self, said: Object, at: str) -> None:
        whole = object_(said, "reasoningText", at) or said
        self.reasoning.append(text(whole, "text", at) or "")

    def _use(self, said: Object, at: str) -> None:
        name = text(said, "name", at)
        text(said, "toolUseId", at)  # so that the call can be read later
        self.tool = {**(self.tool or {}), **{k: v for k, v in said.items() if k != "input"}}
        given = said.get("input")
        if isinstance(given, str):
            self.pieces.append(given)
        elif given is not None:
            self.pieces.append(compact(given))
        elif name is None and "toolUseId" not in said:
            raise WireError("a piece of a tool call says nothing", code="wrong-type", where=at)
        if self.tool.get("type") == _SERVER_TOOL:
            self.server_tool = _SERVER_TOOL

    def _take_result(self, said: Json, at: str) -> None:
        """Take the result of a tool that the host ran; in a stream its pieces are lists."""
        if isinstance(said, dict):
            self.server_tool = text(said, "type", at) or "toolResult"
        elif not isinstance(said, list) or self.server_tool is None:
            raise WireError("a tool's result belongs to nothing", code="wrong-type", where=at)

    def call(self) -> ToolCall | None:
        if self.tool is None or self.server_tool is not None:
            return None
        return ToolCall(
            id=text(self.tool, "toolUseId"),
            name=text(self.tool, "name"),
            arguments="".join(self.pieces) or "{}",
        )


class ConverseAssembly:
    """Puts one Converse answer together: always one choice. Who served it never says."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._blocks: dict[int, _Block] = {}
        self._has_message = False
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._has_metadata = False

    @property
    def is_terminal(self) -> bool:
        """Whether `metadata` was shown: it is the last event."""
        return self._has_metadata and self._reason is not None

    @property
    def is_finished(self) -> bool:
        """Whether `messageStop` was shown: the counts may be left out."""
        return self._reason is not None

    def event(self, event: Event) -> None:
        """Take one event of a stream.

        Raises:
            WireError: it is no event of an answer.
        """
        if event.event.startswith(EXCEPTION):
            self.error = said_wrong(event)
            return
        self.take(event.event, read_object(event.data, of="an event of the stream"))

    def take(self, kind: str, doc: Object) -> None:
        """Take an event of this kind; unknown kinds say nothing that could be admitted."""
        match kind:
            case "messageStart":
                self._has_message = True
            case "contentBlockStart":
                self._add(doc, object_(doc, "start") or {})
            case "contentBlockDelta":
                self._add(doc, object_(doc, "delta") or {})
            case "messageStop":
                self._reason = text(doc, "stopReason")
            case "metadata":
                self._has_metadata = True
                self._usage = _usage(object_(doc, "usage"))
            case "contentBlockStop":
                pass
            case _:
                self.problem = "unread-part"

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        output = object_(doc, "output")
        if output is None:
            message = doc.get("message") or doc.get("Message")
            if isinstance(message, str):
                self.error = TeacherError(message=message)
            else:
                self.problem = "not-an-answer"
            return
        message_ = object_(output, "message", "$.output") or {}
        self._has_message = True
        for index, part in enumerate(objects(message_, "content", "$.output.message")):
            self._put(index, part, f"$.output.message.content[{index}]")
        self._reason = text(doc, "stopReason")
        if self._reason is None:
            self.problem = self.problem or "not-an-answer"  # nothing says that it has ended
        self._usage = _usage(object_(doc, "usage"))

    def choices(self) -> tuple[Choice, ...]:
        """The message so far as one choice; none before it began."""
        if not (self._has_message or self._blocks):
            return ()
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        calls = [call for block in blocks if (call := block.call()) is not None]
        return (
            Choice(
                index=0,
                text="".join(piece for block in blocks for piece in block.text),
                reasoning="".join(piece for block in blocks for piece in block.reasoning),
                finish_reason=self._reason,
                tool_calls=tuple(calls),
                server_tools=tuple(b.server_tool for b in blocks if b.server_tool is not None),
                is_models_own=self._reason not in _GUARDED,
                has_citations=any(block.has_citations for block in blocks),
            ),
        )

    def usage(self) -> Usage | None:
        """The counts as they were stated."""
        return self._usage

    def _add(self, doc: Object, part: Object) -> None:
        self._put(count(doc, "contentBlockIndex") or 0, part, "$.delta")

    def _put(self, index: int, part: Object, at: str) -> None:
        if not self._blocks.setdefault(index, _Block()).add(part, at):
            self.problem = "unread-part"


def said_wrong(event: Event) -> TeacherError:
    """The error that an exception in a stream tells."""
    try:
        said = read_object(event.data, of="an exception of the stream")
    except WireError:
        said = {"message": event.data}
    message = said.get("message") or said.get("Message")
    kind = event.event.removeprefix(EXCEPTION)
    return TeacherError(type=kind, message=message if isinstance(message, str) else None)


def _usage(stated: Object | None) -> Usage | None:
    if not stated:
        return None
    at = "$.usage"
    return Usage(
        input=count(stated, "inputTokens", at),
        output=count(stated, "outputTokens", at),
        total=count(stated, "totalTokens", at),
        cache_read=_either(stated, "cacheReadInputTokens", at),
        cache_write=_either(stated, "cacheWriteInputTokens", at),
        raw=stated,
    )


def _either(stated: Object, name: str, at: str) -> int | None:
    """A count of cached tokens, which Nova's own bodies name `…TokenCount`."""
    found = count(stated, name, at)
    return count(stated, f"{name.removesuffix('s')}Count", at) if found is None else found

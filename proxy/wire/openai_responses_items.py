"""Items of an answer of `openai.responses`: read whole, or grown from the pieces of a stream.

An item that grew is written as the item it would have been, so that both are read the same way.
"""

from proxy.exchange import Choice, Json, ToolCall
from proxy.wire.document import Object, objects, text
from proxy.wire.openai_responses_request import TEXT_PARTS, call_of
from proxy.wire.prompt import content_parts

__all__ = ["GrowingItem", "Output"]

_KIND_OF_PIECE = {
    "text": "message",
    "refusal": "message",
    "summary": "reasoning",
    "content": "reasoning",
    "arguments": "function_call",
    "input": "custom_tool_call",
}
_TOOL_KINDS = frozenset(
    {
        "additional_tools",
        "compaction",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "program",
    }
)


def _is_tool(kind: str) -> bool:
    """Whether an item is something done beside speaking, such as a `web_search_call`.

    Hosts that add tools of their own put a name before a colon.
    """
    return kind in _TOOL_KINDS or kind.endswith(("_call", "_output")) or ":" in kind


class Output:
    """What the items of one answer say, in their order."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.logprobs: list[Json] = []
        self.has_unread = False
        """Whether something of the model was seen that is no kind of text known here."""
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[ToolCall] = []
        self._tools: list[str] = []
        self._has_citations = False

    def add(self, item: Object, at: str) -> None:
        """Add one item.

        Raises:
            WireError: a field of it has the wrong type.
        """
        kind = text(item, "type", at) or ""
        match kind:
            case "message":
                self.has_unread |= item.get("role") not in (None, "assistant")
                for part in content_parts(item, "content", at):
                    self._add_part(part, f"{at}.content[]")
            case "reasoning":
                for key in ("summary", "content"):
                    for part in content_parts(item, key, at):
                        self._reasoning.append(text(part, "text", f"{at}.{key}[]") or "")
            case "function_call" | "custom_tool_call":
                self._calls.append(call_of(item, at))
            case _:
                if kind:
                    self._tools.append(kind)
                self.has_unread |= not _is_tool(kind)

    def _add_part(self, part: Object, at: str) -> None:
        match part.get("type"):
            case str(kind) if kind in TEXT_PARTS:
                self.texts.append(text(part, "text", at) or "")
                self.logprobs += objects(part, "logprobs", at)
                self._has_citations |= bool(objects(part, "annotations", at))
            case "refusal":
                self._refusal.append(text(part, "refusal", at) or "")
            case "reasoning_text" | "summary_text":
                self._reasoning.append(text(part, "text", at) or "")
            case _:
                self.has_unread = True

    def choice(self, finish_reason: str | None, *, is_models_own: bool) -> Choice:
        """The items as one choice: this format knows no others."""
        return Choice(
            index=0,
            text="".join(self.texts),
            reasoning="".join(self._reasoning),
            refusal="".join(self._refusal) if self._refusal else None,
            finish_reason=finish_reason,
            tool_calls=tuple(self._calls),
            server_tools=tuple(self._tools),
            logprobs=self.logprobs or None,
            is_models_own=is_models_own,
            has_citations=self._has_citations,
        )


class _Piece:
    """One text of an item, growing: pieces, or the whole that ends them."""

    __slots__ = ("has_citations", "logprobs", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.logprobs: list[Json] = []
        self.has_citations = False

    def part(self, family: str) -> Object:
        joined = "".join(self.texts)
        match family:
            case "refusal":
                return {"type": "refusal", "refusal": joined}
            case "text":
                marks: list[Json] = [{}] if self.has_citations else []
                return {
                    "type": "output_text",
                    "text": joined,
                    "logprobs": self.logprobs,
                    "annotations": marks,
                }
        return {"type": "text", "text": joined}


class GrowingItem:
    """One item of a stream, growing; `key` is its place in the output."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.is_done = False
        self._stated: Object = {}
        self._pieces: dict[tuple[str, int], _Piece] = {}

    def state(self, item: Object, *, is_done: bool) -> None:
        """Take the item as it is stated, first as it begins and then as it ended."""
        self._stated = item
        self.is_done = is_done

    def is_of(self, kind: str | None) -> bool:
        """Whether this item was stated to be of a kind, or not stated at all."""
        return self._stated.get("type") in (None, kind)

    def add(self, family: str, index: int, piece: str, logprobs: list[Object]) -> None:
        """Add a piece to one of the item's texts."""
        grown = self._grown(family, index)
        grown.texts.append(piece)
        grown.logprobs += logprobs

    def end(self, family: str, index: int, whole: str, logprobs: list[Object]) -> None:
        """Take one of the item's texts as it is stated at its end."""
        grown = self._grown(family, index)
        grown.texts = [whole]
        grown.logprobs = [*logprobs] or grown.logprobs

    def cite(self, index: int) -> None:
        """Note that a text of the item cites something."""
        self._grown("text", index).has_citations = True

    def _grown(self, family: str, index: int) -> _Piece:
        key = (family, index)
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = _Piece()
        return found

    @property
    def spoken(self) -> str:
        """The visible text that came in pieces."""
        return "".join(
            piece
            for (family, _), grown in sorted(self._pieces.items(), key=lambda pair: pair[0][1])
            if family == "text"
            for piece in grown.texts
        )

    @property
    def logprobs(self) -> list[Json]:
        """The log-probabilities that came in pieces."""
        return [entry for grown in self._pieces.values() for entry in grown.logprobs]

    def whole(self) -> Object:
        """The item: as it was stated at its end, else what its pieces make of it."""
        if self.is_done or not self._pieces:
            return self._stated
        kind = next(_KIND_OF_PIECE[family] for family, _ in self._pieces)
        item: Object = {"type": kind, **self._stated}
        parts: dict[str, list[Json]] = {}
        for (family, _), grown in sorted(self._pieces.items(), key=lambda pair: pair[0][1]):
            if family in {"arguments", "input"}:
                item[family] = "".join(grown.texts)
            else:
                key = "summary" if family == "summary" else "content"
                parts.setdefault(key, []).append(grown.part(family))
        return {**item, **parts}

"""The answer of `gemini.interactions`: a whole interaction, or the events that build its steps.

The event that closes a stream leaves the steps out (Interactions API reference, streaming): what came in
pieces is all there is. The first published revision said `outputs` and `content.*` for steps; hosts that
still do are read as well.
"""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.exchange import Choice, Json, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, count, object_, objects, read_object, text
from proxy.wire.gemini_answer import google_error
from proxy.wire.gemini_framing import END
from proxy.wire.prompt import content_parts
from proxy.wire.sse import Event

__all__ = ["InteractionAssembly"]

_OLD: Mapping[str, str] = MappingProxyType(
    {
        "interaction.start": "interaction.created",
        "interaction.complete": "interaction.completed",
        "content.start": "step.start",
        "content.delta": "step.delta",
        "content.stop": "step.stop",
    }
)
"""Names of the first revision, and what they are called since."""

_OVER = frozenset({"completed", "incomplete", "requires_action"})
"""What an interaction says of itself once the model has said what it will say in this turn."""

_ECHOES = frozenset({"user_input", "function_result"})
"""Steps that the client gave."""


class _Step:
    """One step, growing."""

    def __init__(self, start: Object, at: str) -> None:
        self.kind = text(start, "type", at) or ""
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.has_citations = False
        self.has_unread = False
        self._id = text(start, "id", at) or None
        self._name = text(start, "name", at) or None
        self._arguments: Json = start.get("arguments")
        self._pieces: list[str] = []
        self._begin(start, at)

    @property
    def is_tool(self) -> bool:
        """Whether Google did something, such as a search."""
        is_clients = self.kind == "function_call" or self.kind in _ECHOES
        return not is_clients and self.kind.endswith(("_call", "_result"))

    def _begin(self, start: Object, at: str) -> None:
        match self.kind:
            case "text":
                self._say(start, at)
            case "model_output":
                for part in content_parts(start, "content", at):
                    self._say(part, f"{at}.content[]")
            case "thought":
                for part in content_parts(start, "summary", at):
                    self._think(part, f"{at}.summary[]")
            case _:
                is_known = self.kind == "function_call" or self.kind in _ECHOES or self.is_tool
                self.has_unread = not is_known

    def _say(self, part: Object, at: str) -> None:
        self.has_unread |= part.get("type") != "text"
        self.text.append(text(part, "text", at) or "")
        self.has_citations |= bool(part.get("annotations"))

    def _think(self, part: Object, at: str) -> None:
        self.has_unread |= part.get("type") != "text"
        self.reasoning.append(text(part, "text", at) or "")

    def add(self, piece: Object, at: str) -> None:
        """Add a piece."""
        kind = text(piece, "type", at) or ""
        match kind:
            case "text":
                self._say(piece, at)
            case "thought_summary":
                self._think(object_(piece, "content", at) or {"type": "text"}, f"{at}.content")
            case "arguments_delta":
                self._pieces.append(text(piece, "arguments", at) or "")
            case "text_annotation_delta":
                self.has_citations |= bool(piece.get("annotations"))
            case "function_call":  # of the first revision: the whole call at once
                self._id = text(piece, "id", at) or self._id
                self._name = text(piece, "name", at) or self._name
                self._arguments = piece.get("arguments")
            case "thought_signature":
                pass  # the provider's own mark on its reasoning
            case _:
                self.has_unread |= not kind.endswith(("_call", "_result"))

    def call(self) -> ToolCall:
        """The call of a client's function: the raw text of its pieces, else the whole as text."""
        whole = self._arguments
        stated = whole if isinstance(whole, str) else compact(whole or {})
        return ToolCall(id=self._id, name=self._name, arguments="".join(self._pieces) or stated)


class InteractionAssembly:
    """Puts one interaction together: always one choice."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._steps: dict[int, _Step] = {}
        self._status: str | None = None
        self._usage: Usage | None = None
        self._has_answer = False
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
        """Whether the interaction says that it is complete, or that it is the client's turn."""
        return self._status in _OVER

    def event(self, event: Event) -> None:
        """Take one event of a stream; its kind is told by the JSON, else by the line before it.

        Raises:
            WireError: it is no event of an interaction.
        """
        if event == END or event.data.startswith("[DONE]"):
            return
        doc = read_object(event.data, of="an event of the stream")
        kind = text(doc, "event_type") or event.event
        kind = _OLD.get(kind, kind)
        match kind:
            case "step.delta":
                self._add(doc)
            case "step.start":
                self._start(doc)
            case "step.stop":
                pass
            case _:
                self._mark(kind, doc)

    def document(self, doc: Object) -> None:
        """Take the whole interaction, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if _is_interaction(doc):
            self._close(doc, "$")
        elif doc.get("error") is not None:
            self.error = google_error(doc)
        else:
            self.problem = "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The interaction so far as one choice; none before it began."""
        if not self._has_answer:
            return ()
        steps = [self._steps[key] for key in sorted(self._steps)]
        said = [step for step in steps if step.kind not in _ECHOES]
        return (
            Choice(
                index=0,
                text="".join(piece for step in said for piece in step.text),
                reasoning="".join(piece for step in said for piece in step.reasoning),
                finish_reason=self._status,
                tool_calls=tuple(step.call() for step in said if step.kind == "function_call"),
                server_tools=tuple(step.kind for step in said if step.is_tool),
                has_citations=any(step.has_citations for step in said),
            ),
        )

    def usage(self) -> Usage | None:
        """The usage the interaction states, which is at its end."""
        return self._usage

    def _mark(self, kind: str, doc: Object) -> None:
        """Take an event that speaks of the interaction and of none of its steps."""
        match kind:
            case "interaction.created":
                self._identify(object_(doc, "interaction") or {}, "$.interaction")
            case "interaction.status_update":
                self._status = text(doc, "status") or self._status
            case "interaction.completed":
                self._close(object_(doc, "interaction") or {}, "$.interaction")
            case _ if doc.get("error") is not None or kind == "error":
                self.error = google_error({"error": {}, **doc})
            case "" if _is_interaction(doc):  # one object where events were asked for
                self._close(doc, "$")
            case _:
                self.problem = "unread-part"

    def _identify(self, interaction: Object, at: str) -> None:
        self._has_answer = True
        self.model = text(interaction, "model", at) or text(interaction, "agent", at) or self.model
        self.response_id = text(interaction, "id", at) or self.response_id
        self._status = text(interaction, "status", at) or self._status
        stated = object_(interaction, "usage", at)
        if stated:
            self._usage = _usage(stated, f"{at}.usage")

    def _start(self, doc: Object) -> None:
        key = "step" if "step" in doc else "content"
        self._open(_index(doc), object_(doc, key) or {}, f"$.{key}")

    def _open(self, index: int, start: Object, at: str) -> None:
        if index in self._steps:
            self.problem = "out-of-order"
        self._has_answer = True
        self._steps[index] = opened = _Step(start, at)
        if opened.has_unread:
            self.problem = "unread-part"

    def _add(self, doc: Object) -> None:
        step = self._steps.get(_index(doc))
        if step is None:  # a stream that was taken up again after its beginning
            self.problem = "missing-beginning"
            step = self._steps[_index(doc)] = _Step({"type": "model_output"}, "$.delta")
            self._has_answer = True
        step.add(object_(doc, "delta") or {}, "$.delta")
        if step.has_unread:
            self.problem = "unread-part"

    def _close(self, interaction: Object, at: str) -> None:
        key = "steps" if "steps" in interaction else "outputs"
        stated = objects(interaction, key, at)
        spoken = [piece for each in self._steps.values() for piece in each.text]
        self._identify(interaction, at)
        if stated:  # the whole again: whoever read along saw the pieces
            self._steps.clear()
            for position, step in enumerate(stated):
                self._open(position, step, f"{at}.{key}[{position}]")
            whole = [piece for each in self._steps.values() for piece in each.text]
            if spoken and "".join(spoken) != "".join(whole):
                self.problem = "text-changed"
        if interaction.get("error") is not None:
            self.error = google_error(interaction)
        self._is_closed = True


def _is_interaction(doc: Object) -> bool:
    has_steps = isinstance(doc.get("steps"), list) or isinstance(doc.get("outputs"), list)
    return has_steps or doc.get("object") == "interaction"


def _index(doc: Object) -> int:
    return count(doc, "index") or 0


def _usage(stated: Object, at: str) -> Usage:
    return Usage(
        input=count(stated, "total_input_tokens", at),
        output=count(stated, "total_output_tokens", at),
        total=count(stated, "total_tokens", at),
        cache_read=count(stated, "total_cached_tokens", at),
        reasoning=count(stated, "total_thought_tokens", at),
        raw=stated,
    )

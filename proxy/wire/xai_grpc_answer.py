"""The answers of `xai.grpc`: whole responses, their chunks, and responses that were deferred.

`outputs` are the steps of one turn (the model, a tool of the provider, the model again) and become
one choice, unless alternatives were asked for. Numbers of fields: see `xai_grpc_request`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.exchange import Choice, Json, ToolCall, Usage
from proxy.wire.protobuf import Fields
from proxy.wire.xai_grpc_request import CLIENT_TOOL_TYPES, ROLES, tool_call

__all__ = ["CompletionAssembly"]

_FINISHES: Mapping[int, str] = MappingProxyType(
    {
        1: "REASON_MAX_LEN",
        2: "REASON_MAX_CONTEXT",
        3: "REASON_STOP",
        4: "REASON_TOOL_CALLS",
        5: "REASON_TIME_LIMIT",
    }
)
_SERVER_TOOLS: Mapping[int, str] = MappingProxyType(
    {
        2: "web_search",
        3: "x_search",
        4: "code_execution",
        5: "collections_search",
        6: "mcp",
        7: "attachment_search",
        10: "image_generation",
    }
)
"""`ToolCallType` of calls that the provider runs itself."""

_MESSAGE_FIELDS = frozenset({1, 2, 3, 4, 5, 6})
_DONE, _EXPIRED, _PENDING, _FAILED = 1, 2, 3, 4
_NOT_DONE = MappingProxyType({_EXPIRED: "deferred-expired", _FAILED: "deferred-failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a whole response, or a chunk of one, has its fields."""

    model: int
    usage: int
    citations: int
    message: int
    logprobs: int
    finish: int
    index: int


_WHOLE = _Layout(model=6, usage=9, citations=10, message=3, logprobs=4, finish=1, index=2)
_CHUNK = _Layout(model=4, usage=6, citations=7, message=1, logprobs=2, finish=3, index=4)


@dataclass(slots=True)
class _Step:
    """One output, as far as it was told."""

    index: int
    role: int = 0
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    server_tools: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)
    finish: str | None = None
    has_citations: bool = False

    @property
    def is_models(self) -> bool:
        """Whether the model speaks, and not a tool of the provider."""
        return ROLES.get(self.role) == "assistant"


class CompletionAssembly:
    """Puts an answer together from the messages that it is shown."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.problem: str | None = None
        self.is_over = True
        """False where the provider says that the answer is still to come, or will not."""
        self._steps: list[_Step] = []
        self._usage: Usage | None = None
        self._has_citations = False

    def whole(self, fields: Fields) -> None:
        """Take a `GetChatCompletionResponse`."""
        self._take_head(fields, _WHOLE)
        for output in fields.messages(2):
            step = _Step(output.integer(_WHOLE.index))
            self._steps.append(step)
            self._take_output(step, output, _WHOLE)

    def chunk(self, fields: Fields) -> None:
        """Take a `GetChatCompletionChunk`: its texts are pieces, its usage is all there was."""
        self._take_head(fields, _CHUNK)
        for output in fields.messages(2):
            self._take_output(self._step(output.integer(_CHUNK.index)), output, _CHUNK)

    def deferred(self, fields: Fields) -> None:
        """Take a `GetDeferredCompletionResponse`."""
        status, response = fields.integer(2), fields.message(1)
        self.is_over = status == _DONE
        if status in _NOT_DONE:
            self.problem = _NOT_DONE[status]
        elif status not in {_DONE, _PENDING} or (status == _DONE) is (response is None):
            self.problem = "not-an-answer"
        if response is not None:
            self.whole(response)

    def started(self, fields: Fields) -> None:
        """Take a `StartDeferredResponse`: it names the answer that is to come."""
        self.is_over = False
        self.response_id = fields.text(1) or None

    def _take_head(self, fields: Fields, layout: _Layout) -> None:
        self.response_id = fields.text(1) or self.response_id
        model = fields.text(layout.model) or self.model
        if self.model is not None and model != self.model:
            self.problem = "model-changed"  # who said which words is unknown
        self.model = model
        usage = fields.message(layout.usage)
        if usage is not None:
            self._usage = _usage(usage)
        self._has_citations = self._has_citations or fields.has(layout.citations)

    def _step(self, index: int) -> _Step:
        found = next((step for step in self._steps if step.index == index), None)
        if found is None:
            found = _Step(index)
            self._steps.append(found)
        return found

    def _take_output(self, step: _Step, output: Fields, layout: _Layout) -> None:
        step.finish = _finish(output.integer(layout.finish)) or step.finish
        logprobs = output.message(layout.logprobs)
        if logprobs is not None:
            step.logprobs += [_logprob(each) for each in logprobs.messages(1)]
        message = output.message(layout.message)
        if message is None:
            return
        if message.numbers() - _MESSAGE_FIELDS:
            self.problem = "unread-part"
        step.role = message.integer(2) or step.role
        step.text.append(message.text(1))
        step.reasoning.append(message.text(4))
        step.has_citations = step.has_citations or message.has(6)
        for call in message.messages(3):
            self._take_call(step, call)

    def _take_call(self, step: _Step, call: Fields) -> None:
        kind = call.integer(2)
        if kind in CLIENT_TOOL_TYPES and call.has(10):
            step.calls.append(tool_call(call))
        elif kind in _SERVER_TOOLS:
            step.server_tools.append(_SERVER_TOOLS[kind])
        else:
            self.problem = "unread-part"

    def choices(self, n: int) -> tuple[Choice, ...]:
        """The turn as one choice; where `n` alternatives were asked for, each of them."""
        spoken = [step for step in self._steps if step.is_models]
        if not spoken:
            return ()
        if n > 1:
            return tuple(self._choice([step], step.index) for step in spoken)
        return (self._choice(spoken, spoken[0].index),)

    def _choice(self, steps: list[_Step], index: int) -> Choice:
        logprobs: list[Json] = [each for step in steps for each in step.logprobs]
        return Choice(
            index=index,
            text="".join(piece for step in steps for piece in step.text),
            reasoning="".join(piece for step in steps for piece in step.reasoning),
            finish_reason=steps[-1].finish,
            tool_calls=tuple(call for step in steps for call in step.calls),
            server_tools=tuple(dict.fromkeys(t for step in steps for t in step.server_tools)),
            logprobs=logprobs or None,
            has_citations=self._has_citations or any(step.has_citations for step in steps),
        )

    def usage(self) -> Usage | None:
        """The usage as it was last stated."""
        return self._usage

    @property
    def is_told(self) -> bool:
        """Whether every step that was begun says who speaks, and the last why it ended."""
        spoken = [step for step in self._steps if step.is_models]
        is_known = all(step.role in ROLES for step in self._steps)
        return is_known and bool(spoken) and spoken[-1].finish is not None


def _finish(number: int) -> str | None:
    """The provider's own word; a reason that was added later keeps its number."""
    return _FINISHES.get(number, str(number)) if number else None


def _usage(usage: Fields) -> Usage:
    """`SamplingUsage`: what is left out of it is stated to be zero, as proto3 has it."""
    return Usage(
        input=usage.integer(2),
        output=usage.integer(1),
        total=usage.integer(3),
        cache_read=usage.integer(7),
        reasoning=usage.integer(6),
    )


def _logprob(entry: Fields) -> Json:
    top: list[Json] = [_token(each) for each in entry.messages(4)]
    return {**_token(entry), "top_logprobs": top}


def _token(entry: Fields) -> dict[str, Json]:
    return {
        "token": entry.text(1),
        "logprob": entry.decimal(2),
        "bytes": [*entry.data(3)],
    }

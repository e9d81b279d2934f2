"""What passed between a client and a teacher, whatever the wire format: values, no behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Answer",
    "Choice",
    "Exchange",
    "Headers",
    "Json",
    "Message",
    "Outcome",
    "Request",
    "RequestHead",
    "ResponseHead",
    "TeacherError",
    "ToolCall",
    "Usage",
]

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type Headers = tuple[tuple[str, str], ...]


class Outcome(StrEnum):
    """How a call ended (promise P2)."""

    COMPLETE = "complete"
    CLIENT_DISCONNECTED = "client_disconnected"
    UPSTREAM_FAILED = "upstream_failed"
    CUT = "cut"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


def _header(headers: Headers, name: str) -> str | None:
    for key, value in headers:
        if key == name:
            return value
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """A request before its body: `path` is canonical and has no query; header names are lower case.

    Headers here are those of the allow-list: credentials were taken out before (promise P4).
    """

    method: str
    path: str
    query: str = ""
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return _header(self.headers, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """A response before its body; header names are lower case."""

    status: int
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return _header(self.headers, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a client-side tool; `arguments` is the raw text, which may be cut JSON."""

    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the prompt: `text` is what a chat template can render.

    `has_other_parts` says that images, audio or files stood beside the text and are not in it.
    """

    role: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    has_other_parts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked, as far as the wire says."""

    wire_format: str
    operation: str
    model_asked: str | None
    is_streamed: bool
    messages: tuple[Message, ...] = ()
    tools: Json = None
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    wants_logprobs: bool = False
    bent_by: tuple[str, ...] = ()
    """Settings beside the temperature that bend what is sampled from, where the format reads them."""
    has_system: bool = False
    has_images: bool = False
    is_whole: bool = True
    """False where the prompt on the wire is not the whole prompt (state held by the provider)."""
    is_continued: bool = False
    """Whether all that is missing of the prompt is what went before `previous_response_id`."""
    previous_response_id: str | None = None
    """The answer that this request goes on from, where the provider holds it."""
    retries: int | None = None
    """How often the client's SDK had tried this call before; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One alternative of an answer; `finish_reason` is the provider's own word."""

    index: int
    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    server_tools: tuple[str, ...] = ()
    logprobs: Json = None
    """The provider's own list of token log-probabilities, verbatim; None where there is none."""
    is_models_own: bool = True
    """False where a guardrail or content filter replaced the model's words."""
    has_citations: bool = False
    is_verbatim: bool | None = None
    """Whether the provider recognised a text that is quoted word for word; None: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the provider states them: None is "did not say", never zero."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    raw: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherError:
    """An error in the provider's own words."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    retry_after_s: float | None = None
    """How long to wait before another try, in seconds, where the provider says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, as far as it was read.

    `is_complete` is true when the terminal frame of a stream, or the whole of a JSON body, was read
    without an error; `problem` says why an answer could not be read.
    """

    status: int
    model_served: str | None = None
    served_by: str | None = None
    """Who ran the model, in the words of a router that names its upstream."""
    response_id: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: TeacherError | None = None
    is_complete: bool = False
    incomplete_reason: str | None = None
    """Why an answer that is over is less than the model would have said, in the provider's word."""
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request to a teacher and its whole answer."""

    request: Request
    answer: Answer
    provider_request_id: str | None = field(default=None)
    """The provider's own id from a response header, for its support desk."""

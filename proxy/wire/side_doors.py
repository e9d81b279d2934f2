"""Operations beside asking a model for words, decided one by one: what is stored, uploaded or listed.

Teachers' words also come back by side doors: conversations and threads that the provider keeps, files
that its tools wrote. They are recorded as `unread-answer` and never admitted, not taken for silence.
What trains at the provider (fine-tuning, evals) or hands its keys on is in no table: it is refused.
"""

from dataclasses import replace

from proxy.exchange import Request
from proxy.wire.document import read_object, text
from proxy.wire.format import WireFormat
from proxy.wire.gemini_request import read_silent
from proxy.wire.plain import ModelCall, Plain

__all__ = [
    "ANTHROPIC_STORED",
    "GEMINI_STORED",
    "LISTINGS",
    "MISTRAL_OTHERS",
    "OPENAI_STORED",
    "STORED_CHATS",
]


def _doors(  # a name for the readings, then one operation at each method of the paths
    name: str, operation: str, methods: str, *suffixes: str, has_words: bool = False
) -> tuple[Plain, ...]:
    return tuple(
        Plain(operation, method=method, suffixes=suffixes, name=name, has_words=has_words)
        for method in methods.split()
    )


LISTINGS: tuple[WireFormat, ...] = (
    *_doors(
        "plain",
        "models",
        "GET",
        "/language-models",
        "/language-models/*",
        "/embedding-models",
        "/embedding-models/*",
        "/image-generation-models",
        "/image-generation-models/*",
        "/models/*/*/endpoints",
    ),
    *_doors("plain", "models", "DELETE", "/models/*"),
    *_doors("plain", "other", "GET", "/api-key", "/auth/key", "/credits", "/generation", "/key"),
    *_doors("plain", "other", "GET", "/providers", "/user/balance"),
    *_doors("plain", "count-tokens", "POST", "/tokenize-text", "/tokenizers/estimate-token-count"),
)
"""What hosts of chats list of their models, and of the account: xAI, OpenRouter, DeepSeek, Moonshot."""

STORED_CHATS: tuple[WireFormat, ...] = (
    *_doors("plain", "other", "GET", "/chat/completions", has_words=True),
    *_doors("plain", "other", "GET", "/chat/completions/*/messages"),
    *_doors("plain", "other", "DELETE", "/chat/completions/*"),
)
"""Stored chats beside the one that is read: their list, their prompts, their end."""

_OPENAI = "openai.stored"

OPENAI_STORED: tuple[WireFormat, ...] = (
    *_doors(_OPENAI, "other", "GET POST", "/conversations", "/conversations/*", has_words=True),
    *_doors(_OPENAI, "other", "GET POST", "/conversations/*/items", has_words=True),
    *_doors(_OPENAI, "other", "GET", "/conversations/*/items/*", has_words=True),
    *_doors(_OPENAI, "other", "DELETE", "/conversations/*", "/conversations/*/items/*"),
    *_doors(_OPENAI, "other", "GET POST", "/assistants", "/assistants/*"),
    *_doors(_OPENAI, "other", "GET POST", "/threads", "/threads/*"),
    *_doors(_OPENAI, "other", "DELETE", "/assistants/*", "/threads/*", "/threads/*/messages/*"),
    *_doors(
        _OPENAI,
        "other",
        "GET POST",
        "/threads/runs",
        "/threads/*/messages",
        "/threads/*/messages/*",
        "/threads/*/runs",
        "/threads/*/runs/*",
        "/threads/*/runs/*/cancel",
        "/threads/*/runs/*/steps",
        "/threads/*/runs/*/steps/*",
        "/threads/*/runs/*/submit_tool_outputs",
        has_words=True,
    ),
    *_doors(_OPENAI, "file", "GET POST", "/vector_stores", "/vector_stores/*"),
    *_doors(_OPENAI, "file", "GET POST", "/vector_stores/*/files", "/vector_stores/*/files/*"),
    *_doors(_OPENAI, "file", "GET", "/vector_stores/*/files/*/content", has_words=True),
    *_doors(_OPENAI, "other", "POST", "/vector_stores/*/search", has_words=True),
    *_doors(_OPENAI, "file", "GET POST", "/vector_stores/*/file_batches"),
    *_doors(_OPENAI, "file", "GET", "/vector_stores/*/file_batches/*"),
    *_doors(_OPENAI, "file", "DELETE", "/vector_stores/*", "/vector_stores/*/files/*"),
    *_doors(_OPENAI, "file", "GET POST", "/containers", "/containers/*/files"),
    *_doors(_OPENAI, "file", "GET DELETE", "/containers/*", "/containers/*/files/*"),
    *_doors(_OPENAI, "file", "GET", "/containers/*/files/*/content", has_words=True),
    ModelCall(_OPENAI, "other", suffixes=("/videos", "/videos/generations")),
    *_doors(_OPENAI, "other", "POST", "/videos/*/remix"),
    *_doors(_OPENAI, "other", "GET", "/videos", "/videos/*", "/videos/*/content"),
    *_doors(_OPENAI, "other", "DELETE", "/videos/*"),
)
"""What OpenAI and Azure keep: conversations, threads, stores of files, containers, films."""

_ANTHROPIC = "anthropic.stored"

ANTHROPIC_STORED: tuple[WireFormat, ...] = (
    *_doors(_ANTHROPIC, "file", "GET POST", "/v1/files"),
    *_doors(_ANTHROPIC, "file", "GET DELETE", "/v1/files/*"),
    *_doors(_ANTHROPIC, "file", "GET", "/v1/files/*/content", has_words=True),
    *_doors(_ANTHROPIC, "other", "GET POST", "/v1/skills", "/v1/skills/*/versions"),
    *_doors(_ANTHROPIC, "other", "GET DELETE", "/v1/skills/*", "/v1/skills/*/versions/*"),
    *_doors(_ANTHROPIC, "other", "GET POST", "/v1/agents", "/v1/agents/*"),
    *_doors(_ANTHROPIC, "other", "GET POST", "/v1/environments", "/v1/environments/*"),
    *_doors(_ANTHROPIC, "other", "GET POST", "/v1/sessions", "/v1/sessions/*", has_words=True),
    *_doors(_ANTHROPIC, "other", "GET POST", "/v1/sessions/*/events", has_words=True),
    *_doors(_ANTHROPIC, "other", "GET", "/v1/sessions/*/events/stream", has_words=True),
    *_doors(_ANTHROPIC, "other", "DELETE", "/v1/agents/*", "/v1/sessions/*"),
)
"""What Anthropic keeps: files, skills, and sessions in which agents speak."""

_GEMINI = "gemini.stored"


def _read_cached(body: bytes) -> Request:
    """What is cached: it leaves for the provider as any prompt does, and names its model."""
    blank = Request(wire_format=_GEMINI, operation="other", model_asked=None, is_streamed=False)
    named = text(read_object(body, of="the request body"), "model") or ""
    model = named.rpartition("/models/")[2].removeprefix("models/")
    return replace(read_silent(body, blank), model_asked=model or None)


GEMINI_STORED: tuple[WireFormat, ...] = (
    *_doors(_GEMINI, "other", "GET", "/cachedContents", "/cachedContents/*"),
    *_doors(_GEMINI, "other", "PATCH DELETE", "/cachedContents/*"),
    Plain("other", method="POST", suffixes=("/cachedContents",), name=_GEMINI, read=_read_cached),
    *_doors(_GEMINI, "file", "GET", "/files/*:download", has_words=True),
    *_doors(_GEMINI, "file", "GET POST", "/files", "/fileSearchStores"),
    *_doors(_GEMINI, "file", "GET DELETE", "/files/*", "/fileSearchStores/*"),
    *_doors(_GEMINI, "file", "POST", "/fileSearchStores/*"),
    *_doors(_GEMINI, "file", "GET DELETE", "/fileSearchStores/*/documents/*"),
    *_doors(_GEMINI, "file", "GET", "/fileSearchStores/*/documents"),
    *_doors(_GEMINI, "other", "GET", "/operations/*", has_words=True),
)
"""What Google keeps: cached prompts, files, stores of them, and operations that go on for long."""

MISTRAL_OTHERS: tuple[WireFormat, ...] = (
    ModelCall("plain", "other", suffixes=("/ocr",), has_words=True),
    ModelCall("plain", "other", suffixes=("/classifications",)),
    *_doors("plain", "other", "GET POST", "/agents", "/agents/*"),
    *_doors("plain", "other", "PATCH DELETE", "/agents/*"),
    *_doors("plain", "other", "GET", "/conversations", "/conversations/*"),
    *_doors("plain", "other", "DELETE", "/conversations/*"),
    *_doors("plain", "other", "GET", "/conversations/*/history", has_words=True),
    *_doors("plain", "other", "GET", "/conversations/*/messages", has_words=True),
)
"""What goes with Mistral's conversations: agents, what was said before, texts read from pictures."""

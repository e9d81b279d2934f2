"""Which wire formats there are, and which of them reads a request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from proxy.exchange import RequestHead
from proxy.wire.anthropic import AnthropicMessages
from proxy.wire.anthropic_request import read_count_tokens
from proxy.wire.format import WireFormat
from proxy.wire.ollama import Ollama
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.plain import Plain

__all__ = ["FORMATS", "format_for"]

_MODELS = Plain("models", method="GET", suffixes=("/models", "/models/*"))

FORMATS: Mapping[str, tuple[WireFormat, ...]] = MappingProxyType(
    {
        "openai.chat": (OpenAIChat(), _MODELS),
        "anthropic.messages": (
            AnthropicMessages(),
            Plain(
                "count-tokens",
                method="POST",
                suffixes=("/v1/messages/count_tokens",),
                read=read_count_tokens,
            ),
            _MODELS,
        ),
        "ollama.chat": (
            Ollama("chat"),
            Plain("embedding", method="POST", suffixes=("/api/embed", "/api/embeddings")),
            Plain("models", method="GET", suffixes=("/api/tags", "/api/ps", "/api/version")),
            Plain("models", method="POST", suffixes=("/api/show",)),
        ),
        "ollama.generate": (Ollama("generate"),),
    }
)
"""What an entry of the registry may speak: each name with the operations that go with it."""


def format_for(head: RequestHead, names: Sequence[str]) -> WireFormat | None:
    """The format, among those an entry speaks, that claims a request.

    None means that nobody knows what the request is: it is unclassified, and must be refused.
    Embeddings, moderations, files and batches are among these until a format reads them.
    """
    spoken = (wire_format for name in names for wire_format in FORMATS[name])
    return next((found for found in spoken if found.claims(head) is not None), None)

"""Which wire formats there are, and which of them reads a request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from proxy.exchange import RequestHead
from proxy.wire.anthropic import AnthropicMessages
from proxy.wire.anthropic_complete import AnthropicComplete
from proxy.wire.anthropic_request import read_count_tokens
from proxy.wire.bedrock import Bedrock
from proxy.wire.cohere import Cohere
from proxy.wire.format import WireFormat
from proxy.wire.gemini import Gemini, Silent
from proxy.wire.gemini_interactions import Interactions
from proxy.wire.ollama import Ollama
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_completions import OpenAICompletions
from proxy.wire.openai_embeddings import OpenAIFigures
from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.openai_responses_request import read_compact, read_input_tokens
from proxy.wire.openai_stored import StoredChat
from proxy.wire.plain import ModelCall, Plain
from proxy.wire.vertex import VertexCount, VertexMessages

__all__ = ["FORMATS", "format_for"]

_MODELS = Plain("models", method="GET", suffixes=("/models", "/models/*"))

FORMATS: Mapping[str, tuple[WireFormat, ...]] = MappingProxyType(
    {
        "openai.chat": (
            OpenAIChat(),
            StoredChat(),
            Plain("other", method="GET", suffixes=("/chat/completions/*/messages",)),
            Plain("other", method="DELETE", suffixes=("/chat/completions/*",)),
            _MODELS,
        ),
        "openai.responses": (
            OpenAIResponses(),
            Plain(
                "count-tokens",
                method="POST",
                suffixes=("/responses/input_tokens",),
                read=read_input_tokens,
            ),
            Plain("other", method="POST", suffixes=("/responses/compact",), read=read_compact),
            Plain("other", method="GET", suffixes=("/responses/*/input_items",)),
            Plain("other", method="DELETE", suffixes=("/responses/*",)),
            _MODELS,
        ),
        "openai.completions": (OpenAICompletions(), _MODELS),
        "openai.embeddings": (
            OpenAIFigures("embedding"),
            ModelCall("plain", "rerank", suffixes=("/rerank",)),
            _MODELS,
        ),
        "openai.moderations": (OpenAIFigures("moderation"),),
        "openai.images": (
            ModelCall(
                "openai.images",
                "image",
                suffixes=("/images/generations", "/images/edits", "/images/variations"),
            ),
        ),
        "openai.audio": (
            ModelCall(
                "openai.audio",
                "audio",
                suffixes=("/audio/speech", "/audio/transcriptions", "/audio/translations"),
            ),
        ),
        "anthropic.messages": (
            AnthropicMessages(),
            AnthropicComplete(),
            VertexMessages(),
            VertexCount(),
            Plain(
                "count-tokens",
                method="POST",
                suffixes=("/v1/messages/count_tokens",),
                read=read_count_tokens,
            ),
            _MODELS,
        ),
        "bedrock.converse": (
            Bedrock("converse"),
            Plain("count-tokens", method="POST", suffixes=("/count-tokens",)),
            Plain("moderation", method="POST", suffixes=("/apply",)),
        ),
        "bedrock.invoke": (Bedrock("invoke"),),
        "cohere.v2": (
            Cohere("v2"),
            Plain("embedding", method="POST", suffixes=("/v2/embed", "/v1/embed")),
            Plain("rerank", method="POST", suffixes=("/v2/rerank", "/v1/rerank")),
            Plain("count-tokens", method="POST", suffixes=("/v1/tokenize", "/v1/detokenize")),
            _MODELS,
        ),
        "cohere.v1": (Cohere("v1"),),
        "gemini.generateContent": (
            Gemini(),
            Silent("count-tokens", frozenset({"countTokens"})),
            Silent("embedding", frozenset({"embedContent", "batchEmbedContents"})),
            _MODELS,
        ),
        "gemini.interactions": (
            Interactions(),
            Plain("other", method="DELETE", suffixes=("/interactions/*",)),
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
    Files and batches are among these until a format reads them.
    """
    spoken = (wire_format for name in names for wire_format in FORMATS.get(name, ()))
    return next((found for found in spoken if found.claims(head) is not None), None)

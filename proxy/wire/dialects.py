"""Which wire formats there are, and which of them reads a request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from proxy.exchange import RequestHead
from proxy.wire.anthropic import AnthropicMessages
from proxy.wire.anthropic_complete import AnthropicComplete
from proxy.wire.anthropic_request import read_count_tokens
from proxy.wire.batch_anthropic import AnthropicBatches
from proxy.wire.batch_gemini import GeminiBatches
from proxy.wire.batch_mistral import MistralBatches
from proxy.wire.batch_openai import OpenAIBatches, OpenAIFiles
from proxy.wire.batch_xai import XaiBatches
from proxy.wire.bedrock import Bedrock
from proxy.wire.cohere import Cohere
from proxy.wire.dashscope import DashScope
from proxy.wire.format import WireFormat
from proxy.wire.gemini import Gemini, Silent
from proxy.wire.gemini_interactions import Interactions
from proxy.wire.gemini_live import GeminiLive
from proxy.wire.mistral_conversations import MistralConversations
from proxy.wire.ollama import Ollama
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_completions import OpenAICompletions
from proxy.wire.openai_embeddings import OpenAIFigures
from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.openai_responses_request import read_compact, read_input_tokens
from proxy.wire.openai_stored import StoredChat
from proxy.wire.plain import ModelCall, Plain
from proxy.wire.realtime import Realtime, RealtimeSetUp
from proxy.wire.replicate import Replicate
from proxy.wire.side_doors import (
    ANTHROPIC_STORED,
    GEMINI_STORED,
    LISTINGS,
    MISTRAL_OTHERS,
    OPENAI_STORED,
    STORED_CHATS,
)
from proxy.wire.vertex import VertexChat, VertexCount, VertexMessages
from proxy.wire.xai_grpc import XaiGrpc

__all__ = ["FORMATS", "format_for"]

_MODELS = Plain("models", method="GET", suffixes=("/models", "/models/*"))

FORMATS: Mapping[str, tuple[WireFormat, ...]] = MappingProxyType(
    {
        "openai.chat": (
            OpenAIChat(),
            StoredChat(),
            *STORED_CHATS,
            VertexChat(),
            _MODELS,
            *LISTINGS,
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
            ModelCall("plain", "rerank", suffixes=("/rerank", "/ranking", "/reranking")),
            _MODELS,
        ),
        "openai.moderations": (OpenAIFigures("moderation"),),
        "openai.images": (
            ModelCall(
                "openai.images",
                "image",
                suffixes=(
                    "/images",
                    "/images/generations",
                    "/images/edits",
                    "/images/variations",
                ),
            ),
        ),
        "openai.audio": (
            ModelCall(
                "openai.audio",
                "audio",
                suffixes=(
                    "/audio/speech",
                    "/audio/transcriptions",
                    "/audio/translations",
                    "/tts",
                    "/stt",
                ),
            ),
            Plain("other", method="GET", suffixes=("/audio/voices",)),
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
            ModelCall("plain", "embedding", suffixes=("/v2/embed", "/v1/embed")),
            ModelCall("plain", "rerank", suffixes=("/v2/rerank", "/v1/rerank")),
            ModelCall("plain", "count-tokens", suffixes=("/v1/tokenize", "/v1/detokenize")),
            _MODELS,
        ),
        "cohere.v1": (
            Cohere("v1"),
            ModelCall("plain", "completion", suffixes=("/v1/generate",), has_words=True),
            ModelCall("plain", "other", suffixes=("/v1/summarize",), has_words=True),
            Plain("other", method="POST", suffixes=("/v1/classify", "/v1/check-api-key")),
        ),
        "gemini.generateContent": (
            Gemini(),
            Silent("count-tokens", frozenset({"countTokens", "computeTokens"})),
            Silent("embedding", frozenset({"embedContent", "batchEmbedContents"})),
            Silent("embedding", frozenset({"predict"}), named=("embed",)),
            Silent("image", frozenset({"predict"}), named=("imagen",)),
            Silent(
                "other",
                frozenset({"predict", "predictLongRunning", "fetchPredictOperation"}),
                has_words=True,
            ),
            _MODELS,
        ),
        "gemini.interactions": (
            Interactions(),
            Plain("other", method="DELETE", suffixes=("/interactions/*",)),
        ),
        "ollama.chat": (
            Ollama("chat"),
            ModelCall("plain", "embedding", suffixes=("/api/embed", "/api/embeddings")),
            Plain("models", method="GET", suffixes=("/api/tags", "/api/ps", "/api/version")),
            Plain("models", method="POST", suffixes=("/api/show",)),
        ),
        "ollama.generate": (Ollama("generate"),),
        "openai.stored": OPENAI_STORED,
        "anthropic.stored": ANTHROPIC_STORED,
        "gemini.stored": GEMINI_STORED,
        "mistral.conversations": (MistralConversations(), *MISTRAL_OTHERS),
        "dashscope": (
            DashScope(),
            ModelCall("plain", "embedding", suffixes=("/text-embedding/text-embedding",)),
            ModelCall("plain", "rerank", suffixes=("/text-rerank/text-rerank",)),
            ModelCall("plain", "image", suffixes=("/text2image/image-synthesis",)),
            Plain("other", method="GET", suffixes=("/api/v1/tasks/*",), has_words=True),
        ),
        "replicate": (
            Replicate(),
            Plain("models", method="GET", suffixes=("/models/*/*", "/models/*/*/versions/*")),
            Plain("other", method="GET", suffixes=("/v1/predictions",), has_words=True),
        ),
        "gemini.live": (GeminiLive(),),
        "openai.realtime": (Realtime(), RealtimeSetUp()),
        "xai.grpc": (
            XaiGrpc(),
            Plain("other", method="POST", suffixes=("/xai_api.Chat/DeleteStoredCompletion",)),
            Plain("models", method="POST", suffixes=("/xai_api.Models/*",)),
            Plain("count-tokens", method="POST", suffixes=("/xai_api.Tokenize/TokenizeText",)),
            Plain("other", method="POST", suffixes=("/xai_api.Auth/get_api_key_info",)),
        ),
        "anthropic.batches": (AnthropicBatches(),),
        "gemini.batches": (GeminiBatches(),),
        "mistral.batches": (MistralBatches(),),
        "openai.batches": (OpenAIBatches(),),
        "openai.files": (OpenAIFiles(),),
        "xai.batches": (XaiBatches(),),
    }
)
"""What an entry of the registry may speak: each name with the operations that go with it."""


def format_for(head: RequestHead, names: Sequence[str]) -> WireFormat | None:
    """The format, among those an entry speaks, that claims a request.

    None means that nobody knows what the request is: it is unclassified, and must be refused.
    """
    spoken = (wire_format for name in names for wire_format in FORMATS.get(name, ()))
    return next((found for found in spoken if found.claims(head) is not None), None)

"""The list of calls that the matrix of genuine SDKs makes; the reference's table is made of it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["CASES", "CLIENTS", "KINDS", "VIAS", "SdkCase", "SdkClient"]

KINDS = ("plain", "stream", "tools", "error", "refused", "retry")
VIAS = ("proxy", "base-url")


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkClient:
    """One SDK: the distribution it comes in, the format it speaks here, and what it knows."""

    distribution: str
    wire_format: str
    modes: tuple[str, ...] = ("sync", "async")
    absent: frozenset[str] = frozenset()
    """Kinds of call that the library has no way to make."""


CLIENTS: Mapping[str, SdkClient] = MappingProxyType(
    {
        "openai": SdkClient(distribution="openai", wire_format="openai.chat"),
        "openai-responses": SdkClient(distribution="openai", wire_format="openai.responses"),
        "anthropic": SdkClient(distribution="anthropic", wire_format="anthropic.messages"),
        "google-genai": SdkClient(
            distribution="google-genai", wire_format="gemini.generateContent"
        ),
        "mistralai": SdkClient(distribution="mistralai", wire_format="openai.chat"),
        "cohere": SdkClient(distribution="cohere", wire_format="cohere.v2"),
        "groq": SdkClient(distribution="groq", wire_format="openai.chat"),
        "together": SdkClient(distribution="together", wire_format="openai.chat"),
        "litellm": SdkClient(distribution="litellm", wire_format="openai.chat"),
        "boto3": SdkClient(distribution="boto3", wire_format="bedrock.converse", modes=("sync",)),
        "langchain-openai": SdkClient(distribution="langchain-openai", wire_format="openai.chat"),
        "llm": SdkClient(distribution="llm", wire_format="openai.chat"),
        "pydantic-ai": SdkClient(
            distribution="pydantic-ai-slim", wire_format="openai.chat", modes=("async",)
        ),
        "distilabel": SdkClient(
            distribution="distilabel",
            wire_format="openai.chat",
            modes=("async",),
            absent=frozenset({"stream", "tools"}),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkCase:
    """One call."""

    client: str
    kind: str
    mode: str
    via: str

    @property
    def name(self) -> str:
        """What the prompt carries."""
        return f"{self.client}.{self.kind}.{self.mode}.{self.via}"

    @property
    def wire_format(self) -> str:
        """The format that is spoken."""
        return CLIENTS[self.client].wire_format


CASES = tuple(
    SdkCase(client=client, kind=kind, mode=mode, via=via)
    for via in VIAS
    for client, about in CLIENTS.items()
    for mode in about.modes
    for kind in KINDS
    if kind not in about.absent
)

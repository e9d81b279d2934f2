"""The list of calls that the matrix of genuine SDKs makes; the reference's tables are made of it too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

__all__ = ["CASES", "CLIENTS", "JOURNEYS", "KINDS", "VIAS", "Journey", "SdkCase", "SdkClient"]

KINDS = ("plain", "stream", "tools", "error", "refused", "refused-stream", "retry")
VIAS = ("proxy", "base-url")
_NPM = Path(__file__).with_name("node") / "package.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkClient:
    """One SDK: the distribution it comes in, the format it speaks here, and what it knows."""

    distribution: str
    wire_format: str
    modes: tuple[str, ...] = ("sync", "async")
    absent: frozenset[str] = frozenset()
    """Kinds of call that the library has no way to make."""
    runtime: str = "python"
    """What it runs in: `python`, `node`, or `curl`, which is its own."""
    is_named_by_variables: bool = False
    """Whether its refused calls give no address: the SDK takes its own, or that of `inbond run`."""

    @property
    def title(self) -> str:
        """The name by which its users know it."""
        name = self.distribution.removesuffix("-slim")
        return f"npm:{name}" if self.runtime == "node" else name

    @property
    def version(self) -> str:
        """The version that is tried; curl is the one of the machine."""
        if self.runtime == "curl":
            return "of the machine"
        if self.runtime == "node":
            found: str = json.loads(_NPM.read_text())["dependencies"][self.distribution]
            return found
        return version(self.distribution)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of call that are made, in order."""
        return tuple(kind for kind in KINDS if kind not in self.absent)


def _python(distribution: str, wire_format: str) -> SdkClient:
    return SdkClient(distribution=distribution, wire_format=wire_format)


def _npm(distribution: str, wire_format: str) -> SdkClient:
    return SdkClient(
        distribution=distribution,
        wire_format=wire_format,
        modes=("async",),
        runtime="node",
        is_named_by_variables=True,
    )


CLIENTS: Mapping[str, SdkClient] = MappingProxyType(
    {
        "openai": _python("openai", "openai.chat"),
        "openai-responses": _python("openai", "openai.responses"),
        "anthropic": _python("anthropic", "anthropic.messages"),
        "google-genai": _python("google-genai", "gemini.generateContent"),
        "mistralai": _python("mistralai", "openai.chat"),
        "cohere": _python("cohere", "cohere.v2"),
        "groq": _python("groq", "openai.chat"),
        "together": _python("together", "openai.chat"),
        "litellm": _python("litellm", "openai.chat"),
        "boto3": SdkClient(distribution="boto3", wire_format="bedrock.converse", modes=("sync",)),
        "langchain-openai": _python("langchain-openai", "openai.chat"),
        "instructor": _python("instructor", "openai.chat"),
        "llm": _python("llm", "openai.chat"),
        "pydantic-ai": SdkClient(
            distribution="pydantic-ai-slim", wire_format="openai.chat", modes=("async",)
        ),
        "distilabel": SdkClient(
            distribution="distilabel",
            wire_format="openai.chat",
            modes=("async",),
            absent=frozenset({"stream", "tools", "refused-stream"}),
        ),
        "curl": SdkClient(
            distribution="curl", wire_format="openai.chat", modes=("sync",), runtime="curl"
        ),
        "npm-openai": _npm("openai", "openai.chat"),
        "npm-openai-responses": _npm("openai", "openai.responses"),
        "npm-anthropic": _npm("@anthropic-ai/sdk", "anthropic.messages"),
        "npm-google-genai": _npm("@google/genai", "gemini.generateContent"),
        "npm-ai": _npm("ai", "openai.chat"),
        "npm-ai-responses": _npm("ai", "openai.responses"),
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
    def about(self) -> SdkClient:
        """Whose call it is."""
        return CLIENTS[self.client]

    @property
    def is_refused(self) -> bool:
        """Whether the house rules forbid it."""
        return self.kind.startswith("refused")

    @property
    def wire_format(self) -> str:
        """The format that is spoken."""
        return self.about.wire_format


CASES = tuple(
    SdkCase(client=client, kind=kind, mode=mode, via=via)
    for via in VIAS
    for client, about in CLIENTS.items()
    for mode in about.modes
    for kind in about.kinds
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """An SDK in a journey of its own: what no single call can show."""

    distribution: str
    wire_format: str
    operation: str
    test: str
    """The function that makes it, as `MODULE::FUNCTION` beside this file."""
    vias: tuple[str, ...] = VIAS
    kinds: tuple[str, ...] = ("plain",)


_BATCH = "test_batches.py::test_a_batch_outlives_the_proxy_that_sent_it"
_SOCKET = "test_realtime.py::test_the_openai_sdk_works_through_the_proxy"
_LIVE = "test_realtime.py::test_googles_sdk_works_through_the_proxy"
_GRPC = "test_grpc.py::test_the_sdk_works_through_the_proxy"
JOURNEYS = (
    Journey(distribution="openai", wire_format="openai.batches", operation="batch", test=_BATCH),
    Journey(distribution="openai", wire_format="openai.files", operation="file", test=_BATCH),
    Journey(
        distribution="anthropic", wire_format="anthropic.batches", operation="batch", test=_BATCH
    ),
    Journey(
        distribution="openai",
        wire_format="openai.realtime",
        operation="realtime",
        test=_SOCKET,
        kinds=("stream",),
    ),
    Journey(
        distribution="google-genai",
        wire_format="gemini.live",
        operation="realtime",
        test=_LIVE,
        vias=("proxy",),
        kinds=("stream",),
    ),
    Journey(
        distribution="xai-sdk",
        wire_format="xai.grpc",
        operation="chat",
        test=_GRPC,
        vias=("proxy",),
        kinds=("plain", "stream"),
    ),
)

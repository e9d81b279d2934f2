"""Transcripts of wire formats: bytes, their cuts and the exchange expected, played to a reader.

Each is a YAML file `transcripts/<format>/<case>.yaml` made by us from a provider's public reference,
which its `source` names. `expected` holds what differs from a value's defaults. `method`, `path` and
`query` are given where they say something; a body in binary frames is given as `answer_base64` or
`request_base64`, and what ends an answer in header fields as `trailers`.
"""

import base64
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from proxy.errors import WireError
from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.format import Reader
from proxy.wire.grpc import Trailed

FOLDER = Path(__file__).parent / "transcripts"
PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "openai.completions": "/v1/completions",
    "openai.embeddings": "/v1/embeddings",
    "openai.moderations": "/v1/moderations",
    "openai.images": "/v1/images/generations",
    "openai.audio": "/v1/audio/speech",
    "anthropic.batches": "/v1/messages/batches",
    "anthropic.messages": "/v1/messages",
    "bedrock.converse": "/model/acme.small-v1%3A0/converse",
    "bedrock.invoke": "/model/acme.small-v1%3A0/invoke",
    "cohere.v1": "/v1/chat",
    "cohere.v2": "/v2/chat",
    "gemini.generateContent": "/v1beta/models/small-1:generateContent",
    "gemini.interactions": "/v1beta/interactions",
    "anthropic.stored": "/v1/files/file_1/content",
    "dashscope": "/api/v1/services/aigc/text-generation/generation",
    "gemini.stored": "/v1beta/cachedContents",
    "mistral.conversations": "/v1/conversations",
    "openai.stored": "/v1/conversations/conv_1/items",
    "replicate": "/v1/models/acme/small-1/predictions",
    "ollama.chat": "/api/chat",
    "ollama.generate": "/api/generate",
    "xai.grpc": "/xai_api.Chat/GetCompletion",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One transcript, as its file says."""

    wire_format: str
    method: str
    path: str
    query: str
    source: str
    request: bytes
    status: int
    headers: dict[str, str]
    answer: bytes
    cuts: tuple[int, ...]
    is_clean: bool
    terminal: bytes | None
    """The bytes of the terminal frame, where the format's stream has one."""
    trailers: dict[str, str]
    """What ends an answer in trailers."""
    expected: dict[str, Any]


def load(path: Path) -> Transcript:
    """The transcript a file holds."""
    written = yaml.load(path.read_text(), yaml.CSafeLoader)
    terminal = written.pop("terminal", None)
    return Transcript(
        wire_format=path.parent.name,
        method=written.pop("method", "POST"),
        path=written.pop("path", None) or PATHS[path.parent.name],
        query=written.pop("query", ""),
        request=_given(written, "request"),
        answer=_given(written, "answer"),
        cuts=tuple(written.pop("cuts")),
        terminal=None if terminal is None else terminal.encode(),
        trailers=written.pop("trailers", {}),
        **written,
    )


def _given(written: dict[str, Any], name: str) -> bytes:
    """A body: text, or bytes in base64."""
    binary = written.pop(f"{name}_base64", None)
    return written.pop(name).encode() if binary is None else base64.b64decode(binary)


@cache
def cases(wire_format: str) -> dict[str, Transcript]:
    """All transcripts of a format, by name."""
    return {path.stem: load(path) for path in sorted((FOLDER / wire_format).glob("*.yaml"))}


def begin(transcript: Transcript) -> Reader:
    """A reader that has read the request and the head of the answer."""
    head = RequestHead(method=transcript.method, path=transcript.path, query=transcript.query)
    wire_format = format_for(head, [transcript.wire_format])
    assert wire_format is not None
    reader = wire_format.reader(head)
    reader.request(transcript.request)
    headers = tuple(transcript.headers.items())
    reader.respond(ResponseHead(status=transcript.status, headers=headers))
    return reader


def pieces(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """A body cut at these places."""
    edges = sorted({0, len(body), *(cut for cut in cuts if 0 <= cut <= len(body))})
    return [body[start:end] for start, end in pairwise(edges)]


def said(value: Any) -> Any:
    """A value of `proxy.exchange` as plain data: the fields that differ from their defaults."""
    if is_dataclass(value):
        return {
            each.name: said(getattr(value, each.name))
            for each in fields(value)
            if each.default is MISSING or getattr(value, each.name) != each.default
        }
    if isinstance(value, tuple):
        return [said(item) for item in value]
    return value


def play(transcript: Transcript, cuts: Iterable[int]) -> Exchange:
    """The exchange a transcript reads as, cut at these places; a spent reader reads no further."""
    reader = begin(transcript)
    feed(reader, pieces(transcript.answer, cuts))
    if isinstance(reader, Trailed):
        reader.trailers(tuple(transcript.trailers.items()))
    return reader.finish(is_clean=transcript.is_clean)


def feed(reader: Reader, chunks: Iterable[bytes]) -> None:
    """Feed an answer as the proxy does: up to the first error of the wire."""
    for chunk in chunks:
        try:
            reader.feed(chunk)
        except WireError:
            return

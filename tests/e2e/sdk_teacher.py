"""A teacher for every SDK: it answers each request with a transcript of its format and case."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.exchange import RequestHead
from proxy.wire.dialects import FORMATS, format_for
from tests.e2e.teacher import authority, case_of
from tests.proxy.upstream import Script, Seen, Upstream, chunked, head, serve
from tests.proxy.wire.playback import Transcript, cases, pieces

__all__ = ["BEDROCK_HOST", "HOST", "SdkTeacher", "sdk_teacher", "transcript_of"]

HOST = "every.teacher.test"
BEDROCK_HOST = "bedrock-runtime.eu-west-1.amazonaws.com"
"""A name with a region, as a signature needs one."""

_TRANSCRIPTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "openai.chat": {
            "plain": "json-whole-record",
            "stream": "stream-whole-record",
            "tools": "json-whole-tools",
            "error": "json-error-400",
        },
        "openai.responses": {
            "plain": "json-text",
            "stream": "stream-text",
            "tools": "json-tools",
            "error": "json-error-400",
        },
        "anthropic.messages": {
            "plain": "json-no-usage",
            "stream": "stream-text",
            "tools": "json-blocks",
            "error": "json-error-529",
        },
        "gemini.generateContent": {
            "plain": "json",
            "stream": "stream-sse",
            "tools": "json",
            "error": "json-error-400",
        },
        "cohere.v2": {
            "plain": "json",
            "stream": "stream-text",
            "tools": "json",
            "error": "json-error-401",
        },
        "bedrock.converse": {
            "plain": "json",
            "stream": "stream",
            "tools": "json",
            "error": "json-error-400",
        },
    }
)
_BUSY = 503
_OF_THE_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding"})


def transcript_of(wire_format: str, kind: str) -> Transcript:
    """What the teacher answers in a format to a kind of call; a retry ends in a plain answer."""
    named = _TRANSCRIPTS[wire_format]
    return cases(wire_format)[named["plain" if kind == "retry" else kind]]


def _script(transcript: Transcript, *, status: int | None = None) -> Script:
    given = {
        name.replace("-", "_"): value
        for name, value in transcript.headers.items()
        if name not in _OF_THE_CONNECTION
    }
    more = {} if status is None else {"Retry_After": "0"}
    start = head(status or transcript.status, **given, **more, Transfer_Encoding="chunked")
    return (start, *chunked(*pieces(transcript.answer, transcript.cuts)))


@dataclass(slots=True)
class SdkTeacher:
    """What it was asked, in order, by case."""

    upstream: Upstream
    visits: dict[str, list[Seen]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self.upstream.address[1]

    def script(self, seen: Seen) -> Script:
        """The answer: the first of a retry says that the teacher is busy."""
        case = case_of(seen.body)
        visits = self.visits.setdefault(case, [])
        visits.append(seen)
        method, target, _ = seen.line.split(" ")
        path, _, query = target.partition("?")
        asked = RequestHead(method=method, path=path, query=query)
        wire_format = format_for(asked, list(FORMATS))
        assert wire_format is not None, seen.line
        kind = case.split(".")[1]
        if kind == "retry" and len(visits) == 1:
            return _script(transcript_of(wire_format.name, "error"), status=_BUSY)
        return _script(transcript_of(wire_format.name, kind))


@contextlib.asynccontextmanager
async def sdk_teacher() -> AsyncIterator[SdkTeacher]:
    """The teacher for the time of the block, on TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(HOST, BEDROCK_HOST).configure_cert(context)
    async with serve(tls=context) as upstream:
        teacher = SdkTeacher(upstream)
        upstream.script = teacher.script
        yield teacher

"""How teachers frame their answers, and how each framing ends: by length, by a last chunk, by closing."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.e2e.harness import MODEL
from tests.e2e.teacher import TEXT, ask, events, message_events, whole
from tests.proxy.upstream import Script, Step, chunked, head

__all__ = ["FRAMINGS", "Framing"]

_WORDS = TEXT.split(" ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """One way to frame an answer: where it is asked for, and in which pieces it comes."""

    path: str
    media: str
    ends_by: Literal["length", "chunk", "close"]
    ask: Callable[[str], bytes]
    """The body of a request, by its case."""
    pieces: Callable[[str], tuple[bytes, ...]]
    """The frames of a whole answer, by its case; the last is the terminal one."""

    def parts(self, case: str) -> tuple[Script, Script, Script]:
        """The head and the first frame; the rest to the terminal frame; the end of the message."""
        pieces = self.pieces(case)
        if self.ends_by == "length":
            size = str(sum(map(len, pieces)))
            start = head(Content_Type=self.media, Content_Length=size)
            return (start, pieces[0]), pieces[1:], ()
        if self.ends_by == "close":
            return (head(Content_Type=self.media), pieces[0]), pieces[1:], (Step.FIN,)
        start = head(Content_Type=self.media, Transfer_Encoding="chunked")
        chunks = chunked(*pieces)
        return (start, chunks[0]), chunks[1:-1], chunks[-1:]


def _streamed(case: str) -> bytes:
    return ask(case, is_streamed=True)


def _lone(case: str) -> bytes:
    return ask(case)


def _halves(case: str) -> tuple[bytes, ...]:
    return whole(case)[:40], whole(case)[40:]


def _crlf(case: str) -> tuple[bytes, ...]:
    return tuple(event.replace(b"\n", b"\r\n") for event in events(case))


def _ask_contents(case: str) -> bytes:
    return json.dumps(
        {"contents": [{"role": "user", "parts": [{"text": f"case:{case}"}]}]}
    ).encode()


def _array(case: str) -> tuple[bytes, ...]:
    """One JSON array, of which each frame adds an element, and the last its bracket."""
    frames: list[dict[str, Any]] = [{"content": {"parts": [{"text": word}]}} for word in _WORDS]
    frames[-1]["finishReason"] = "STOP"
    record = {"modelVersion": MODEL, "responseId": f"answer-{case}"}
    texts = [json.dumps({"candidates": [{"index": 0, **frame}], **record}) for frame in frames]
    marks = ["[", *[",\r\n"] * (len(texts) - 1)]
    elements = (f"{mark}{text}" for mark, text in zip(marks, texts, strict=True))
    return (*(element.encode() for element in elements), b"]\r\n")


def _lines(case: str) -> tuple[bytes, ...]:
    frames: list[dict[str, Any]] = [
        {"message": {"role": "assistant", "content": word}, "done": False} for word in _WORDS
    ]
    last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    record = {"model": MODEL, "created_at": f"2026-01-02T03:04:05Z{case}"}
    return tuple(json.dumps({**record, **frame}).encode() + b"\n" for frame in (*frames, last))


def _ask_blocks(case: str) -> bytes:
    block = {"text": f"case:{case}"}
    return json.dumps({"messages": [{"role": "user", "content": [block]}]}).encode()


def _binary(_: str) -> tuple[bytes, ...]:
    said = [
        ("messageStart", {"role": "assistant"}),
        *(
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
            for word in _WORDS
        ),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 4, "totalTokens": 9}}),
    ]
    return tuple(_frame(kind, json.dumps(payload).encode()) for kind, payload in said)


def _frame(kind: str, payload: bytes) -> bytes:
    """A frame of `application/vnd.amazon.eventstream`."""
    named = {":event-type": kind, ":message-type": "event", ":content-type": "application/json"}
    fields = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), 7, len(value)) + value.encode()
        for name, value in named.items()
    )
    start = struct.pack(">II", 16 + len(fields) + len(payload), len(fields))
    body = start + struct.pack(">I", zlib.crc32(start)) + fields + payload
    return body + struct.pack(">I", zlib.crc32(body))


_CHAT = "/v1/chat/completions"
_SSE = "text/event-stream"
FRAMINGS = {
    "json": Framing(path=_CHAT, media="application/json", ends_by="length", ask=_lone, pieces=_halves),
    "data": Framing(path=_CHAT, media=_SSE, ends_by="chunk", ask=_streamed, pieces=events),
    "crlf": Framing(path=_CHAT, media=_SSE, ends_by="chunk", ask=_streamed, pieces=_crlf),
    "closed": Framing(path=_CHAT, media=_SSE, ends_by="close", ask=_streamed, pieces=events),
    "events": Framing(path="/v1/messages", media=_SSE, ends_by="chunk", ask=_streamed, pieces=message_events),
    "array": Framing(
        path=f"/v1beta/models/{MODEL}:streamGenerateContent",
        media="application/json",
        ends_by="chunk",
        ask=_ask_contents,
        pieces=_array,
    ),
    "lines": Framing(path="/api/chat", media="application/x-ndjson", ends_by="chunk", ask=_streamed, pieces=_lines),
    "binary": Framing(
        path=f"/model/{MODEL}/converse-stream",
        media="application/vnd.amazon.eventstream",
        ends_by="chunk",
        ask=_ask_blocks,
        pieces=_binary,
    ),
}  # fmt: skip
"""Chat as JSON; SSE of data alone, with CRLF, ended by closing, and with events; a JSON array that
grows; JSON lines; the binary event stream."""

"""Teachers of these journeys: real servers on TCP and TLS that note what they saw, and when.

A case is a word that the prompt carries: by it a teacher finds its script, and a test finds the
call in the ledger.
"""

import asyncio
import contextlib
import functools
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trustme

from tests.e2e.harness import MODEL
from tests.proxy.upstream import Script, Seen, chunked, head, serve

__all__ = [
    "HOSTS",
    "TEXT",
    "Teachers",
    "Visit",
    "answer",
    "ask",
    "case_of",
    "chat",
    "events",
    "message",
    "message_events",
    "teachers",
    "whole",
]

HOSTS = (
    "plain.teacher.test",
    "sealed.teacher.test",
    "claude.teacher.test",
    "every.teacher.test",
    "beyond.teacher.test",
)

_CASE = re.compile(rb"case:([a-z0-9.-]+)")
_WORDS = ("The ", "quick ", "answer", ".")
TEXT = "".join(_WORDS)
"""What every teacher here says."""


@functools.cache
def authority() -> trustme.CA:
    """Who vouches for the teachers on TLS."""
    return trustme.CA()


def _server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*HOSTS).configure_cert(context)
    return context


def ask(case: str, *, is_streamed: bool = False, **more: Any) -> bytes:
    """A request's body in a shape that both wire formats share."""
    prompt = {"role": "user", "content": f"case:{case}"}
    body = {"model": MODEL, "messages": [prompt], "max_tokens": 64, "stream": is_streamed, **more}
    return json.dumps(body).encode()


def case_of(body: bytes) -> str:
    """The case that a request's body names."""
    found = _CASE.search(body)
    return found[1].decode() if found else ""


def whole(case: str) -> bytes:
    """A JSON answer of a chat completion."""
    return chat(case, finish="stop")


def chat(case: str, *, finish: str, **message: Any) -> bytes:
    """A JSON answer of a chat completion whose message differs from the usual one."""
    said = {"role": "assistant", "content": TEXT, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    record = {"id": f"chatcmpl-{case}", "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps({**record, "choices": [choice], "usage": usage}).encode()


def message(case: str) -> bytes:
    """A JSON answer of the messages format."""
    content = [{"type": "text", "text": TEXT}]
    return json.dumps(
        {**_message(case), "content": content, "stop_reason": "end_turn", "usage": _USAGE}
    ).encode()


def message_events(case: str) -> tuple[bytes, ...]:
    """The events of a streamed answer of the messages format, the terminal one last."""
    started = {**_message(case), "content": [], "stop_reason": None, "usage": _USAGE}
    block = {"type": "text", "text": ""}
    frames: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            }
            for word in _WORDS
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
        {"type": "message_stop"},
    ]
    return tuple(
        b"event: %b\ndata: %b\n\n" % (frame["type"].encode(), json.dumps(frame).encode())
        for frame in frames
    )


_USAGE = {"input_tokens": 5, "output_tokens": 4}


def _message(case: str) -> dict[str, Any]:
    return {
        "id": f"msg-{case}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "stop_sequence": None,
    }


def events(case: str) -> tuple[bytes, ...]:
    """The events of a streamed chat completion, the terminal one last."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in _WORDS]
    record = {"id": f"chatcmpl-{case}", "object": "chat.completion.chunk", "created": 1}
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    frames = [{**record, "model": MODEL, "choices": [choice]} for choice in choices]
    return (*(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames), _DONE)


_DONE = b"data: [DONE]\n\n"


def answer(case: str, *, is_streamed: bool) -> tuple[Script, Script, Script]:
    """The three parts of an answer: head and beginning, the rest to its last frame, and the end.

    The end of a JSON answer is empty: its length was announced.
    """
    if is_streamed:
        start = head(Content_Type="text/event-stream", Transfer_Encoding="chunked")
        pieces = chunked(*events(case))
        return (start, *pieces[:2]), pieces[2:-1], pieces[-1:]
    body = whole(case)
    start = head(Content_Type="application/json", Content_Length=str(len(body)))
    return (start, body[:40]), (body[40:],), ()


@dataclass(slots=True)
class Visit:
    """One request as a teacher saw it."""

    case: str
    seen: Seen
    ledger_size: int
    """How many entries were durable when the request had come in."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Teachers:
    """Both servers, their scripts by case, and all visits."""

    scripts: dict[str, Script] = field(default_factory=dict)
    otherwise: Callable[[Seen], Script] | None = None
    ledger_size: Callable[[], int] = lambda: 0
    visits: list[Visit] = field(default_factory=list)
    plain: int = 0
    sealed: int = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a workspace must know of them."""
        return {
            "plain": self.plain,
            "sealed": self.sealed,
            "authority": authority().cert_pem.bytes(),
        }

    def visit(self, case: str) -> Visit | None:
        """The only visit of a case, if there was one."""
        found = [visit for visit in self.visits if visit.case == case]
        assert len(found) <= 1
        return found[0] if found else None

    def script(self, seen: Seen) -> Script:
        """Note the visit and look up what to answer."""
        visit = Visit(case_of(seen.body), seen, self.ledger_size())
        self.visits.append(visit)
        connection = asyncio.current_task()
        assert connection is not None
        connection.add_done_callback(lambda _: visit.closed.set())
        if visit.case in self.scripts:
            return self.scripts[visit.case]
        if self.otherwise is not None:
            return self.otherwise(seen)
        is_streamed = b'"stream": true' in seen.body or b'"stream":true' in seen.body
        parts = answer(visit.case, is_streamed=is_streamed)
        return parts[0] + parts[1] + parts[2]


@contextlib.asynccontextmanager
async def teachers() -> AsyncIterator[Teachers]:
    """Both servers for the time of the block; without a script they give a whole answer."""
    found = Teachers()
    async with serve() as plain, serve(tls=_server_tls()) as sealed:
        plain.script = sealed.script = found.script
        found.plain, found.sealed = plain.address[1], sealed.address[1]
        yield found

"""The witness over HTTP (C2SP tlog-witness): `POST /add-checkpoint`, `GET /HASH/checkpoint`."""

import asyncio
from typing import Protocol

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import LedgerError
from proxy.ledger.submission import MAX_SUBMISSION_BYTES

__all__ = ["create_witness"]

_LOG = structlog.get_logger("inbond.witness")
_BODY_S = 10.0
"""How long a log may take to send its request."""


class _Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> str: ...
    @property
    def media_type(self) -> str: ...


class Book(Protocol):
    """Who judges what is sent: `proxy.witness`."""

    def add(self, body: str) -> _Reply:
        """The answer to a request to cosign."""

    def shown(self, name: str) -> _Reply:
        """The newest checkpoint of a log."""


def create_witness(book: Book) -> ASGIApp:
    """The witness as an ASGI application. The book may block: it is asked in a thread."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await _answer(book, request)
        except ClientDisconnect:
            return
        except LedgerError as error:
            _LOG.error("the witness cannot answer", reason=error.message, where=error.where)
            response = Response("the witness cannot use its memory now\n", 503)
        await response(scope, receive, send)

    return app


async def _answer(book: Book, request: Request) -> Response:
    path = request.url.path
    if path == "/add-checkpoint":
        if request.method != "POST":
            return Response("send a checkpoint by POST\n", 405, {"allow": "POST"})
        body = await _body(request)
        if body is None:
            return Response("a request with a checkpoint is shorter, and sent at once\n", 413)
        return _response(await asyncio.to_thread(book.add, body.decode(errors="replace")))
    name, slash, rest = path[1:].partition("/")
    if slash and rest == "checkpoint":
        if request.method not in ("GET", "HEAD"):
            return Response("ask for a checkpoint by GET\n", 405, {"allow": "GET"})
        return _response(await asyncio.to_thread(book.shown, name))
    return Response("this is a witness: see c2sp.org/tlog-witness\n", 404)


async def _body(request: Request) -> bytes | None:
    """The body of a request; None where it is too long or too slow."""
    data = b""
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_SUBMISSION_BYTES:
                    return None
    except TimeoutError:
        return None
    return data


def _response(reply: _Reply) -> Response:
    headers = {"cache-control": "no-store", "content-type": reply.media_type}
    return Response(reply.body, reply.status, headers)

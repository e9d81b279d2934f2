"""Tests of proxy.cli.serving."""

import asyncio
import os
import signal
import socket

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from proxy.cli.serving import serve_app


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_application_is_served_until_a_signal(number: signal.Signals) -> None:
    """It answers once it says that it is ready, and a signal ends it in order."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("here")(scope, receive, send)

    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(serve_app(listener, app, is_child=False, on_ready=ready.set))
            await ready.wait()
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://127.0.0.1:{port}/")
            assert answer.text == "here"
            os.kill(os.getpid(), number)

"""The console's server on a socket of its own."""

import asyncio
import os
import signal
import socket

import httpx

from proxy.cli.console import serve_console
from proxy.web.app import StatusReport

REPORT = StatusReport(
    version="1", origin="o", ledger_size=3, last_checkpoint=None, workers=1, policy_bundle="b"
)


async def test_the_console_answers_until_it_is_told_to_stop() -> None:
    """It says when it is ready, answers health and status, and ends with a signal."""
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(
                serve_console(listener, lambda: REPORT, is_child=False, on_ready=ready.set)
            )
            await ready.wait()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                health = await client.get("/health")
                status = await client.get("/status")
            signal_self()
            await serving
    assert (health.status_code, status.json()["ledger_size"]) == (200, 3)


def signal_self() -> None:
    """Send this process what ends the console."""
    os.kill(os.getpid(), signal.SIGTERM)

"""Serving an application: on a socket that is bound before anything else, ended as our processes end."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, override

import uvicorn

from proxy.supervisor import when_orphaned

__all__ = ["serve_app"]


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again after its own end."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_app(
    listener: socket.socket,
    app: Callable[..., Any],
    *,
    is_child: bool,
    on_ready: Callable[[], None],
) -> None:
    """Answer on `listener`, which listens already, until SIGTERM or SIGINT; a child ends with its supervisor, too."""
    server = _Server(uvicorn.Config(app, log_config=None, lifespan="off"))

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    if is_child:
        when_orphaned(stop)
    on_ready()
    await server.serve(sockets=[listener])

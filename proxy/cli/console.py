"""The console's server: how the installation stands, on a socket that listens already."""

import socket
from collections.abc import Callable

from proxy.cli.serving import serve_app
from proxy.web.app import StatusReport, create_app

__all__ = ["serve_console"]


async def serve_console(
    listener: socket.socket,
    status: Callable[[], StatusReport],
    *,
    is_child: bool,
    on_ready: Callable[[], None],
) -> None:
    """Answer on `listener` until SIGTERM or SIGINT; a child ends with its supervisor, too."""
    await serve_app(listener, create_app(status), is_child=is_child, on_ready=on_ready)

"""A network between us and a server, that can lose the answer to a commit."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Relay", "relaying"]


@dataclass
class Relay:
    """Carries bytes to a port of 127.0.0.1 and back."""

    port: int
    losing: threading.Event = field(default_factory=threading.Event)
    """While it is set, the next commit reaches the server, and its answer nobody."""


@contextlib.contextmanager
def relaying(port: int) -> Iterator[Relay]:
    """A relay to this port for the time of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(listener.getsockname()[1])
        accepting = threading.Thread(target=_accept, args=(listener, relay, port), daemon=True)
        accepting.start()
        yield relay
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def _accept(listener: socket.socket, relay: Relay, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for carry in (_carry_there, _carry_back):
                threading.Thread(target=carry, args=(relay, client, server), daemon=True).start()


def _carry_there(_: Relay, client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := client.recv(65_536):
            server.sendall(data)
    server.close()


def _carry_back(relay: Relay, client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65_536):
            if relay.losing.is_set() and b"COMMIT\x00" in data:
                relay.losing.clear()
                break
            client.sendall(data)
    # The other thread still waits in `recv`: closing alone would not end the connection.
    for end in (client, server):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

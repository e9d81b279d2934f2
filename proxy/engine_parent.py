"""The way to a teacher through a parent proxy; part of the engine.

Every way is a tunnel (CONNECT), of a teacher without TLS too: what the parent says of itself, a login
page for instance, can then not be taken for the teacher's answer.
"""

import base64
from dataclasses import dataclass

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.tls import ServerTLSLayer

from proxy.parent import Parent

__all__ = ["Carried", "carrier_of", "carrier_to", "excuse_of", "through"]

_MOST_HEAD_BYTES = 64 * 1024
_WANTS_CREDENTIALS = 407


@dataclass(eq=False, repr=False, kw_only=True)
class Carried(Server):
    """A connection to a teacher inside of another one, to the parent proxy."""

    carrier: Server
    refusal: str | None = None
    """Why the parent gave no way."""


def carrier_to(parent: Parent) -> Server:
    """A connection to the parent, not opened yet."""
    sni = parent.host if parent.is_tls else None
    return Server(address=(parent.host, parent.port), sni=sni, alpn_offers=(b"http/1.1",))


def through(parent: Parent, context: Context, carrier: Server) -> tunnel.LayerStack:
    """The layers between a connection to the parent and `context.server`, which it carries."""
    stack = tunnel.LayerStack()
    if parent.is_tls:
        stack /= ServerTLSLayer(context, carrier)
    return stack / _ParentTunnel(context, carrier, parent)


def carrier_of(connection: Connection) -> Connection:
    """The connection that has a socket: the one to the parent, for one that it carries."""
    return connection.carrier if isinstance(connection, Carried) else connection


def excuse_of(server: Connection | None) -> str | None:
    """Why there is no way through the parent to a server; None: that is not what failed."""
    if not isinstance(server, Carried):
        return None
    if server.carrier.error is not None:
        return (
            "the parent proxy could not be reached; look at `upstream.proxy`, and at `upstream.ca` "
            "if a private authority vouches for it"
        )
    return server.refusal


class _ParentTunnel(tunnel.TunnelLayer):
    """Asks the parent for the way to `context.server`, and carries what is then said."""

    def __init__(self, context: Context, carrier: Server, parent: Parent) -> None:
        super().__init__(context, tunnel_connection=carrier, conn=context.server)
        self._parent = parent
        self._head = bytearray()

    def start_handshake(self) -> CommandGenerator[None]:
        """Ask; what proves who asks goes to the parent and no further."""
        yield commands.SendData(self.tunnel_connection, self._asked())

    def _asked(self) -> bytes:
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._parent.credentials is not None:
            proof = base64.b64encode(self._parent.credentials.reveal().encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {proof}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def _target(self) -> str:
        assert self.conn.address is not None  # type: ignore[attr-defined] # noqa: S101 - a server has one
        host, port = self.conn.address  # type: ignore[attr-defined] # as above
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def receive_handshake_data(self, data: bytes) -> CommandGenerator[tuple[bool, str | None]]:
        """Read the answer: only one of the 2xx is a way (RFC 9110 §9.3.6)."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, rest = bytes(self._head).partition(b"\r\n\r\n")
            self._head[:] = rest
            status = _status_of(head)
            if 100 <= status < 200:
                continue
            if not 200 <= status < 300:
                return False, self._why(status)
            if rest:
                yield from self.receive_data(rest)
            return True, None
        is_long = len(self._head) > _MOST_HEAD_BYTES
        return False, self._why(0) if is_long else None

    def _why(self, status: int) -> str:
        if status == _WANTS_CREDENTIALS:
            does = (
                "wants credentials; give them in"
                if self._parent.credentials is None
                else "does not take those of"
            )
            return f"the parent proxy {does} `upstream.proxy_credentials` (407)"
        if status:
            return f"the parent proxy gave no way to `{self._target}` ({status}); ask who runs it"
        return "what listens at `upstream.proxy` does not answer as a proxy does"

    def on_handshake_error(self, err: str) -> CommandGenerator[None]:
        """Keep why, for the client."""
        if isinstance(self.conn, Carried):
            is_closed = err == "connection closed"
            self.conn.refusal = "the parent proxy closed the connection" if is_closed else err
        self.conn.error = err
        yield from super().on_handshake_error(err)


def _status_of(head: bytes) -> int:
    """The status of an answer; 0: it is none."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/1.") and len(words[1]) == 3
    return int(words[1]) if is_http and words[1].isdigit() else 0

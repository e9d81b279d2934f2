"""mitmproxy as we need it: five core addons, our hooks, workers on one port, cut and drain.

With `engine_modes` and `engine_layers`, the only importer of mitmproxy's internals; the version is
pinned, and tests/proxy/test_engine.py holds the contract with it. mitmproxy keeps its options in a
global, so a process runs one engine at a time.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import certifi
from mitmproxy import master, options
from mitmproxy.addons import core, disable_h2c, next_layer, proxyserver
from mitmproxy.connection import Connection
from mitmproxy.http import HTTPFlow, MessageData
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode

from proxy.addon import Addon
from proxy.engine_layers import BondHttpLayer
from proxy.engine_modes import BondMode, Hook, Instance, Site, Tls
from proxy.engine_parent import carrier_of, carrier_to, through
from proxy.errors import ProxyError
from proxy.gate import GateKeeper
from proxy.parent import Parent

__all__ = ["Engine", "EngineOptions"]

_TICK_S = 0.02
_GRACE_S = 5.0
"""How long ends may take to become durable after the deadline of a drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Where to listen, whom to trust, how long to wait.

    `authority` is a PEM file with the key and the certificate that sign for opened tunnels;
    `confdir` takes derived files. `upstream_ca` is trusted in addition to the public roots. `parent`
    is asked for the way to what a `BeyondParent` names.
    """

    host: str
    port: int
    authority: Path
    confdir: Path
    upstream_ca: Path | None = None
    parent: Parent | None = None
    is_shared_port: bool = False
    drain_s: float = 30.0
    upstream_timeout_s: float = 600.0
    discard_bytes: int = 256 * 1024 * 1024
    """How much of a refused upload is read, and dropped, before the client is cut off."""


class Engine:
    """The data plane of one process: one port, one gate."""

    def __init__(self, options: EngineOptions, gate: GateKeeper) -> None:
        self._options = options
        self._addon = Addon(gate, self, upstream_timeout_s=options.upstream_timeout_s)
        self._server: proxyserver.Proxyserver
        self._next_layer: next_layer.NextLayer
        self._instance: Instance

    # Life.

    async def start(self) -> tuple[str, int]:
        """Begin to listen; gives the bound address.

        Raises:
            ProxyError: the port is taken, or the authority cannot be read.
        """
        self._assemble(self._tls())
        try:
            await self._instance.start()
        except OSError as error:
            place = f"{self._options.host}:{self._options.port}"
            raise ProxyError(
                f"cannot listen on `{place}`",
                help="stop the program that listens there, or choose another port",
                where=place,
                code="port-taken",
            ) from error
        host, port, *_ = self._instance.listen_addrs[0]
        return str(host), int(port)

    def _tls(self) -> Tls:
        try:
            self._options.confdir.mkdir(parents=True, exist_ok=True)
            return Tls(self._options.authority, self._options.confdir)
        except (OSError, ValueError, IndexError) as error:
            raise ProxyError(
                f"cannot read the certificate authority `{self._options.authority}`",
                help="run `inbond init`, or restore the file from a backup",
                where=str(self._options.authority),
                code="authority",
            ) from error

    def _assemble(self, tls: Tls) -> None:
        # mitmproxy checks the type of each field of each message, unless Python runs with `-O`: an
        # aid to its own debugging that costs a twentieth of a call.
        MessageData.__post_init__ = _unchecked  # type: ignore[method-assign] # there is no option for it
        owner = master.Master(self._mitmproxy_options())
        # The stock master hands every log record of the process to its addons.
        owner._legacy_log_events.uninstall()  # noqa: SLF001 - there is no option for it
        self._server, self._next_layer = proxyserver.Proxyserver(), next_layer.NextLayer()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        h2c = disable_h2c.DisableH2C()
        owner.addons.add(core.Core(), h2c, self._server, self._next_layer, tls)  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        owner.options.update(connection_strategy="lazy")  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        mode = BondMode.parse("bond")
        site = Site(
            master=owner,
            hooks=self._hooks(h2c, tls),
            sweep=self._addon.sweep,
            is_held=self._addon.is_held,
            is_shared_port=self._options.is_shared_port,
        )
        self._instance = Instance(mode, self._server, site)
        self._server.servers._instances[mode] = self._instance  # noqa: SLF001 - read by its guard against dialling ourselves

    def _mitmproxy_options(self) -> options.Options:
        return options.Options(
            confdir=str(self._options.confdir),
            listen_host=self._options.host,
            listen_port=self._options.port,
            mode=["bond"],
            upstream_cert=False,
            rawtcp=False,
            websocket=False,
            http2=True,
            http2_ping_keepalive=0,
            tcp_timeout=3600,
            ssl_verify_upstream_trusted_ca=self._roots(),
        )

    def _roots(self) -> str:
        """The public roots, with `upstream_ca` beside them where there is one."""
        if self._options.upstream_ca is None:
            return certifi.where()
        parts = (Path(certifi.where()), self._options.upstream_ca)
        path = self._options.confdir / "upstream-roots.pem"
        path.write_bytes(b"\n".join(part.read_bytes() for part in parts))
        return str(path)

    def _hooks(self, h2c: disable_h2c.DisableH2C, tls: Tls) -> dict[str, tuple[Hook, ...]]:
        """Every hook that runs, in order. INVARIANT: in `request`, nothing comes after ours."""
        ours = self._addon
        return {
            "next_layer": (self._choose_layer,),
            "client_disconnected": (ours.client_disconnected,),
            "server_connect": (self._server.server_connect,),
            "tls_clienthello": (tls.tls_clienthello,),
            "tls_start_client": (tls.tls_start_client,),
            "tls_start_server": (tls.tls_start_server,),
            "tls_failed_client": (tls.tls_failed_client,),
            "http_connect": (ours.http_connect,),
            "requestheaders": (ours.requestheaders,),
            "upload_begins": (ours.upload_begins,),
            "request": (h2c.request, ours.request),
            "responseheaders": (ours.responseheaders,),
            "response": (ours.response,),
            "socket_heard": (ours.socket_heard,),
            "socket_ended": (ours.socket_ended,),
            "error": (ours.error,),
        }

    def _choose_layer(self, ask: NextLayer) -> None:
        """Our HTTP layer, an unopened tunnel, or what the stock addon makes of TLS."""
        context = ask.context
        if self._addon.is_passed(context.client.id):
            ask.layer = self._unopened(context)
        elif starts_like_tls_record(ask.data_client()):  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
            self._next_layer.next_layer(ask)
        else:
            is_inside = any(isinstance(layer, BondHttpLayer) for layer in context.layers)
            mode = HTTPMode.transparent if is_inside else HTTPMode.regular
            ask.layer = BondHttpLayer(
                context,
                mode,
                self._addon,
                parent=self._options.parent,
                discard_bytes=self._options.discard_bytes,
            )

    def _unopened(self, context: Context) -> Layer:
        """What carries an unopened tunnel, where its bytes go from here or through the parent."""
        bytes_only = TCPLayer(context, ignore=True)
        parent = self._options.parent
        if parent is None or not self._addon.is_beyond(context.client.id):
            return bytes_only
        return (through(parent, context, carrier_to(parent)) / bytes_only)[0]

    # What the hooks ask.

    def hang_up(self, flow: HTTPFlow) -> None:
        """End a call by its connection: to the teacher, or where there is none yet, to the client.

        `flow.kill()` would not stop a stream in transit. It happens soon: a layer may be running.
        """
        asyncio.get_running_loop().call_soon(self._close, flow)

    def _close(self, flow: HTTPFlow) -> None:
        handler = self._server.connections.get(flow.client_conn.id)
        ends: tuple[Connection, ...] = (carrier_of(flow.server_conn), flow.client_conn)
        if handler:
            found = [end for end in ends if end in handler.transports]
            for end in found[:1]:
                handler.close_connection(end)

    def is_backed_up(self, flow: HTTPFlow) -> bool:
        """Whether bytes for the client wait in its socket's buffer."""
        handler = self._server.connections.get(flow.client_conn.id)
        io = handler.transports.get(flow.client_conn) if handler else None
        if io is None or not isinstance(io.writer, asyncio.StreamWriter):
            return False
        return io.writer.transport.get_write_buffer_size() > 0

    # The end.

    async def drain(self) -> None:
        """Stop accepting, wait for calls to the deadline, end the rest, and return.

        mitmproxy's own shutdown fires no `error` for calls under way; here each has ended its
        passage before this returns, so that the ledger may be closed.
        """
        if self._instance.is_running:
            await self._instance.stop()
        await self._until(self._is_idle, within_s=self._options.drain_s)
        self._addon.cut_all()
        await self._until(lambda: not self._addon.open_calls, within_s=_GRACE_S)
        await self._until(self._is_closed, within_s=_GRACE_S)

    async def _until(self, is_so: Callable[[], bool], *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110 - mitmproxy's table of connections has no event
            await asyncio.sleep(_TICK_S)

    def _is_idle(self) -> bool:
        """Close clients that carry nothing; tells whether no other is left."""
        return self._close_clients(lambda client: not self._addon.is_busy(client))

    def _is_closed(self) -> bool:
        return self._close_clients(lambda _: True)

    def _close_clients(self, which: Callable[[str], bool]) -> bool:
        for handler in list(self._server.connections.values()):
            io = handler.transports.get(handler.client)
            if io and io.handler and which(handler.client.id):  # else it is beginning or ending
                handler.close_connection(handler.client)
        return not self._server.connections


def _unchecked(_: MessageData) -> None:
    """Take a message as it was made."""

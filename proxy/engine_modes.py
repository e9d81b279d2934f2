"""mitmproxy's listening socket and client connections as we need them; part of the engine."""

import asyncio
import collections
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitmproxy.addons import tlsconfig
from mitmproxy.certs import CertStore
from mitmproxy.connection import Connection
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events, mode_servers, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from proxy.engine_parent import carrier_of

__all__ = ["BondMode", "Hook", "Instance", "Site", "Tls"]

_BACKLOG = 1024
_MAX_CONNECTIONS = 10_000
"""To one address from one client: the stock five would queue the calls of an HTTP/2 client."""

_HIGH_WATER_BYTES = 64 * 1024
"""Where asyncio, too, begins to hold writers back."""

_HOLDING = frozenset({"requestheaders", "socket_heard", "upload_begins"})
"""Hooks during which no more is read of the client."""

_log = logging.getLogger(__name__)

type Hook = Callable[[Any], Awaitable[None] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every client connection of one engine needs."""

    master: Master
    hooks: Mapping[str, tuple[Hook, ...]]
    sweep: Callable[[str], Awaitable[None]]
    """Called with the id of a client connection when it is over."""
    is_held: Callable[[str], bool]
    """Whether no more may be read of the client connection with this id for now."""
    is_shared_port: bool


class BondMode(mode_specs.RegularMode):  # type: ignore[no-untyped-call] # mitmproxy's __init_subclass__
    """Proxy and base-URL requests on one port."""

    description = "inbond"


class Tls(tlsconfig.TlsConfig):
    """Signs with our authority, and never makes one of its own as the stock addon would."""

    name = "tlsconfig"

    def __init__(self, authority: Path, confdir: Path) -> None:
        self.certstore = CertStore.from_files(authority, confdir / "dhparam.pem")

    def configure(self, updated: object) -> None:
        """Do nothing: the store is given."""

    def tls_start_client(self, tls_start: TlsData) -> None:
        """Begin TLS with a client."""
        super().tls_start_client(tls_start)
        _keep_no_buffers(tls_start)

    def tls_start_server(self, tls_start: TlsData) -> None:
        """Begin TLS with a teacher."""
        super().tls_start_server(tls_start)
        _keep_no_buffers(tls_start)

    def tls_failed_client(self, data: TlsData) -> None:
        """Say for which host a client did not take our certificate: it cannot tell us itself."""
        address = data.context.server.address
        if address is not None:
            _log.warning(
                "a client did not accept inbond's certificate for `%s`: give it the CA as `inbond run` "
                "does, or name the host in `unlisted_hosts.tunnel` if it trusts another alone",
                address[0],
            )


def _keep_no_buffers(tls_start: TlsData) -> None:
    """Have OpenSSL hold buffers only while a record passes: of a quiet stream they are most of it."""
    if tls_start.ssl_conn is not None:
        ssl = tls_start.ssl_conn._ssl  # noqa: SLF001 - a context in use takes no mode any more
        SSL._lib.SSL_set_mode(ssl, SSL.MODE_RELEASE_BUFFERS)  # type: ignore[attr-defined] # noqa: SLF001 - as above


class _Handler(mode_servers.ProxyConnectionHandler):
    """One client connection, its hooks called from a prepared table.

    The stock handler gives each hook a task that starts in a later turn of the loop, and takes a lock
    around each event. Here a hook runs at once, and only one that waits for something leaves its turn.
    """

    def __init__(self, site: Site, reader: Any, writer: Any, mode: mode_specs.ProxyMode) -> None:
        super().__init__(site.master, reader, writer, site.master.options, mode)  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        self._site = site
        self._opening = 0
        self._opened = asyncio.Event()
        self.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(_MAX_CONNECTIONS))
        self._waiting: collections.deque[events.Event] = collections.deque()
        self._is_handling = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def server_event(self, event: events.Event) -> None:
        """Let the layers handle an event and do what they say; never gives up its turn.

        What a hook adds meanwhile waits until the layers are done with the event before.
        """
        self._waiting.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        self.timeout_watchdog.register_activity()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        try:
            while self._waiting:
                for command in self.layer.handle_event(self._waiting.popleft()):
                    self._obey(command)
        except Exception as error:  # noqa: BLE001 - as the stock handler: a crash ends the connection
            self.log("mitmproxy has crashed!", logging.ERROR, exc_info=error)
        finally:
            self._is_handling = False
            self._opened.set()

    def _obey(self, command: commands.Command) -> None:
        if isinstance(command, commands.StartHook):
            self._start(self._run_hook(command), is_now=True)
        elif isinstance(command, commands.OpenConnection):
            handler = self._start(self.open_connection(command))
            self.transports[command.connection] = ConnectionIO(handler=handler)
        elif isinstance(command, commands.ConnectionCommand):
            connection = carrier_of(command.connection)
            if connection in self.transports:  # else it has been closed already
                self._obey_on(connection, command)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(self._start(self.wakeup(command)))
        elif not isinstance(command, commands.Log):
            raise TypeError

    def _obey_on(self, connection: Connection, command: commands.ConnectionCommand) -> None:
        if isinstance(command, commands.SendData):
            writer = self.transports[connection].writer
            if writer and not writer.is_closing():
                writer.write(command.data)
        elif isinstance(command, commands.CloseTcpConnection):
            self.close_connection(connection, command.half_close)
        elif isinstance(command, commands.CloseConnection):
            self.close_connection(connection)
        else:
            raise TypeError

    def _start(
        self, work: Coroutine[Any, Any, None], *, is_now: bool = False
    ) -> asyncio.Task[None]:
        """Begin a task in the next turn or now, and keep it: the loop itself would not."""
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=is_now)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _run_hook(self, hook: commands.StartHook) -> None:
        await self.handle_hook(hook)
        if hook.blocking:
            await self.server_event(events.HookCompleted(hook))

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Run the hooks of one event; what breaks outside ours ends the connection."""
        (data,) = hook.args()
        is_opening = hook.name in _HOLDING
        self._opening += is_opening
        with self.timeout_watchdog.disarm():
            try:
                for call in self._site.hooks.get(hook.name, ()):
                    waiting = call(data)
                    if waiting is not None:
                        await waiting
            except Exception as error:  # noqa: BLE001 - a hook is a rim: what breaks is not let through
                if isinstance(data, ServerConnectionHookData):
                    data.server.error = "a hook broke"  # else it is dialled all the same
                self._abort(f"{hook.name}: {type(error).__name__}")
            finally:
                if is_opening:
                    self._opening -= 1
                    self._opened.set()

    async def handle_client(self) -> None:
        """Serve the client to its end, then end what it left behind."""
        await super().handle_client()
        await self._site.sweep(self.client.id)

    async def drain_writers(self) -> None:
        """Wait for slow readers, but only where a buffer is full: this runs for every chunk.

        While the gate looks at a request, or an upload has no connection to go to yet, no more is
        read of the client: a layer that waits would queue the upload in memory.
        """
        while self._is_held() and asyncio.current_task() is self.transports[self.client].handler:
            self._opened.clear()
            await self._opened.wait()
        for io in self.transports.values():
            if _is_full(io.writer):
                await super().drain_writers()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
                return

    def _is_held(self) -> bool:
        return bool(self._opening) or self._site.is_held(self.client.id)

    def log(self, message: str, level: int = logging.INFO, exc_info: Any = None) -> None:
        """Drop mitmproxy's messages, which quote headers (P4); a crash ends the connection (P9)."""
        del message, exc_info
        if level >= logging.ERROR:
            self._abort("a layer of mitmproxy")

    def _abort(self, what: str) -> None:
        _log.error("connection ended, since this broke: %s", what)
        io = self.transports.get(self.client)
        if io and io.handler:
            self.close_connection(self.client)


def _is_full(writer: object) -> bool:
    if not isinstance(writer, asyncio.StreamWriter):  # not connected yet
        return False
    return writer.transport.get_write_buffer_size() > _HIGH_WATER_BYTES


class Instance(mode_servers.AsyncioServerInstance[BondMode]):  # type: ignore[no-untyped-call] # mitmproxy's __init_subclass__
    """The listening socket of one worker."""

    def __init__(self, mode: BondMode, manager: mode_servers.ServerManager, site: Site) -> None:
        super().__init__(mode, manager)
        self._site = site

    def make_top_layer(self, context: Context) -> Layer:
        """The outermost layer of a new client connection."""
        return modes.HttpProxy(context)

    async def listen(self, host: str, port: int) -> list[Any]:
        """Listen; with a shared port, beside the other workers."""
        is_shared = self._site.is_shared_port or None
        server = await asyncio.start_server(
            self.handle_stream, host, port, reuse_port=is_shared, backlog=_BACKLOG
        )
        return [server]

    async def handle_stream(self, reader: Any, writer: Any = None) -> None:
        """Serve one client."""
        handler = _Handler(self._site, reader, writer, self.mode)
        handler.layer = self.make_top_layer(handler.layer.context)
        with self.manager.register_connection(handler.client.id, handler):
            await handler.handle_client()

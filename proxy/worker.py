"""One proxy process: engine, gate and recorder wired together, from start to drained end."""

import asyncio
import contextlib
import gc
import json
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from policies.bundle import Bundle
from proxy.address import resolve
from proxy.anchors import overdue, places_of
from proxy.authority import ensure_authority
from proxy.batches import Batches
from proxy.clearances import Clearances
from proxy.clock import new_id, stamp, utc_now
from proxy.contributors import ContributorsOnRecord
from proxy.counting import Counting
from proxy.declared import declared_in
from proxy.detectors import load_detectors
from proxy.engine import Engine, EngineOptions
from proxy.errors import LedgerError
from proxy.gatehouse import Gatehouse, Identities
from proxy.identity import load_custody
from proxy.inforce import bundle_in_force
from proxy.keyfile import replace_file
from proxy.keyring import LedgerKeyRing
from proxy.keys import keys_of
from proxy.parent import load_parent
from proxy.recorder import Recorder
from proxy.registry import registry_of
from proxy.reload import Follower
from proxy.services import Delivery, Services
from proxy.settings import Settings
from proxy.store.checkpoints import Signer
from proxy.store.counters import Tallies
from proxy.store.log import Log
from proxy.store.recovery import Lease, recover_silent
from proxy.store.session import Database, open_database
from proxy.unlisted import UnlistedHosts

__all__ = ["Worker", "run_worker"]

_LOG = structlog.get_logger("inbond.worker")
_REFRESH_S = 1.0
_YOUNG = 5_000
"""New objects between two runs of the garbage collector: a call makes some hundreds."""


class Worker:
    """What one process holds while it runs. Close it after the engine has drained."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Open everything; nothing listens yet.

        Raises:
            ProxyError: something it needs cannot be read, or the ledger is not the one signed last;
                nothing stays open then.
        """
        self.id = f"worker-{new_id()}"
        self.settings = settings
        self._state = "starting"
        keys = keys_of(settings)
        custody = load_custody(settings, environ)
        self._parent = load_parent(settings, environ)
        registry = registry_of(settings)
        # INVARIANT: what is opened last is closed first: the recorder writes what is owed, then the
        # lease tells that nothing more comes, then the database goes.
        with ExitStack() as opened:
            opened.callback(self._status_path.unlink, missing_ok=True)
            self.database = open_database(settings.database, directory=settings.directory)
            opened.callback(self.database.close)
            log = self._log = Log(self.database, settings.lock_path)
            Signer(log, keys.log, settings.last_checkpoint_path).check()
            self.bundle = bundle_in_force(self.database)
            counting = Counting(self.bundle, keys.fingerprint)
            self._lease = Lease(settings.run_directory, self.id, self.database)
            opened.callback(self._lease.release)
            _prune(self.database)
            self.recorder = Recorder(log, limit=settings.limits.queue)
            opened.callback(self.recorder.close)
            self.ring = LedgerKeyRing(self.database)
            self._detectors = load_detectors(settings.detectors)
            opened.callback(self._detectors.close)
            services = self._services(self.bundle, counting, keys.fingerprint)
            self._follower = Follower(
                self.database,
                self.bundle.digest,
                lambda bundle: replace(
                    services, bundle=bundle, counting=Counting(bundle, keys.fingerprint)
                ),
            )
            self.gatehouse = Gatehouse(
                services=services,
                registry=registry,
                identities=Identities(
                    ring=self.ring, custody=custody, fingerprint_key=keys.fingerprint
                ),
                unlisted=UnlistedHosts(
                    settings.unlisted,
                    tunnel=settings.unlisted_hosts.tunnel,
                    private=settings.unlisted_hosts.private,
                ),
            )
            places = () if settings.anchors.required_within_s is None else places_of(settings)
            self._required = [(place.kind, place.name) for place in places]
            self._opened = opened.pop_all()

    @property
    def _status_path(self) -> Path:
        return self.settings.run_directory / f"{self.id}.json"

    def _services(self, bundle: Bundle, counting: Counting, secret: bytes) -> Services:
        return Services(
            bundle=bundle,
            counting=counting,
            recorder=self.recorder,
            worker=self.id,
            keep_wire=self.settings.keep_wire,
            request_limit_bytes=self.settings.limits.request_bytes,
            answer_limit_bytes=self.settings.limits.answer_bytes,
            unannounced_limit_bytes=self.settings.limits.unannounced_bytes,
            now=utc_now,
            resolve=resolve if self._parent is None else self._parent.resolve,
            clearance=Clearances(self.database).find,
            contributors=ContributorsOnRecord(self.database),
            declared=declared_in(self.settings),
            batches=Batches(
                database=self.database,
                secret=secret,
                directory=self.settings.run_directory,
            ),
            delivery=_delivery(self.settings),
            detectors=self._detectors,
        )

    async def serve(self, stop: asyncio.Event, *, is_shared_port: bool) -> None:
        """Listen until `stop` is set, then drain.

        Raises:
            ProxyError: the port is taken, or the keys cannot be read.
        """
        await self.ring.refresh()
        await asyncio.to_thread(self._look_at_anchors)
        engine = Engine(self._engine_options(is_shared_port=is_shared_port), self.gatehouse)
        host, port = await engine.start()
        _settle()
        self._state = "ready"
        said = json.dumps({**self._announce(), "host": host, "port": port})
        print(said, flush=True)  # noqa: T201 - the line that its supervisor waits for
        async with asyncio.TaskGroup() as group:
            refreshing = group.create_task(self._refresh())
            await stop.wait()
            self._state = "draining"
            self._announce()
            await engine.drain()
            refreshing.cancel()

    def _engine_options(self, *, is_shared_port: bool) -> EngineOptions:
        settings = self.settings
        authority = ensure_authority(
            settings.keys_directory, organisation=settings.organisation, now=utc_now()
        )
        return EngineOptions(
            host=settings.listen.host,
            port=settings.listen.port,
            authority=authority.pem,
            confdir=settings.run_directory / "engine",
            upstream_ca=settings.upstream_ca,
            parent=self._parent,
            is_shared_port=is_shared_port,
            drain_s=settings.drain_s,
            upstream_timeout_s=settings.upstream.timeout_s,
        )

    async def _refresh(self) -> None:
        """Keep the key ring, the policies and the status file fresh."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                await self.ring.refresh()
            except LedgerError as error:
                _warn("keys not refreshed", error.message)
            await self._show_presence()
            await asyncio.to_thread(self._look_at_anchors)
            services = await self._follower.look()
            if services is not None:
                self.bundle = services.bundle
                self.gatehouse.renew(services)
            self._announce()

    async def _show_presence(self) -> None:
        """Tell other hosts that this worker is alive, and end the calls of one that is silent."""
        try:
            if await asyncio.to_thread(self._lease.renew):
                await asyncio.to_thread(recover_silent, self._log, self.settings.run_directory)
        except LedgerError as error:
            _warn("presence not renewed", error.message)

    def _look_at_anchors(self) -> None:
        """Refuse calls while anchors that the settings require are late."""
        within_s = self.settings.anchors.required_within_s
        if within_s is None:
            return
        try:
            with self.database.read() as connection:
                late = overdue(connection, self._required, utc_now(), within_s)
        except LedgerError as error:  # calls that need the ledger say so themselves
            _warn("anchors not looked at", error.message)
            return
        if late is not None:
            late = f"the ledger is not anchored in time: {late}"
        self.gatehouse.hold(None if late is None else LedgerError(late, code="not-anchored"))

    def _announce(self) -> dict[str, object]:
        """Write how this worker is where `inbond status` reads it; gives what was written."""
        record = {
            "worker": self.id,
            "pid": os.getpid(),
            "state": self._state,
            "policy": self.bundle.digest,
            "policy_problem": self._follower.problem,
            "at": stamp(utc_now()),
            "waiting": self.recorder.waiting,
            "turned_away": dict(self.gatehouse.counts),
            "passed": dict(self.gatehouse.passed.counts),
        }
        try:
            replace_file(self._status_path, json.dumps(record).encode(), mode=0o600)
        except OSError as error:  # a full disk refuses calls, and ends none that are under way
            _warn("status not written", error.strerror)
        return record

    def close(self) -> None:
        """Write what is owed, then let go of the lease and the database."""
        self._opened.close()


def _prune(database: Database) -> None:
    """Delete what no counter looks at any more; a count deletes it too, so that it may wait."""
    try:
        with database.write() as connection:
            Tallies().prune(connection, utc_now())
    except LedgerError as error:  # a full or locked disk: calls say so themselves
        _warn("old tallies not deleted", error.message)


def _delivery(settings: Settings) -> Delivery:
    held = {entry: way == "buffer" for entry, way in settings.deliveries.items()}
    return Delivery(is_buffered=settings.delivery == "buffer", exceptions=held)


def _settle() -> None:
    """Let the garbage collector pass over what start-up made: it stays, and is most of the heap.

    Calls leave cycles behind (mitmproxy's flows), so it must run; each run then costs only them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()


def _warn(event: str, reason: str | None) -> None:
    with contextlib.suppress(OSError):  # the disk of the log may be full too
        _LOG.warning(event, reason=reason)


async def run_worker(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    is_shared_port: bool,
    stop: asyncio.Event | None = None,
) -> None:
    """Run one worker until SIGTERM, SIGINT or `stop`, drain it and close the ledger.

    Raises:
        ProxyError: it cannot start; the message says why and what to do.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    worker = Worker(settings, environ)
    try:
        await worker.serve(stop, is_shared_port=is_shared_port)
    finally:
        worker.close()

"""`inbond up`, `proxy`, `console` and `status`: the composition root of the running system."""

import asyncio
import gc
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from proxy.cli.anchor import anchor_often
from proxy.cli.openledger import Ledger, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.errors import BundleError, ForkError, LedgerError, ProxyError, SettingsError
from proxy.settings import Address, Settings

if TYPE_CHECKING:
    from proxy.anchors import Anchors
    from proxy.reload import Turn
    from proxy.supervisor import Child, Ready

__all__ = ["console", "proxy", "status", "up"]

_RETRY_S = 5.0
_WATCH_S = 1.0
"""How often a running proxy looks for changed policies."""
_RETAIN_S = 86_400.0
"""How often a running proxy erases what is due."""
_KEY_LOGS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")
"""Where the TLS stacks would write the secrets of every connection; mitmproxy reads them on import."""


@click.command()
@json_option
@with_settings
def up(settings: Settings, *, is_json: bool) -> None:
    """Run the proxy's workers and the console on this machine, until interrupted."""
    ports = {"listen": settings.listen, "console": settings.console}
    _supervise(settings, [*_workers(settings), _console(settings)], ports, is_json=is_json)


@click.command()
@click.option("--worker", is_flag=True, hidden=True, help="Be one worker of a running proxy.")
@json_option
@with_settings
def proxy(settings: Settings, *, worker: bool, is_json: bool) -> None:
    """Run the proxy's workers alone, until interrupted."""
    if not worker:
        _supervise(settings, _workers(settings), {"listen": settings.listen}, is_json=is_json)
        return
    from proxy.logs import configure_logs

    for name in _KEY_LOGS:
        os.environ.pop(name, None)
    configure_logs(is_service=True)
    asyncio.run(_be_worker(settings))


async def _be_worker(settings: Settings) -> None:
    gc.disable()  # what start-up makes stays; the worker turns it on once it listens
    from proxy.supervisor import when_orphaned
    from proxy.worker import run_worker

    stop = asyncio.Event()
    when_orphaned(stop.set)
    await run_worker(settings, os.environ, is_shared_port=settings.workers > 1, stop=stop)


@click.command()
@click.option("--child", is_flag=True, hidden=True, help="Be the console of a running proxy.")
@json_option
@with_settings
def console(settings: Settings, *, child: bool, is_json: bool) -> None:
    """Run the console alone: health and status, on its own port."""
    from proxy.cli.console import serve_console
    from proxy.logs import configure_logs
    from proxy.nearing import Gauges
    from proxy.status import status_of
    from proxy.store.session import open_database

    configure_logs(is_service=is_json)
    with _bound(settings.console, "console") as listener:
        host, port, *_ = listener.getsockname()

        def on_ready() -> None:
            if is_json:
                print_record({"host": host, "port": port}, is_json=True)
                sys.stdout.flush()
            else:
                note(f"console on http://{Address(host=host, port=port)}")

        database = open_database(settings.database, directory=settings.directory)
        gauges = Gauges(database)
        try:
            asyncio.run(
                serve_console(
                    listener,
                    lambda: status_of(settings, database, gauges),
                    is_child=child,
                    on_ready=on_ready,
                )
            )
        finally:
            database.close()


@click.command()
@json_option
@with_settings
def status(settings: Settings, *, is_json: bool) -> None:
    """Say how the installation is; exits with 1 where calls cannot be made."""
    from proxy.nearing import Gauges
    from proxy.status import status_of, workers_of

    with open_ledger(settings) as ledger:
        report = status_of(settings, ledger.database, Gauges(ledger.database))
    alive = [asdict(worker) for worker in workers_of(settings) if worker.is_fresh]
    record = report.model_dump(mode="json")
    if is_json:
        print_record({**record, "workers": alive}, is_json=True)
    else:
        findings, passed = record.pop("findings"), record.pop("passed")
        counted, anchors = record.pop("counted"), record.pop("anchors")
        print_record(record, is_json=False)
        print_rows(counted, is_json=False, empty="no rule sets a limit on what was counted")
        print_rows(findings, is_json=False, empty="no unlisted gateway was called")
        print_rows(_counted(passed), is_json=False, empty="nothing passed to unlisted hosts")
        print_rows(anchors, is_json=False, empty="nobody is told of checkpoints")
        print_rows(alive, is_json=False, empty="no worker runs")
    if report.problems:
        raise SystemExit(1)


def _counted(passed: Mapping[str, int]) -> list[dict[str, object]]:
    """What passed to unlisted hosts, the most used first."""
    ordered = sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    return [{"unlisted host": host, "passed": count} for host, count in ordered]


def _workers(settings: Settings) -> "list[Child]":
    from proxy.supervisor import Child

    command = [*_inbond(settings), "proxy", "--worker", "--json"]
    return [
        Child(name=f"worker {n + 1}", command=command, stop_s=settings.drain_s)
        for n in range(settings.workers)
    ]


def _console(settings: Settings) -> "Child":
    from proxy.supervisor import Child

    command = [*_inbond(settings), "console", "--child", "--json"]
    return Child(name="console", command=command, stop_s=1.0)


def _inbond(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "proxy.cli", "-C", str(settings.directory)]


def _supervise(
    settings: Settings, children: "list[Child]", ports: Mapping[str, Address], *, is_json: bool
) -> None:
    """Check everything that can be checked, then start the children and keep them running."""
    from proxy.identity import load_custody
    from proxy.logs import configure_logs
    from proxy.parent import load_parent
    from proxy.registry import registry_of

    configure_logs(is_service=is_json)
    registry_of(settings)
    load_custody(settings, os.environ)
    load_parent(settings, os.environ)
    settings.run_directory.mkdir(mode=0o700, exist_ok=True)
    with _alone(settings):
        for setting, address in ports.items():
            # Workers that share a port would not notice that another program listens there.
            _bound(address, setting).close()
        if settings.workers > 1 and not settings.listen.port:
            raise SettingsError(
                f"`workers` is {settings.workers}, and `listen` leaves the port to the system",
                help="workers share one port: name it in `listen`",
                where="listen",
                code="bad-value",
            )
        with open_ledger(settings) as ledger:
            house = _House(settings, ledger, is_json=is_json)
            house.prepare()
            asyncio.run(house.keep(children))


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    from proxy.store.lock import try_lock

    descriptor = try_lock(settings.run_directory / "proxy.lock")
    if descriptor is None:
        raise ProxyError(
            "a proxy of this workspace runs already",
            help="stop it first, or see `inbond status`",
            where=str(settings.directory),
            code="runs-already",
        )
    try:
        yield
    finally:
        os.close(descriptor)


class _House:
    """What the supervisor's process does for its children: policies, recovery, checkpoints."""

    def __init__(self, settings: Settings, ledger: Ledger, *, is_json: bool) -> None:
        from proxy.reload import Watch

        self._settings = settings
        self._ledger = ledger
        self._is_json = is_json
        self._watch = Watch(settings, ledger.log, actor())
        self._worker_of: dict[str, str] = {}
        self._death = asyncio.Event()
        self._anchors = _anchors(settings, ledger)

    def prepare(self) -> None:
        """End what a crash left open, put the workspace's policies in force, and sign."""
        for left in self._settings.run_directory.glob("worker-*.json"):
            left.unlink(missing_ok=True)
        if self._anchors is not None:
            self._anchors.check()
        self._recover()
        self._tell(self._watch.start())
        self._ledger.signer.sign()

    def _tell(self, turn: "Turn") -> None:
        """Say what became of the workspace's policies."""
        from policies.diagnostics import render

        for warning in turn.warnings:
            note(render(warning))
        if turn.problem is None:
            note(f"policies in force: {turn.bundle}")
        else:
            note(
                f"the policies of the workspace are not in force, the last that were stay: {turn.problem}"
            )

    async def keep(self, children: "list[Child]") -> None:
        """Run the children until interrupted; then record what they left, and sign."""
        from proxy.supervisor import Supervisor

        supervisor = Supervisor(children, on_ready=self._greet, on_death=self._mourn)
        try:
            async with asyncio.TaskGroup() as group:
                chores = [
                    group.create_task(self._sign_often()),
                    group.create_task(self._recover_each()),
                    group.create_task(self._watch_policies()),
                    group.create_task(self._retain_daily()),
                    *self._anchoring(group),
                ]
                try:
                    await supervisor.run()
                finally:
                    for chore in chores:
                        chore.cancel()
        except* (ProxyError, OSError) as errors:
            raise errors.exceptions[0] from None
        self._recover()
        self._ledger.signer.sign()

    def _anchoring(self, group: asyncio.TaskGroup) -> "list[asyncio.Task[None]]":
        """The task that shows checkpoints to others, where the settings name some."""
        settings = self._settings.anchors
        if self._anchors is None:
            return []
        return [group.create_task(anchor_often(self._anchors, settings.every_s, note))]

    def _greet(self, ready: "Ready") -> None:
        self._worker_of[ready.child] = str(ready.said.get("worker", ""))
        if self._is_json:
            click.echo(json.dumps({"ready": ready.child, **ready.said}))
        else:
            note(f"{ready.child} ready on {ready.said.get('host')}:{ready.said.get('port')}")

    def _mourn(self, child: str) -> None:
        """Forget what a dead child said about itself, and have its calls recorded."""
        if worker := self._worker_of.pop(child, ""):
            (self._settings.run_directory / f"{worker}.json").unlink(missing_ok=True)
        self._death.set()

    async def _watch_policies(self) -> None:
        """Put changed policies in force, once they are sound."""
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                turn = await asyncio.to_thread(self._watch.turn)
            except ForkError:
                raise
            except LedgerError as error:
                note(f"changed policies wait for the ledger: {error.message}")
                continue
            if turn is not None:
                self._tell(turn)

    async def _recover_each(self) -> None:
        """After each death end its calls, as soon as the ledger can be written."""
        while True:
            await self._death.wait()
            self._death.clear()
            try:
                await asyncio.to_thread(self._recover)
            except ForkError:
                raise
            except LedgerError as error:
                note(f"calls of a dead worker are not recorded yet: {error.message}")
                await asyncio.sleep(_RETRY_S)
                self._death.set()

    def _recover(self) -> None:
        from proxy.store.recovery import recover

        lost = recover(self._ledger.log, self._settings.run_directory)
        if lost:
            note(f"calls cut off when their worker died, now recorded as interrupted: {lost}")

    async def _sign_often(self) -> None:
        """Sign a checkpoint every so often, if the log grew."""
        while True:
            await asyncio.sleep(self._settings.checkpoint_every_s)
            try:
                await asyncio.to_thread(self._ledger.signer.sign)
            except ForkError:
                raise
            except LedgerError as error:
                note(f"no checkpoint was signed: {error.message}; it is tried again later")

    async def _retain_daily(self) -> None:
        """Erase what the retention classes say is due, at the start and once a day."""
        while self._settings.retention.classes:
            try:
                await asyncio.to_thread(self._retain)
            except ForkError:
                raise
            except (BundleError, LedgerError) as error:
                note(f"nothing more was erased: {error.message}; it is tried again tomorrow")
            await asyncio.sleep(_RETAIN_S)

    def _retain(self) -> None:
        from proxy.cli.erase import eraser_of
        from proxy.retention import Retention

        eraser = eraser_of(self._settings, self._ledger)
        retention = Retention(eraser=eraser, classes=self._settings.retention.classes)
        for erased in retention.apply(retention.due()):
            note(f"exchanges whose bodies were erased by the retention classes: {erased.exchanges}")


def _anchors(settings: Settings, ledger: Ledger) -> "Anchors | None":
    """Who is told of checkpoints; None where the settings name nobody."""
    named = settings.anchors
    if not (named.files or named.timestamps or named.witnesses):
        return None
    from proxy.anchors import anchors_of

    return anchors_of(settings, ledger.database, ledger.signer.verifier)


def _bound(address: Address, setting: str) -> socket.socket:
    """A socket bound to an address that nobody else listens on."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise ProxyError(
            f"cannot listen on `{address}`: {(error.strerror or str(error)).lower()}",
            help=f"stop the program that listens there, or choose another `{setting}`",
            where=str(address),
            code="port-taken",
        ) from error

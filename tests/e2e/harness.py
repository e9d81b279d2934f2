"""A workspace with teachers and keys, and the real processes of inbond that run in it.

Everything is on 127.0.0.1 and on free ports. Processes are ended by their ids.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from proxy.approval import approve, read_paper
from proxy.cli.init import make_workspace
from proxy.cli.openledger import Ledger, open_ledger
from proxy.ledger.entry import CallEntry, DecisionRecord, ExchangeEntry, exchange_of
from proxy.providers import FormatName
from proxy.route import TeacherSettings
from proxy.settings import Settings, load_settings
from proxy.store.bodies import Absent, read_body
from proxy.store.queries import entries
from proxy.store.session import Database, open_database
from proxy.wire.dialects import FORMATS

__all__ = [
    "CUSTODY",
    "MODEL",
    "Done",
    "Record",
    "Running",
    "Workspace",
    "found_template",
    "free_ports",
    "until",
]

MODEL = "smollm2-135m-instruct"
CUSTODY = {
    "TEACHER_KEY": "custody-canary-teacher",
    "OPENAI_REAL_KEY": "custody-canary-openai",
    "ANTHROPIC_REAL_KEY": "custody-canary-anthropic",
}
"""The providers' keys in custody: each is a canary."""

_STUDENTS = {
    "shop-assistant": ("distil-narrow", "generate", "[]", "internal"),
    "rival": ("distil-general", "generate", "[OpenAI, Anthropic]", "service"),
}
_HOUSE_RULES = """\
inbond: 1
policy: house-rules
layer: organisation
party: Acme Test
owner: legal@example.org
reviewed: 2026-11-24
rules:
  - id: asks-logprobs
    review: request
    when: {request.logprobs: true}
    because: Log-probabilities are asked for seldom enough to ask why.
    fix: Do without, or ask a reviewer.
  - id: cut-short
    review: training
    when: {response.finish: length}
    because: An answer that stops in the middle teaches a student to stop in the middle.
    fix: A reviewer clears the example, or drops it.
"""
_SETTINGS = """
listen: 127.0.0.1:{listen}
console: 127.0.0.1:{console}
upstream: {{ca: upstream-ca.pem, timeout_s: {timeout_s}}}
custody:
  plain: {{account: plain-account, env: TEACHER_KEY}}
  sealed: {{account: sealed-account, env: TEACHER_KEY}}
  claude: {{account: claude-account, env: TEACHER_KEY}}
  every: {{account: every-account, env: TEACHER_KEY}}
  openai-api: {{account: main, env: OPENAI_REAL_KEY}}
  anthropic-api: {{account: main, env: ANTHROPIC_REAL_KEY}}
teachers:
"""
_TEACHER = """\
  - id: {id}
    host: {id}.teacher.test
    prefix: {id}
    formats: [{format}]
    auth: {auth}
    connect: "127.0.0.1:{port}"
    scheme: {scheme}
    model:
      id: {model}
      names: ["*"]
      repository: a package index
      revision: "1"
      licence: Apache-2.0
"""
_SPOKEN = tuple(name for name in FORMATS if name in get_args(FormatName.__value__))
"""The formats that a teacher of the settings may speak."""
_POLL_S = 0.02
_PATIENCE_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def found_template(folder: Path) -> Path:
    """A workspace with two approved students and a client key of each; copies of it are used."""
    settings = make_workspace(folder, organisation="Acme Test")
    rules = settings.policies_directory / "organisation" / "house-rules.yaml"
    rules.write_text(_HOUSE_RULES)
    (settings.policies_directory / "tests" / "house-rules.test.yaml").unlink()
    for name, facts in _STUDENTS.items():
        _declare(settings, name, *facts)
    keys = {
        name: _inbond(
            settings.directory, ["key", "create", "--project", f"for-{name}", "--student", name], {}
        ).record["secret"]
        for name in _STUDENTS
    }
    # Beside the workspace: what a client holds is no part of it.
    folder.with_suffix(".keys").write_text(json.dumps(keys))
    return folder


def _declare(
    settings: Settings, name: str, purpose: str, task: str, competes: str, release: str
) -> None:
    path = settings.policies_directory / "students" / f"{name}.yaml"
    path.write_text(
        f"inbond: 1\nstudent: {name}\nowner: shop@example.org\npurpose: {purpose}\ntask: {task}\n"
        f"competes_with: {competes}\nrelease: {release}\ncommercial: true\nname: {name}-1\n"
    )
    with open_ledger(settings) as ledger:
        approve(
            ledger.log,
            read_paper(path, settings.directory),
            actor="user:1",
            reason="agreed by two people",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        """The last JSON object on stdout."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The error that `--json` puts last on stderr."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return found


def _command(directory: Path, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "proxy.cli", "-C", str(directory), *words]


def _environ(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOND_")}
    return {**kept, **CUSTODY, **extra}


def _inbond(
    directory: Path, words: Sequence[str], environ: Mapping[str, str], *, is_child: bool = False
) -> Done:
    done = subprocess.run(
        _command(directory, words if is_child else [*words, "--json"]),
        env=_environ(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    return Done(status=done.returncode, out=done.stdout, err=done.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call as the ledger has it, with the bodies that can be opened."""

    seq: int
    call: CallEntry
    body: bytes
    exchanges: tuple[ExchangeEntry, ...]
    answer: bytes

    @property
    def exchange(self) -> ExchangeEntry:
        """The only exchange there is."""
        (exchange,) = self.exchanges
        assert exchange.id == exchange_of(self.call.id)
        return exchange

    @property
    def reading(self) -> dict[str, Any]:
        """The stored reading."""
        found: dict[str, Any] = json.loads(self.answer)
        return found

    @property
    def is_admitted(self) -> bool:
        """Whether the answer may be learned from, as far as the response gate goes."""
        decision: DecisionRecord | None = self.exchange.decision
        return self.exchange.is_whole and decision is not None and decision.verdict == "permit"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace, of one test or of several that follow each other."""

    directory: Path
    settings: Settings
    keys: Mapping[str, str]
    """Client keys by student."""
    earlier: int = 0
    """How many calls and how many characters of the log are of earlier tests."""
    logged: int = 0

    @classmethod
    def copy(
        cls,
        template: Path,
        folder: Path,
        *,
        plain: int = 9,
        sealed: int = 9,
        authority: bytes = b"",
        timeout_s: float = 600.0,
        more: str = "",
    ) -> "Workspace":
        """A copy of the template with teachers on these ports; `more` are further settings.

        `plain` and `replayed` speak OpenAI's format over TCP, `sealed` over TLS, `claude`
        Anthropic's over TLS, `every` all there are; `authority` is the PEM that vouches for the
        last three.
        """
        shutil.copytree(template, folder, copy_function=shutil.copy)
        for private in (folder / "keys").iterdir():
            private.chmod(0o600)
        (folder / "keys").chmod(0o700)
        listen, console = free_ports(2)
        (folder / "upstream-ca.pem").write_bytes(authority)
        text = (folder / "inbond.yaml").read_text()
        text += _SETTINGS.format(listen=listen, console=console, timeout_s=timeout_s)
        text += _teacher("plain", plain, "http", "openai.chat")
        text += _teacher("sealed", sealed, "https", "openai.chat, openai.batches, openai.files")
        text += _teacher("claude", sealed, "https", "anthropic.messages, anthropic.batches")
        text += _teacher("every", sealed, "https", ", ".join(_SPOKEN))
        (folder / "inbond.yaml").write_text(text + more)
        keys = json.loads(template.with_suffix(".keys").read_text())
        return cls(folder, load_settings(folder, {}, TeacherSettings), keys)

    @property
    def key(self) -> str:
        """The client key of the project that may learn."""
        return self.keys["shop-assistant"]

    @property
    def log_text(self) -> str:
        """What all processes wrote on stderr."""
        logs = sorted(self.directory.parent.glob(f"{self.directory.name}.*.err"))
        return "".join(path.read_text() for path in logs)[self.logged :]

    def from_now(self) -> "Workspace":
        """The same without what was called and logged so far: for the next test that shares it."""
        whole = replace(self, earlier=0, logged=0)
        return replace(self, earlier=len(whole.records()), logged=len(whole.log_text))

    def inbond(self, *words: str, is_child: bool = False, **environ: str) -> Done:
        """Run one command to its end; where it starts a child, that is who speaks."""
        return _inbond(self.directory, words, environ, is_child=is_child)

    async def said(self, *words: str, is_child: bool = False, **environ: str) -> Done:
        """Run one command to its end while the loop goes on."""
        return await asyncio.to_thread(self.inbond, *words, is_child=is_child, **environ)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, ready to append."""
        with open_ledger(self.settings) as ledger:
            yield ledger

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The database, to read."""
        database = open_database(self.settings.database, directory=self.directory)
        try:
            yield database
        finally:
            database.close()

    @contextlib.contextmanager
    def size(self) -> Iterator[Callable[[], int]]:
        """What tells how many entries are durable, as another program reads it."""
        path = self.directory / "inbond.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield lambda: int(connection.execute("SELECT size FROM log").fetchone()[0])

    def records(self) -> list[Record]:
        """Every call with its exchanges, in log order."""
        with self.database() as database, database.read() as connection:
            found = entries(connection, limit=10**6)
            ends: dict[str, list[ExchangeEntry]] = {}
            for stored in found:
                if isinstance(stored.entry, ExchangeEntry):
                    ends.setdefault(stored.entry.call, []).append(stored.entry)

            def opened(seal: str | None) -> bytes:
                body = read_body(connection, seal) if seal else b""
                return b"" if isinstance(body, Absent) else body

            return [
                Record(
                    seq=stored.seq,
                    call=stored.entry,
                    body=opened(stored.entry.request.seal),
                    exchanges=tuple(ends.get(stored.entry.id, ())),
                    answer=opened(_answer_seal(ends.get(stored.entry.id, ()))),
                )
                for stored in found
                if isinstance(stored.entry, CallEntry)
            ][self.earlier :]

    async def settled(self) -> list[Record]:
        """The same once each call has its exchange, while the proxy goes on."""
        await until(lambda: all(record.exchanges for record in self.records()))
        return self.records()

    @contextlib.asynccontextmanager
    async def running(self, noun: str = "proxy", **environ: str) -> AsyncIterator["Running"]:
        """`inbond proxy` or `inbond up` for the time of the block, once it is ready."""
        running = Running(self, noun)
        await running.start(environ)
        try:
            yield running
        finally:
            await running.end()


def _teacher(name: str, port: int, scheme: str, wire_format: str) -> str:
    auth = "x-api-key" if wire_format.startswith("anthropic") else "bearer"
    return _TEACHER.format(
        id=name, port=port, scheme=scheme, format=wire_format, auth=auth, model=MODEL
    )


def _answer_seal(exchanges: Sequence[ExchangeEntry]) -> str | None:
    return exchanges[0].answer.seal if exchanges and exchanges[0].answer else None


@dataclass(slots=True)
class Running:
    """A supervisor and its children, as real processes."""

    workspace: Workspace
    noun: str
    process: asyncio.subprocess.Process = field(init=False)

    @property
    def address(self) -> tuple[str, int]:
        """Where the proxy listens."""
        listen = self.workspace.settings.listen
        return listen.host, listen.port

    @property
    def url(self) -> str:
        """The proxy as a base URL."""
        return f"http://{self.workspace.settings.listen}"

    async def start(self, environ: Mapping[str, str]) -> None:
        """Start, and wait until each child is ready."""
        with self._file("out").open("wb") as out, self._file("err").open("ab") as err:
            self.process = await asyncio.create_subprocess_exec(
                *_command(self.workspace.directory, [self.noun, "--json"]),
                env=_environ(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        children = self.workspace.settings.workers + (self.noun == "up")
        try:
            await self.until_ready(children)
        except BaseException:
            await self.end()
            raise

    async def until_ready(self, count: int) -> None:
        """Wait until `count` children have said that they are ready, since the start."""
        await until(lambda: len(self.ready()) >= count or self.process.returncode is not None)
        assert self.process.returncode is None, self.workspace.log_text

    def ready(self) -> list[dict[str, Any]]:
        """What the children said when they were ready, in order."""
        lines = self._file("out").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def worker_pids(self) -> list[int]:
        """The ids of the workers' processes that were ever ready, in order."""
        return [said["pid"] for said in self.ready() if "pid" in said]

    def terminate(self) -> None:
        """Ask the supervisor to end."""
        self.process.terminate()

    async def end(self) -> int:
        """End in order what still runs, and make sure that nothing is left; gives the status."""
        if self.process.returncode is None:
            self.terminate()
        try:
            return await asyncio.wait_for(self.process.wait(), _PATIENCE_S)
        except TimeoutError:
            self.process.kill()
            for pid in self.worker_pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise

    def _file(self, suffix: str) -> Path:
        directory = self.workspace.directory
        return directory.with_name(f"{directory.name}.{self.noun}.{suffix}")


async def until(is_so: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> None:
    """Wait until something is true; the time is a bound for what hangs, not a claim about speed."""
    async with asyncio.timeout(patience_s):
        while not is_so():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(_POLL_S)

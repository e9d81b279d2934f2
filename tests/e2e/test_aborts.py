"""The abort matrix (P1, P2): however a call ends, and whenever, it is recorded once and rightly.

Ends × {before headers, mid-stream, after the terminal frame} × {TCP, TLS, a parent proxy and TLS, to
the teacher} × {base URL, opened tunnel, HTTP/2 in an opened tunnel} × every framing. Of these a cover
of all pairs is played, and all ends that one proxy can see go through it at the same time. HTTP/2 to the
teacher is gRPC's alone: tests/e2e/test_grpc.py.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import httpx
import pytest

from proxy.ledger.entry import exchange_of
from tests.e2e.caller import Answer, Caller
from tests.e2e.caller_http2 import Http2Caller
from tests.e2e.framings import FRAMINGS, Framing
from tests.e2e.harness import MODEL, Record, Running, Workspace, until
from tests.e2e.pairs import cover, pairs_of
from tests.e2e.teacher import Teachers, Visit, answer, ask, case_of, teachers
from tests.proxy.parent_proxy import ParentProxy, parent_proxy
from tests.proxy.upstream import Script, Step

pytestmark = pytest.mark.slow

PHASES = ("before-headers", "mid-stream", "after-end")
TEACHERS = {"tcp": "open", "tls": "every", "parent": "beyond"}
"""Who is asked, by the way to it."""
CLIENTS = ("base", "tunnel", "http2")
OUTCOMES = {
    "reset": "upstream_failed",
    "fin": "upstream_failed",
    "client-gone": "client_disconnected",
    "whole": "complete",
    "drain": "complete",
}
"""How a call is recorded whose end comes before its terminal frame."""
CREDENTIALS = "clerk:canary-of-the-parent"
_TEACHER = """\
  - id: {id}
    host: {id}.teacher.test
    prefix: {id}
    formats: [openai.chat, anthropic.messages, gemini.generateContent, ollama.chat, bedrock.converse]
    scheme: {scheme}
    {connect}model: {{id: {model}, names: ["*"], repository: r, revision: "1", licence: Apache-2.0}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call: when it ends and which way it takes."""

    end: str
    phase: str
    way: str
    client: str
    framing: str

    @property
    def name(self) -> str:
        """The case as a word, which its prompt carries."""
        return f"{self.end}.{self.phase}.{self.way}.{self.client}.{self.framing}"

    @property
    def frames(self) -> Framing:
        """How its answer is framed."""
        return FRAMINGS[self.framing]

    @property
    def is_read(self) -> bool:
        """Whether the terminal frame comes before the end."""
        return self.phase == "after-end"

    @property
    def is_over(self) -> bool:
        """Whether the message has ended with its last frame, so that no end can come."""
        return self.is_read and self.frames.ends_by == "length"

    @property
    def is_told(self) -> bool:
        """Whether the client can tell an end in order from any other."""
        return self.frames.ends_by != "close" or self.client == "http2"

    def script(self, *last: Step | asyncio.Event) -> Script:
        """What the teacher says up to the phase, and what it does then."""
        parts = self.frames.parts(self.name)
        said: Script = sum(parts[: PHASES.index(self.phase)], ())
        return (*said, *last)

    def rest(self) -> Script:
        """What the teacher says from the phase on."""
        return sum(self.frames.parts(self.name)[PHASES.index(self.phase) :], ())

    def caller(self, workspace: Workspace) -> Caller:
        """A client for it."""
        kind = Http2Caller if self.client == "http2" else Caller
        is_proxied, teacher = self.client != "base", TEACHERS[self.way]
        return kind(workspace, teacher, is_proxied=is_proxied, path=self.frames.path)

    @property
    def body(self) -> bytes:
        """What is asked."""
        return self.frames.ask(self.name)

    @property
    def last_words(self) -> bytes:
        """The last bytes a client sees before the end comes."""
        pieces = self.frames.pieces(self.name)
        return (pieces[0] if self.phase == "mid-stream" else pieces[-1])[-12:]


def cases(*ends: str, phases: Sequence[str] = PHASES) -> list[Case]:
    """Few cases of these ends in which each two values meet."""
    axes = {"phase": phases, "way": [*TEACHERS], "client": CLIENTS, "framing": [*FRAMINGS]}
    return [Case(**row) for row in cover({"end": ends, **axes})]


def test_cases_are_few_and_cover_every_pair() -> None:
    """Each value of an axis is played with each of every other: 24 cases, of the 432 there are."""
    found = cases("reset", "fin")
    rows = [{name: getattr(case, name) for name in Case.__dataclass_fields__} for case in found]
    axes = (("reset", "fin"), PHASES, TEACHERS, CLIENTS, FRAMINGS)
    names = ("end", "phase", "way", "client", "framing")
    every = [dict(zip(names, values, strict=True)) for values in product(*axes)]
    assert set().union(*map(pairs_of, rows)) == set().union(*map(pairs_of, every))
    assert (len(found), len(every)) == (24, 432)


@dataclass(slots=True)
class Scene:
    """A running proxy between clients and teachers, with a parent before some of them."""

    workspace: Workspace
    running: Running
    teachers: Teachers
    parent: ParentProxy

    async def every(self, found: list[Case], play: Callable[[Case], Awaitable[None]]) -> None:
        """Play all cases at the same time."""
        async with asyncio.TaskGroup() as group:
            for case in found:
                group.create_task(play(case))  # type: ignore[arg-type] # each is a coroutine

    async def visit(self, case: Case) -> Visit:
        """The visit of a case, once the teacher has its request."""
        await until(lambda: self.teachers.visit(case.name) is not None)
        visit = self.teachers.visit(case.name)
        assert visit is not None
        return visit

    async def ask(self, case: Case, *last: Step | asyncio.Event) -> Answer:
        """Make a call whose teacher ends it; gives what the client saw."""
        self.teachers.scripts[case.name] = case.script(*last)
        async with case.caller(self.workspace).connected() as caller:
            await caller.send(case.body)
            return await caller.answer()

    def settled(self) -> dict[str, Record]:
        """The records by case, once the proxy is gone."""
        records = self.workspace.records()
        found = {case_of(record.body): record for record in records}
        assert len(found) == len(records)
        return found


@contextlib.asynccontextmanager
async def scene(
    template: Path, folder: Path, *, timeout_s: float = 600.0, drain_s: float = 0.0
) -> AsyncIterator[Scene]:
    """A proxy for the time of the block; silence lasts longer than any test unless told."""
    async with teachers() as found, parent_proxy() as parent:
        parent.leads_to = ("127.0.0.1", found.sealed)
        connect = f'connect: "127.0.0.1:{found.plain}"\n    '
        more = _TEACHER.format(id="open", scheme="http", connect=connect, model=MODEL)
        more += _TEACHER.format(id="beyond", scheme="https", connect="", model=MODEL)
        more += f"drain_s: {drain_s}\n"
        where = folder / "workspace"
        workspace = Workspace.copy(
            template, where, **found.settings, timeout_s=timeout_s, more=more
        )
        with workspace.size() as size:
            found.ledger_size = size
            async with workspace.running(**_environ(parent)) as running:
                yield Scene(workspace, running, found, parent)


def _environ(parent: ParentProxy) -> dict[str, str]:
    custody = "{account: main, env: TEACHER_KEY}"
    return {
        "INBOND_UPSTREAM__PROXY": parent.settings().url,
        "INBOND_UPSTREAM__PROXY_CREDENTIALS": "{env: PARENT_CREDENTIALS}",
        "PARENT_CREDENTIALS": CREDENTIALS,
        "INBOND_CUSTODY__OPEN": custody,
        "INBOND_CUSTODY__BEYOND": custody,
    }


def check(scene: Scene, found: list[Case], outcome: Callable[[Case], str]) -> None:
    """Each call has one `call` and one `exchange`, the right outcome, and came before its visit."""
    records = scene.settled()
    got, wanted = {}, {}
    for case in found:
        record = records[case.name]
        visit = scene.teachers.visit(case.name)
        assert visit is not None
        assert record.seq < visit.ledger_size, f"{case.name}: the teacher saw it first"
        got[case.name] = record.exchange.outcome
        wanted[case.name] = outcome(case)
    assert got == wanted


@dataclass(slots=True)
class Plays:
    """What is played while the proxy runs, and what clients and teachers saw of it."""

    stage: Scene
    seen: dict[str, Answer] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    """The cases whose client had the end before the record was durable."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, case: Case) -> None:
        """Play one case, by its end."""
        match case.end:
            case "reset" | "fin":
                step = Step.RESET if case.end == "reset" else Step.FIN
                self.seen[case.name] = await self.stage.ask(case, step)
            case "client-gone":
                await self._leave(case)
            case "whole":
                await self._hear(case)
            case "drain":
                await self._wait(case)
            case _:
                raise AssertionError(case.end)

    async def _leave(self, case: Case) -> None:
        """Over HTTP/2 a client gives up its stream, and its connection stays."""
        self.stage.teachers.scripts[case.name] = case.script(Step.HOLD)
        async with case.caller(self.stage.workspace).connected() as caller:
            await caller.send(case.body)
            visit = await self.stage.visit(case)
            if case.phase != "before-headers":
                await caller.read_until(case.last_words)
            if isinstance(caller, Http2Caller):
                await caller.reset()
            else:
                caller.leave()
            if not case.is_over:
                async with asyncio.timeout(60):  # the teacher itself would hold for ever
                    await visit.closed.wait()

    async def _hear(self, case: Case) -> None:
        self.stage.teachers.scripts[case.name] = case.script() + case.rest()
        async with case.caller(self.stage.workspace).connected() as caller:
            await caller.send(case.body)
            answer = self.seen[case.name] = await caller.answer()
            records = self.stage.workspace.records()
        known = {each.id for record in records for each in record.exchanges}
        if answer.headers["x-inbond-exchange"] not in known:
            self.late.append(case.name)

    async def _wait(self, case: Case) -> None:
        script = (*case.script(self.goes_on), *case.rest())
        self.stage.teachers.scripts[case.name] = script
        async with case.caller(self.stage.workspace).connected() as caller:
            await caller.send(case.body)
            self.seen[case.name] = await caller.answer()


async def test_calls_end_side_by_side(template: Path, tmp_path: Path) -> None:
    """Broken off, given up, whole or drained: each call is recorded once, by its own end.

    A teacher that resets or closes has failed, unless the terminal frame had come. A client that
    leaves takes the call to the teacher with it at once. Who has seen the end of an answer finds its
    `exchange` durable. After SIGTERM calls under way end as if nothing were. A request whose body
    never ends is no call.
    """
    found, unasked = cases(*OUTCOMES), cases("unasked", phases=PHASES[:1])
    drained = [case for case in found if case.end == "drain"]
    async with scene(template, tmp_path, drain_s=60.0) as stage:
        plays = Plays(stage)
        async with asyncio.TaskGroup() as waiting:
            for case in drained:
                waiting.create_task(plays.play(case))
            async with asyncio.TaskGroup() as group:
                group.create_task(_http2_clients(stage))
                group.create_task(stage.every(unasked, lambda case: _break_off(stage, case)))
                others = [case for case in found if case not in drained]
                group.create_task(stage.every(others, plays.play))
            for case in drained:
                await stage.visit(case)
            stage.running.terminate()
            await until(lambda: not _is_open(stage.running.address))
            plays.goes_on.set()
        assert await stage.running.end() == 0
    check(stage, found, lambda case: "complete" if case.is_read else OUTCOMES[case.end])
    records = stage.settled()
    names = {case.name for case in found} | _HTTP2_OUTCOMES.keys()
    assert {visit.case for visit in stage.teachers.visits} == records.keys() == names
    assert {name: records[name].exchange.outcome for name in _HTTP2_OUTCOMES} == _HTTP2_OUTCOMES
    _check_answers(plays, found)
    _check_parent(stage, found)


async def _break_off(stage: Scene, case: Case) -> None:
    async with case.caller(stage.workspace).connected() as caller:
        await caller.send_part(case.body)


def _check_answers(plays: Plays, found: list[Case]) -> None:
    """What clients saw: a refusal, an answer without its end, or a whole one and its record."""
    assert plays.late == []
    for case in found:
        answer = plays.seen.get(case.name)
        if case.end in {"whole", "drain"}:
            assert answer, case.name
            assert (answer.status, answer.is_whole or not case.is_told) == (200, True), case.name
        elif answer and case.phase == "before-headers":
            assert (answer.status, answer.is_whole) == (502, True), case.name
            assert "x-inbond-exchange" in answer.headers
        elif answer and case.phase == "mid-stream":
            is_in_order = case.frames.ends_by == "close" and case.end == "fin"
            is_whole = is_in_order and case.client == "http2"
            assert (answer.status, answer.is_whole) == (200, is_whole), case.name


def _check_parent(stage: Scene, found: list[Case]) -> None:
    """The parent was asked for names, with its credentials, which are written nowhere (P4)."""
    heads = stage.parent.heads
    assert len(heads) == sum(case.way == "parent" for case in found)
    assert {head.split("\r\n")[0] for head in heads} == {"CONNECT beyond.teacher.test:443 HTTP/1.1"}
    assert all("Proxy-Authorization: Basic " in head for head in heads)
    proof = heads[0].partition("Basic ")[2].partition("\r\n")[0].encode()
    kept = [path.read_bytes() for path in stage.workspace.directory.rglob("*") if path.is_file()]
    for text in (*kept, stage.workspace.log_text.encode()):
        assert CREDENTIALS.encode() not in text
        assert proof not in text


_HTTP2_OUTCOMES = {
    "h2.first": "complete",
    "h2.held": "client_disconnected",
    **{f"h2.{n}": "complete" for n in range(6)},
}


async def _http2_clients(stage: Scene) -> None:
    """Over one HTTP/2 connection calls go on side by side, and one that is given up ends no other."""
    stage.teachers.scripts["h2.held"] = (*answer("h2.held", is_streamed=True)[0], Step.HOLD)
    trust = _Http2First(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(stage.workspace.settings.keys_directory / "ca.pem")
    proxy = f"http://{stage.workspace.key}:@{stage.workspace.settings.listen}"
    url = "https://plain.teacher.test/v1/chat/completions"
    async with httpx.AsyncClient(
        proxy=proxy, verify=trust, http2=True, trust_env=False, timeout=60
    ) as client:
        warm = await client.post(url, content=ask("h2.first"))
        async with client.stream("POST", url, content=ask("h2.held", is_streamed=True)) as held:
            async for _ in held.aiter_bytes():
                break
            bodies = [ask(f"h2.{n}", is_streamed=bool(n % 2)) for n in range(6)]
            whole = await asyncio.gather(*(client.post(url, content=body) for body in bodies))
    assert {each.http_version for each in (warm, held, *whole)} == {"HTTP/2"}
    visit = stage.teachers.visit("h2.held")
    assert visit is not None
    await visit.closed.wait()


async def test_a_silent_teacher(template: Path, tmp_path: Path) -> None:
    """A teacher silent for too long is hung up on: failed, unless the terminal frame had come."""
    found = cases("time-out")

    async with scene(template, tmp_path, timeout_s=1.0) as stage:

        async def play(case: Case) -> None:
            await stage.ask(case, Step.HOLD)
            await (await stage.visit(case)).closed.wait()

        await stage.every(found, play)
    check(stage, found, lambda case: "complete" if case.is_read else "upstream_failed")


async def test_a_worker_is_killed_and_the_next_one_drained(template: Path, tmp_path: Path) -> None:
    """What a killed worker had under way is found, marked as interrupted and never admitted.

    Past the deadline of the next one's drain calls under way are cut, recorded so, and the teacher is
    hung up on.
    """
    killed, left = (
        [case for case in cases(end) if not case.is_over] for end in ("kill", "deadline")
    )
    async with scene(template, tmp_path, drain_s=0.5) as stage:
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.every(killed, lambda case: _wait_out(stage, case)))
            await until(lambda: len(stage.teachers.visits) == len(killed))
            (pid,) = stage.running.worker_pids()
            os.kill(pid, signal.SIGKILL)
        await stage.running.until_ready(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.every(left, lambda case: _wait_out(stage, case)))
            await until(lambda: len(stage.teachers.visits) == len(killed) + len(left))
            await asyncio.sleep(0.3)  # what the teachers said is on its way through
            stage.running.terminate()
        assert await stage.running.end() == 0
        for case in left:
            await (await stage.visit(case)).closed.wait()
    check(stage, killed, lambda _: "interrupted")
    check(stage, left, lambda case: "complete" if case.is_read else "cut")
    records = stage.settled()
    for record in (records[case.name] for case in killed):
        assert record.exchange.id == exchange_of(record.call.id)
        assert not record.is_admitted


async def _wait_out(stage: Scene, case: Case) -> None:
    await stage.ask(case, Step.HOLD)


class _Http2First(ssl.SSLContext):
    """httpx offers HTTP/1.1 first; most other HTTP/2 clients do not."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer HTTP/2 first."""
        super().set_alpn_protocols(sorted(alpn_protocols))


def _is_open(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False

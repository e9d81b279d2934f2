"""The abort matrix (P1, P2): however a call ends, and whenever, it is recorded once and rightly.

Ends × {before headers, mid-stream, after the terminal frame} × {TCP, TLS to the teacher} × {base URL,
opened tunnel} × {JSON, SSE}. All calls of one way to end go through one proxy at the same time.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import httpx
import pytest

from proxy.ledger.entry import exchange_of
from tests.e2e.caller import Answer, Caller
from tests.e2e.harness import Record, Running, Workspace, until
from tests.e2e.teacher import Teachers, Visit, answer, ask, case_of, teachers
from tests.proxy.upstream import Script, Step

pytestmark = pytest.mark.slow

PHASES = ("before-headers", "mid-stream", "after-end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call: when it ends and which way it takes."""

    end: str
    phase: str
    is_sealed: bool
    is_proxied: bool
    is_streamed: bool

    @property
    def name(self) -> str:
        """The case as a word, which its prompt carries."""
        way = ("tls" if self.is_sealed else "tcp", "tunnel" if self.is_proxied else "base")
        return ".".join([self.end, self.phase, *way, "sse" if self.is_streamed else "json"])

    def script(self, *last: Step | asyncio.Event) -> Script:
        """What the teacher says up to the phase, and what it does then."""
        parts = answer(self.name, is_streamed=self.is_streamed)
        said: Script = sum(parts[: PHASES.index(self.phase)], ())
        return (*said, *last)

    def caller(self, workspace: Workspace) -> Caller:
        """A client for it."""
        teacher = "sealed" if self.is_sealed else "plain"
        return Caller(workspace, teacher, is_proxied=self.is_proxied)

    @property
    def body(self) -> bytes:
        """What is asked."""
        return ask(self.name, is_streamed=self.is_streamed)

    @property
    def last_words(self) -> bytes:
        """The last bytes a client sees before the end comes."""
        if self.phase == "mid-stream":
            return b'"role"' if self.is_streamed else b"chatcmpl-"
        return b"[DONE]\n\n" if self.is_streamed else b'"total_tokens": 9}}'


def cases(*ends: str) -> list[Case]:
    """Every case of these ends."""
    yes_no = (False, True)
    return [
        Case(end=end, phase=phase, is_sealed=tls, is_proxied=via, is_streamed=sse)
        for end, phase, tls, via, sse in product(ends, PHASES, yes_no, yes_no, yes_no)
    ]


@dataclass(slots=True)
class Scene:
    """A running proxy between clients and teachers."""

    workspace: Workspace
    running: Running
    teachers: Teachers

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
    async with teachers() as found:
        more = f"drain_s: {drain_s}\n"
        where = folder / "workspace"
        workspace = Workspace.copy(
            template, where, **found.settings, timeout_s=timeout_s, more=more
        )
        with workspace.size() as size:
            found.ledger_size = size
            async with workspace.running() as running:
                yield Scene(workspace, running, found)


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


def _is_read(case: Case) -> bool:
    return case.phase == "after-end"


async def test_a_teacher_that_breaks_off(template: Path, tmp_path: Path) -> None:
    """Reset or closed by the teacher: failed, unless the terminal frame had come; never lost."""
    found = cases("reset", "fin")
    seen: dict[str, Answer] = {}

    async with scene(template, tmp_path) as stage:

        async def play(case: Case) -> None:
            step = Step.RESET if case.end == "reset" else Step.FIN
            seen[case.name] = await stage.ask(case, step)

        await stage.every(found, play)
    check(stage, found, lambda case: "complete" if _is_read(case) else "upstream_failed")
    for case in found:
        answer = seen[case.name]
        if case.phase == "before-headers":
            assert (answer.status, answer.is_whole) == (502, True), case.name
            assert "x-inbond-exchange" in answer.headers
        elif case.phase == "mid-stream":
            assert (answer.status, answer.is_whole) == (200, False), case.name


async def test_a_silent_teacher(template: Path, tmp_path: Path) -> None:
    """A teacher silent for too long is hung up on: failed, unless the terminal frame had come."""
    found = cases("time-out")

    async with scene(template, tmp_path, timeout_s=1.0) as stage:

        async def play(case: Case) -> None:
            await stage.ask(case, Step.HOLD)
            await (await stage.visit(case)).closed.wait()

        await stage.every(found, play)
    check(stage, found, lambda case: "complete" if _is_read(case) else "upstream_failed")


async def test_a_client_that_leaves(template: Path, tmp_path: Path) -> None:
    """A client that leaves takes the call to the teacher with it at once, and is named as the cause."""
    found = cases("client-gone")

    async with scene(template, tmp_path) as stage:

        async def play(case: Case) -> None:
            stage.teachers.scripts[case.name] = case.script(Step.HOLD)
            async with case.caller(stage.workspace).connected() as caller:
                await caller.send(case.body)
                visit = await stage.visit(case)
                if case.phase != "before-headers":
                    await caller.read_until(case.last_words)
                caller.leave()
                if not (_is_read(case) and not case.is_streamed):  # else the call is over already
                    async with asyncio.timeout(60):  # the teacher itself would hold for ever
                        await visit.closed.wait()

        await stage.every(found, play)
    check(stage, found, lambda case: "complete" if _is_read(case) else "client_disconnected")


async def test_a_client_that_leaves_while_it_asks(template: Path, tmp_path: Path) -> None:
    """A request whose body never ends is no call: the teacher sees nothing and nothing is recorded."""
    found = [case for case in cases("unasked") if case.phase == "before-headers"]

    async with scene(template, tmp_path) as stage:

        async def play(case: Case) -> None:
            async with case.caller(stage.workspace).connected() as caller:
                await caller.send_part(case.body)

        await stage.every(found, play)
    assert (stage.teachers.visits, stage.settled()) == ([], {})


async def test_the_end_waits_for_the_record(template: Path, tmp_path: Path) -> None:
    """When a client has seen the end of an answer, streamed or not, its `exchange` is durable."""
    found = [case for case in cases("whole") if _is_read(case)]
    late: list[str] = []

    async with scene(template, tmp_path) as stage:

        async def play(case: Case) -> None:
            parts = answer(case.name, is_streamed=case.is_streamed)
            stage.teachers.scripts[case.name] = parts[0] + parts[1] + parts[2]
            async with case.caller(stage.workspace).connected() as caller:
                await caller.send(case.body)
                got = await caller.answer()
                assert got.is_whole
                known = {
                    each.id for record in stage.workspace.records() for each in record.exchanges
                }
                if got.headers["x-inbond-exchange"] not in known:
                    late.append(case.name)

        await stage.every(found, play)
    assert late == []
    check(stage, found, lambda _: "complete")


async def test_a_drain_lets_calls_end(template: Path, tmp_path: Path) -> None:
    """After SIGTERM nothing new is taken, and calls under way end as if nothing were."""
    found = cases("drain")
    goes_on = asyncio.Event()
    seen: dict[str, Answer] = {}

    async with scene(template, tmp_path, drain_s=60.0) as stage:

        async def play(case: Case) -> None:
            parts = answer(case.name, is_streamed=case.is_streamed)
            said: Script = sum(parts[: PHASES.index(case.phase)], ())
            rest: Script = sum(parts[PHASES.index(case.phase) :], ())
            stage.teachers.scripts[case.name] = (*said, goes_on, *rest)
            async with case.caller(stage.workspace).connected() as caller:
                await caller.send(case.body)
                seen[case.name] = await caller.answer()

        async def stop() -> None:
            await until(lambda: len(stage.teachers.visits) == len(found))
            stage.running.terminate()
            await until(lambda: not _is_open(stage.running.address))
            goes_on.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(stage.every(found, play))
            group.create_task(stop())
        assert await stage.running.end() == 0
    check(stage, found, lambda _: "complete")
    assert all(answer.is_whole for answer in seen.values())


async def test_a_deadline_cuts_what_is_left(template: Path, tmp_path: Path) -> None:
    """Past the deadline of a drain calls under way are cut, recorded so, and the teacher hung up on."""
    found = [case for case in cases("deadline") if case.is_streamed or not _is_read(case)]

    async with scene(template, tmp_path, drain_s=0.5) as stage:
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.every(found, lambda case: _wait_out(stage, case)))
            await until(lambda: len(stage.teachers.visits) == len(found))
            await asyncio.sleep(0.3)  # what the teachers said is on its way through
            stage.running.terminate()
        assert await stage.running.end() == 0
        for case in found:
            await (await stage.visit(case)).closed.wait()
    check(stage, found, lambda case: "complete" if _is_read(case) else "cut")


async def _wait_out(stage: Scene, case: Case) -> None:
    await stage.ask(case, Step.HOLD)


async def test_a_killed_worker(template: Path, tmp_path: Path) -> None:
    """What a killed worker had under way is found, marked as interrupted and never admitted."""
    found = [case for case in cases("kill") if case.is_streamed or not _is_read(case)]

    async with scene(template, tmp_path) as stage:
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.every(found, lambda case: _wait_out(stage, case)))
            await until(lambda: len(stage.teachers.visits) == len(found))
            (pid,) = stage.running.worker_pids()
            os.kill(pid, signal.SIGKILL)
        await stage.running.until_ready(2)
        after = Case(
            end="afterwards",
            phase="after-end",
            is_sealed=False,
            is_proxied=False,
            is_streamed=True,
        )
        assert (await stage.ask(after, Step.FIN)).status == 200
    check(stage, found, lambda _: "interrupted")
    records = stage.settled()
    assert records.pop(after.name).exchange.outcome == "complete"
    for record in records.values():
        assert record.exchange.id == exchange_of(record.call.id)
        assert not record.is_admitted


async def test_http2_clients(template: Path, tmp_path: Path) -> None:
    """Over one HTTP/2 connection calls end side by side, each by itself and each recorded once."""
    async with scene(template, tmp_path) as stage:
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
                whole = await asyncio.gather(
                    *(
                        client.post(url, content=ask(f"h2.{n}", is_streamed=bool(n % 2)))
                        for n in range(6)
                    )
                )
        assert {each.http_version for each in (warm, held, *whole)} == {"HTTP/2"}
        held_visit = stage.teachers.visit("h2.held")
        assert held_visit is not None
        await held_visit.closed.wait()
    outcomes = {name: record.exchange.outcome for name, record in stage.settled().items()}
    assert outcomes.pop("h2.held") == "client_disconnected"
    assert set(outcomes.values()) == {"complete"}
    assert len(outcomes) == 7


class _Http2First(ssl.SSLContext):
    """httpx offers HTTP/1.1 first; most other HTTP/2 clients do not."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer HTTP/2 first."""
        super().set_alpn_protocols(sorted(alpn_protocols))


def _is_open(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False

"""Fail closed (P9): what cannot be decided or recorded does not leave, or can never be admitted."""

import asyncio
import contextlib
import resource
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import anthropic
import openai
import pytest

from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, GateKeeper, Passage, Refused, Tunnel
from proxy.inspection import Passed
from tests.e2e.caller import Answer, Caller
from tests.e2e.harness import MODEL, Running, Workspace
from tests.e2e.inside import inside
from tests.e2e.teacher import Teachers, answer, ask, teachers
from tests.proxy.upstream import Step, chunked, head

pytestmark = pytest.mark.slow


class BrokenError(Exception):
    """Raised where a test says that the gate breaks; its text may hold a secret."""


@dataclass(slots=True)
class Breaking:
    """The gatehouse, broken at one place: before it does its work there, or after."""

    gate: GateKeeper
    where: str
    is_after: bool
    counts: Counter[str] = field(default_factory=Counter)
    passed: Passed = field(default_factory=Passed)

    @contextlib.contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Break, if this is the place."""
        if self.where == name and not self.is_after:
            raise BrokenError(name)
        yield
        if self.where == name:
            raise BrokenError(name)

    async def connect(
        self, client: str, host: str, port: int, headers: Headers
    ) -> Tunnel | Refused:
        """Decide on a CONNECT."""
        with self.around("connect"):
            return await self.gate.connect(client, host, port, headers)

    def disconnect(self, client: str) -> None:
        """Forget a client."""
        with self.around("disconnect"):
            self.gate.disconnect(client)

    async def open(self, arrival: Arrival) -> Passage | Refused:
        """Open a passage that breaks where it should."""
        with self.around("open"):
            opened = await self.gate.open(arrival)
            return opened if isinstance(opened, Refused) else BreakingPassage(opened, self)

    def broken(self, reason: str) -> Refused:
        """Refuse after a failure."""
        return self.gate.broken(reason)


@dataclass(slots=True)
class BreakingPassage:
    """One call through a gate that breaks."""

    passage: Passage
    breaking: Breaking

    @property
    def exchange(self) -> str:
        """The id of the exchange."""
        return self.passage.exchange

    @property
    def limit_bytes(self) -> int:
        """The largest request body."""
        return self.passage.limit_bytes

    async def too_large(self) -> Refused:
        """Refuse a large body."""
        with self.breaking.around("too_large"):
            return await self.passage.too_large()

    async def request(self, body: bytes) -> Forward | Refused:
        """Decide on the request."""
        with self.breaking.around("request"):
            return await self.passage.request(body)

    def respond(self, status: int, headers: Headers) -> Headers:
        """Take note of the response's head."""
        with self.breaking.around("respond"):
            return self.passage.respond(status, headers)

    def tap(self, chunk: bytes) -> bool:
        """Read a chunk."""
        with self.breaking.around("tap"):
            return self.passage.tap(chunk)

    async def end(self, outcome: Outcome) -> None:
        """End the call."""
        with self.breaking.around("end"):
            await self.passage.end(outcome)

    def unreachable(self, reason: str) -> Refused:
        """Say that the teacher did not answer."""
        with self.breaking.around("unreachable"):
            return self.passage.unreachable(reason)

    def fail(self, reason: str) -> Refused:
        """Say that a hook broke."""
        with self.breaking.around("fail"):
            return self.passage.fail(reason)


_PLACES = [
    (place, is_after)
    for place in ("connect", "open", "request", "respond", "tap", "end", "disconnect")
    for is_after in (False, True)
] + [("too_large", False), ("unreachable", False)]


@pytest.mark.parametrize(("place", "is_after"), _PLACES, ids={True: "after", False: "before"}.get)
async def test_whatever_breaks_nothing_passes_unrecorded(
    template: Path, tmp_path: Path, place: str, *, is_after: bool
) -> None:
    """Wherever the gate breaks: no byte to the teacher, or an exchange that is never admitted."""
    is_sound = place == "disconnect" or (place, is_after) == ("end", True)
    async with teachers() as stage:
        if place == "unreachable":
            stage.scripts["broken"] = (Step.RESET,)
        more = "drain_s: 0\nlimits: {request_bytes: 10000}\n"
        where = tmp_path / "workspace"
        workspace = Workspace.copy(template, where, **stage.settings, more=more)
        padding = "x" * 20_000 if place == "too_large" else ""
        async with inside(workspace, lambda gate: Breaking(gate, place, is_after)):
            with workspace.size() as size:
                stage.ledger_size = size
                got = await _call(workspace, padding)
    records = workspace.records()
    assert all(len(record.exchanges) == 1 for record in records)
    for visit in stage.visits:
        assert records[0].seq < visit.ledger_size
    if not is_sound:
        assert got.status in {0, 502, 503} or not got.is_whole
        assert not any(record.is_admitted for record in records)
    if place in {"connect", "open", "request", "too_large"}:
        assert (got.status, stage.visits) == (503, [])
    else:
        assert len(stage.visits) == 1
    assert "BrokenError(" not in got.body.decode()


async def _call(workspace: Workspace, padding: str) -> Answer:
    async with Caller(workspace, "sealed", is_proxied=True).connected() as caller:
        if caller.refusal is not None:
            return caller.refusal
        await caller.send(ask("broken", is_streamed=True, padding=padding))
        return await caller.answer()


async def _refused_by_openai(client: openai.AsyncOpenAI, case: str) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": f"case:{case}"}]
        )
    return raised.value


async def _refused_by_anthropic(client: anthropic.AsyncAnthropic, case: str) -> str:
    with pytest.raises(anthropic.APIStatusError) as raised:
        await client.messages.create(
            model=MODEL, max_tokens=9, messages=[{"role": "user", "content": f"case:{case}"}]
        )
    assert raised.value.status_code == 503
    return raised.value.message


@dataclass(slots=True)
class Sdks:
    """Both genuine SDKs before one proxy."""

    running: Running
    gpt: openai.AsyncOpenAI = field(init=False)
    claude: anthropic.AsyncAnthropic = field(init=False)

    async def __aenter__(self) -> Self:
        key = self.running.workspace.key
        self.gpt = openai.AsyncOpenAI(
            base_url=f"{self.running.url}/plain/v1", api_key=key, max_retries=0
        )
        self.claude = anthropic.AsyncAnthropic(
            base_url=f"{self.running.url}/claude", api_key=key, max_retries=0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gpt.close()
        await self.claude.close()

    async def both_refused(self, case: str, words: str) -> None:
        """Both raise their usual error for 503, with our message."""
        error = await _refused_by_openai(self.gpt, case)
        assert isinstance(error, openai.InternalServerError)
        assert error.status_code == 503
        assert words in error.message
        assert words in await _refused_by_anthropic(self.claude, case)

    async def pass_again(self, case: str) -> None:
        """A call passes, as soon as one does."""

        async def passes() -> bool:
            with contextlib.suppress(openai.APIStatusError):
                await self.gpt.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"case:{case}"}]
                )
                return True
            return False

        async with asyncio.timeout(60):
            while not await passes():  # noqa: ASYNC110 - the other process sets no event
                await asyncio.sleep(0.1)


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """Another program holds the database, as a careless copy or shell does."""
    with contextlib.closing(
        sqlite3.connect(workspace.directory / "inbond.db", isolation_level=None)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def test_a_locked_ledger_lets_no_call_out(template: Path, tmp_path: Path) -> None:
    """While another program holds the ledger, SDKs get their 503; afterwards calls pass again."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running() as running, Sdks(running) as sdks:
            with _locked(workspace):
                await sdks.both_refused("locked", "could not be recorded")
            assert stage.visits == []
            await sdks.pass_again("unlocked")
    assert [record.exchange.outcome for record in workspace.records()] == ["complete"]


async def test_an_end_that_cannot_be_recorded_is_cut_and_owed(
    template: Path, tmp_path: Path
) -> None:
    """A ledger locked while an answer passes: the client never sees its end, and it never trains."""
    async with teachers() as stage:
        goes_on = asyncio.Event()
        parts = answer("owed", is_streamed=True)
        stage.scripts["owed"] = (*parts[0], goes_on, *parts[1], *parts[2])
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running() as running:
            async with Caller(workspace, "plain", is_proxied=False).connected() as caller:
                await caller.send(ask("owed", is_streamed=True))
                await caller.read_until(b'"role"')
                with _locked(workspace):
                    goes_on.set()
                    got = await caller.answer()
            assert not got.is_whole
            async with Sdks(running) as sdks:
                await sdks.pass_again("afterwards")
    owed, afterwards = workspace.records()
    assert not owed.is_admitted
    assert owed.exchange.outcome == "cut"
    assert afterwards.is_admitted


async def test_a_full_disk_lets_no_call_out(template: Path, tmp_path: Path) -> None:
    """While the ledger's files cannot grow SDKs get their 503, and recovery is automatic."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running() as running, Sdks(running) as sdks:
            await sdks.pass_again("before")
            (pid,) = running.worker_pids()
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
            await sdks.both_refused("full", "could not be recorded")
            await asyncio.sleep(2.5)  # the worker's own housekeeping meets the full disk too
            await sdks.both_refused("full", "could not be recorded")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            await sdks.pass_again("after")
            assert running.worker_pids() == [pid]
    assert {visit.case for visit in stage.visits} == {"before", "after"}
    assert {record.exchange.outcome for record in workspace.records()} == {"complete"}


async def test_a_full_queue_turns_new_calls_away(template: Path, tmp_path: Path) -> None:
    """With no room for another record a new call is refused at once, not kept waiting."""
    async with teachers() as stage:
        where = tmp_path / "workspace"
        more = "limits: {queue: 1}\n"
        workspace = Workspace.copy(template, where, **stage.settings, more=more)
        async with workspace.running() as running, Sdks(running) as sdks:
            with _locked(workspace):
                errors = await asyncio.gather(
                    *(_refused_by_openai(sdks.gpt, f"crowd.{n}") for n in range(6))
                )
            assert stage.visits == []
            assert {error.status_code for error in errors} == {503}
            assert any("wait to be written" in error.message for error in errors)
            await sdks.pass_again("alone")
    (record,) = workspace.records()
    assert record.is_admitted


@pytest.mark.parametrize("noun", ["up", "proxy"])
async def test_broken_policies_keep_it_from_starting(
    template: Path, tmp_path: Path, noun: str
) -> None:
    """At a cold start a policy with an error refuses the start, with file, line and fix."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    rules = workspace.settings.policies_directory / "organisation" / "house-rules.yaml"
    rules.write_text(rules.read_text().replace("because:", "becuase:", 1))
    done = await workspace.said(noun)
    assert done.status == 1
    assert done.error["code"] == "unknown-key"
    assert (done.error["file"], done.error["line"]) == ("organisation/house-rules.yaml", 11)
    assert done.error["help"] == "did you mean `because`?"
    assert "Traceback" not in done.err
    assert done.out == ""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", workspace.settings.listen.port)


_BROKEN_STREAMS = {
    "malformed-json": [b'data: {"id": "x", "choices": [\n\n', b"data: [DONE]\n\n"],
    "not-utf8": [b'data: {"id": "\xff\xfe"}\n\n', b"data: [DONE]\n\n"],
    "html": [b"<html>busy</html>\n\n"],
    "an-array": [b"data: [1, 2]\n\n", b"data: [DONE]\n\n"],
    "wrong-types": [b'data: {"choices": {"delta": 3}}\n\n', b"data: [DONE]\n\n"],
}


async def test_what_cannot_be_read_is_forwarded_and_never_admitted(
    template: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """A teacher's broken stream reaches the client byte for byte; its record never trains."""
    async with teachers() as stage:
        start = head(Content_Type="text/event-stream", Transfer_Encoding="chunked")
        for case, pieces in _BROKEN_STREAMS.items():
            stage.scripts[case] = (start, *chunked(*pieces))
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running():
            got = {case: await _ask(workspace, case) for case in _BROKEN_STREAMS}
    records = workspace.records()
    assert len(records) == len(_BROKEN_STREAMS)
    for (case, pieces), record in zip(_BROKEN_STREAMS.items(), records, strict=True):
        with subtests.test(case):
            assert got[case].body == b"".join(chunked(*pieces))
            assert not record.exchange.is_whole
            assert record.exchange.decision is None
            assert not record.is_admitted


async def _ask(workspace: Workspace, case: str) -> Answer:
    async with Caller(workspace, "plain", is_proxied=False).connected() as caller:
        await caller.send(ask(case, is_streamed=True))
        return await caller.answer()


async def test_a_restored_backup_keeps_it_from_starting(template: Path, tmp_path: Path) -> None:
    """A database put back from a backup is not the one that was signed: nothing starts on it."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        backup = (workspace.directory / "inbond.db").read_bytes()
        async with workspace.running() as running, Sdks(running) as sdks:
            await sdks.pass_again("before")
        (workspace.directory / "inbond.db").write_bytes(backup)
        done = await workspace.said("proxy")
    assert done.status == 1
    assert "does not extend" in done.error["message"] or "checkpoint" in done.error["message"]
    assert _seen(stage) == ["before"]


def _seen(stage: Teachers) -> list[str]:
    return [visit.case for visit in stage.visits]


def test_the_gate_that_breaks_has_every_method() -> None:
    """No hook is left out: the broken gate and passage have each method of the protocol."""
    methods = {name for name in vars(Passage) if not name.startswith("_")}
    assert methods <= set(dir(BreakingPassage))
    assert {name for name in vars(GateKeeper) if not name.startswith("_")} <= set(dir(Breaking))
    assert {place for place, _ in _PLACES} >= (methods - {"exchange", "limit_bytes", "fail"})

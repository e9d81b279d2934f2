"""Policies change while calls go on: every worker takes them up, and no call sees half of them."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import AdminEntry
from proxy.reload import refused_policies
from proxy.status import workers_of
from proxy.store.queries import entries
from tests.e2e.caller import Caller
from tests.e2e.harness import Workspace, until
from tests.e2e.teacher import answer, ask, teachers

pytestmark = pytest.mark.slow

NO_TOOLS = """\
  - id: no-tools
    forbid: request
    when: {request.tools: false}
    because: For this test nothing without tools may leave.
    fix: Wait for the next test.
"""


@dataclass(slots=True)
class Load:
    """Clients that call without a pause, one connection for each call."""

    workspace: Workspace
    seen: list[tuple[int, str]] = field(default_factory=list)
    """Status and exchange of each call, in the order of their answers."""
    is_over: bool = False

    async def client(self, name: str) -> None:
        """Call again and again."""
        number = 0
        while not self.is_over:
            number += 1
            async with Caller(self.workspace, "plain", is_proxied=False).connected() as caller:
                await caller.send(ask(f"{name}.{number}"))
                said = await caller.answer()
            self.seen.append((said.status, said.headers["x-inbond-exchange"]))

    def since(self, count: int, status: int) -> int:
        """How many of the calls answered after the first `count` have this status."""
        return sum(found == status for found, _ in self.seen[count:])


async def test_workers_take_up_policies_under_load(template: Path, tmp_path: Path) -> None:
    """Calls under way end by the policies they began with, later ones obey the new; none is lost."""
    async with teachers() as stage:
        where = tmp_path / "workspace"
        workspace = Workspace.copy(template, where, **stage.settings, more="workers: 2\n")
        start, *rest = answer("slow", is_streamed=True)
        hold = asyncio.Event()
        stage.scripts["slow"] = (*start, hold, *rest[0], *rest[1])
        load = Load(workspace)
        async with workspace.running():
            (before,) = decide_by(workspace)
            async with Caller(workspace, "plain", is_proxied=False).connected() as slow:
                await slow.send(ask("slow", is_streamed=True))
                await until(lambda: stage.visit("slow") is not None)
                after = await changed_under(load)
                hold.set()
                ended = await slow.answer()
    assert ended.is_whole
    long = ended.headers["x-inbond-exchange"]
    assert {status for status, _ in load.seen} == {200, 403}
    wanted = {name: before if status == 200 else after for status, name in load.seen}
    found = {record.exchange.id: record for record in workspace.records()}
    assert {name: found[name].call.decision.bundle for name in found} == {**wanted, long: before}
    at_its_end = found[long].exchange.decision
    assert at_its_end is not None
    assert at_its_end.bundle == before


async def changed_under(load: Load) -> str:
    """Change the policies while clients call, until none is served by the old; gives the digest."""
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(load.client(f"c{number}"))
        await until(lambda: len(load.seen) > 20)
        after = await asyncio.to_thread(changed, load.workspace)
        await until(lambda: decide_by(load.workspace) == {after})
        count = len(load.seen) + 3
        await until(lambda: load.since(count, 403) > 20)
        assert load.since(count, 200) == 0
        load.is_over = True
    return after


def decide_by(workspace: Workspace) -> set[str]:
    """The bundles that the workers say they decide by."""
    return {each.policy for each in workers_of(workspace.settings)}


def changed(workspace: Workspace) -> str:
    """Put the workspace's rules and one more in force; gives the digest."""
    rules = workspace.settings.policies_directory / "organisation" / "house-rules.yaml"
    rules.write_text(rules.read_text() + NO_TOOLS)
    with workspace.ledger() as ledger:
        bundle = workspace_bundle(workspace.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
    return bundle.digest


async def test_a_running_proxy_takes_up_what_is_sound(template: Path, tmp_path: Path) -> None:
    """An edit decides within seconds; a broken one changes nothing and is told, on record too."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        rules = workspace.settings.policies_directory / "organisation" / "house-rules.yaml"
        sound = rules.read_text()
        async with workspace.running():
            first = decide_by(workspace)
            rules.write_text(sound + NO_TOOLS)
            await until(lambda: decide_by(workspace).isdisjoint(first))
            second = decide_by(workspace)
            assert (await workspace.said("status")).status == 0
            rules.write_text(sound + NO_TOOLS.replace("because", "becuase"))
            await until(lambda: refused_policies(workspace.settings) is not None)
            told = await workspace.said("status", "--json")
            assert (told.status, decide_by(workspace)) == (1, second)
            assert "organisation/house-rules.yaml:" in told.out
            async with Caller(workspace, "plain", is_proxied=False).connected() as caller:
                await caller.send(ask("still"))
                assert (await caller.answer()).status == 403
        async with workspace.running():
            assert decide_by(workspace) == second
            rules.write_text(sound)
            await until(lambda: decide_by(workspace) == first)
            assert (await workspace.said("status")).status == 0
    with workspace.database() as database, database.read() as connection:
        acts = [stored.entry for stored in entries(connection, limit=10**6)]
    assert [act.action for act in acts if isinstance(act, AdminEntry)] == ["policies-refused"] * 2

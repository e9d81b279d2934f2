"""Changed policies: taken up when they are sound, refused on record when not, followed by workers."""

import asyncio
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from policies.bundle import Bundle, bundle_of
from policies.diagnostics import PolicyError
from proxy.cli.init import make_workspace
from proxy.cli.openledger import Ledger, open_ledger
from proxy.errors import LedgerError, ProxyError
from proxy.inforce import bundle_in_force, digest_in_force, put_in_force, workspace_bundle
from proxy.ledger.entry import AdminEntry
from proxy.reload import Follower, Turn, Watch, refused_policies
from proxy.settings import Settings
from proxy.store.queries import entries
from proxy.store.tables import DocumentRow

RULE = """\
  - id: no-tools
    forbid: request
    when: {request.tools: true}
    because: Tools are not for teachers.
"""
FAILING = """\
inbond: 1
test: wrong
given: {at: 2026-11-24}
cases:
  - name: silence permits training
    gate: dataset
    expect: permit
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a workspace as `inbond init` makes it."""
    made = make_workspace(tmp_path / "work", organisation="Acme Test")
    made.run_directory.mkdir(exist_ok=True)
    return made


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """Its ledger."""
    with open_ledger(settings) as opened:
        yield opened


@pytest.fixture
def watch(settings: Settings, ledger: Ledger) -> Watch:
    """One that has not looked yet."""
    return Watch(settings, ledger.log, "user:1")


def house(settings: Settings) -> Path:
    """The file of the organisation's own rules."""
    return settings.policies_directory / "organisation" / "house-rules.yaml"


def add(path: Path, text: str) -> None:
    """Write something at the end of a file."""
    path.write_text(path.read_text() + text)


def refusals(ledger: Ledger) -> list[str]:
    """Why policies were refused, as the ledger says."""
    with ledger.database.read() as connection:
        found = (stored.entry for stored in entries(connection))
        return [each.reason for each in found if isinstance(each, AdminEntry)]


def test_a_start_puts_the_workspace_in_force(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """Its bundle decides, and nothing is said to be wrong."""
    turn = watch.start()
    assert turn.problem is None
    assert turn.bundle == digest_in_force(ledger.database)
    assert turn.bundle == workspace_bundle(settings, ledger.database).digest
    assert refused_policies(settings) is None


def test_a_first_start_on_broken_policies_is_refused(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """There is nothing to fall back on: errors and failing tests are told as such."""
    add(house(settings), "  - id: [\n")
    with pytest.raises(PolicyError):
        watch.start()
    house(settings).write_text(house(settings).read_text().removesuffix("  - id: [\n"))
    (settings.policies_directory / "tests" / "wrong.test.yaml").write_text(FAILING)
    with pytest.raises(
        ProxyError, match="policy tests fail: 1; the first is `silence permits"
    ) as e:
        watch.start()
    assert e.value.where == "tests/wrong.test.yaml:5:11"
    assert digest_in_force(ledger.database) is None
    assert refusals(ledger) == []


def test_a_later_start_on_broken_policies_keeps_the_last_good(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """What was in force stays, and ledger and status say why."""
    good = watch.start().bundle
    add(house(settings), "  - id: [\n")
    turn = Watch(settings, ledger.log, "user:1").start()
    assert turn.bundle == good == digest_in_force(ledger.database)
    assert turn.problem is not None
    assert turn.problem.startswith("organisation/house-rules.yaml:")
    assert refusals(ledger) == [turn.problem] == [refused_policies(settings)]


def test_a_start_needs_a_last_good_that_opens(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """Where the last bundle is lost as well, nothing is started."""
    watch.start()
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow).where(DocumentRow.kind == "policy"))
    add(house(settings), "  - id: [\n")
    with pytest.raises(LedgerError, match="is not stored here"):
        Watch(settings, ledger.log, "user:1").start()


def test_a_change_is_taken_up_once_it_stands_still(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """Two looks that find the same put it in force, once."""
    before = watch.start().bundle
    assert watch.turn() is None
    add(house(settings), RULE)
    assert watch.turn() is None
    assert digest_in_force(ledger.database) == before
    turn = watch.turn()
    assert turn is not None
    assert turn.bundle == digest_in_force(ledger.database) != before
    assert "house-rules/no-tools" in {rule.id for rule in bundle_in_force(ledger.database).rules}
    assert watch.turn() is None


def test_a_change_that_fails_its_tests_is_refused_once(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """The last good stays; when the change is mended, nothing is held against it any more."""
    good = watch.start().bundle
    wrong = settings.policies_directory / "tests" / "wrong.test.yaml"
    wrong.write_text(FAILING)
    assert (watch.turn(), watch.turn()) == (None, Turn(good, refused_policies(settings)))
    assert [watch.turn(), watch.turn()] == [None, None]
    assert digest_in_force(ledger.database) == good
    assert len(refusals(ledger)) == 1
    assert "silence permits training" in refusals(ledger)[0]
    wrong.unlink()
    assert watch.turn() is None
    assert watch.turn() is not None
    assert refused_policies(settings) is None


def test_a_status_that_cannot_be_written_ends_nothing(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """The refusal is on record all the same, and what mends it is taken up."""
    good = watch.start().bundle
    settings.run_directory.rmdir()
    wrong = settings.policies_directory / "tests" / "wrong.test.yaml"
    wrong.write_text(FAILING)
    assert watch.turn() is None
    turn = watch.turn()
    assert turn is not None
    assert turn.problem is not None
    assert (turn.bundle, refusals(ledger)) == (good, [turn.problem])
    wrong.unlink()
    assert watch.turn() is None
    assert watch.turn() == Turn(good, warnings=workspace_bundle(settings, ledger.database).warnings)


def test_several_errors_are_counted(settings: Settings, watch: Watch) -> None:
    """The first is told with its place, and how many more there are."""
    watch.start()
    add(
        house(settings),
        RULE.replace("request.tools", "request.tool") + RULE.replace("true", "maybe"),
    )
    watch.turn()
    turn = watch.turn()
    assert turn is not None
    assert (turn.problem or "").endswith("(and 2 more)"), turn.problem


def test_an_approval_is_a_change(
    settings: Settings, ledger: Ledger, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two people agreed on counts without a touch of the files."""
    from proxy.approval import approve, read_paper

    student = settings.policies_directory / "students" / "rival.yaml"
    student.write_text(
        "inbond: 1\nstudent: rival\nowner: a@example.org\npurpose: eval\ncompetes_with: []\n"
    )
    watch.start()
    paper = read_paper(student, settings.directory)
    approve(ledger.log, paper, actor="user:2", reason="agreed")
    assert watch.turn() is None
    assert watch.turn() is not None
    facts = bundle_in_force(ledger.database).students["rival"].facts
    assert facts["student.competes_with"] == frozenset()


def test_a_status_that_cannot_be_read_says_nothing(settings: Settings) -> None:
    """Neither a file that is not there nor one that is damaged makes the status fail."""
    path = settings.run_directory / "policies.json"
    for content in ("", "[]", "{}", json.dumps({"problem": "x"})):
        path.write_text(content)
        assert refused_policies(settings) == ("x" if content.endswith('"x"}') else None)


def follower(ledger: Ledger) -> Follower[Bundle]:
    """One that has what is in force."""
    return Follower(ledger.database, digest_in_force(ledger.database) or "", lambda made: made)


async def test_a_worker_follows_what_is_in_force(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """It loads each bundle once, by its digest, and leaves the interpreter as it was."""
    watch.start()
    one = follower(ledger)
    assert await one.look() is None
    add(house(settings), RULE)
    put_in_force(ledger.log, workspace_bundle(settings, ledger.database), "user:1")
    before = sys.getswitchinterval()
    made = await one.look()
    assert made is not None
    assert made.digest == one.digest == digest_in_force(ledger.database)
    assert await one.look() is None
    assert (sys.getswitchinterval(), gc.isenabled(), one.problem) == (before, True, None)


async def test_what_cannot_be_loaded_leaves_the_last(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """A bundle that is lost is told and tried again; once it is back, it is taken up."""
    good = watch.start().bundle
    one = follower(ledger)
    add(house(settings), RULE)
    put_in_force(ledger.log, workspace_bundle(settings, ledger.database), "user:1")
    wanted = digest_in_force(ledger.database) or ""
    await _rename(ledger, wanted, "0" * 64)
    assert await one.look() is None
    assert one.digest == good
    assert "is not stored here" in (one.problem or "")
    await _rename(ledger, "0" * 64, wanted)
    assert await one.look() is not None
    assert (one.digest, one.problem) == (wanted, None)


async def _rename(ledger: Ledger, old: str, new: str) -> None:
    def rename() -> None:
        with ledger.database.write() as connection:
            connection.execute(
                update(DocumentRow).where(DocumentRow.digest == old).values(digest=new)
            )

    await asyncio.to_thread(rename)


async def test_a_bundle_that_makes_no_policies_is_tried_once(
    settings: Settings, ledger: Ledger, watch: Watch
) -> None:
    """Another language's files stay refused until another bundle comes into force."""
    good = watch.start().bundle
    made: list[str] = []

    def make(bundle: Bundle) -> Bundle:
        made.append(bundle.digest)
        return bundle_of({"organisation/x.yaml": "["}, organisation="Acme Test")

    one = Follower(ledger.database, good, make)
    add(house(settings), RULE)
    put_in_force(ledger.log, workspace_bundle(settings, ledger.database), "user:1")
    assert [await one.look(), await one.look()] == [None, None]
    assert len(made) == 1
    assert one.digest == good
    assert (one.problem or "").startswith("organisation/x.yaml:1:")

"""Calls that are counted, and calls decided by numbers, through a real recorder into a real ledger."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from policies.bundle import Bundle, bundle_of
from proxy.call import Call
from proxy.counting import Counting
from proxy.exchange import Outcome
from proxy.gate import Forward, Refused
from proxy.ledger.entry import CallEntry
from proxy.recorder import Recorder
from proxy.review import clear
from proxy.store.log import Pending
from proxy.store.queries import open_calls, review_items
from proxy.store.tables import TallyRow
from tests.proxy.calls import ANSWER, DOCUMENTS, JSON, NOW, REQUEST, Disk, Site, site
from tests.proxy.store.ledgers import admin

COUNTERS = """\
inbond: 1
policy: limits
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
counters:
  calls: {count: requests, per: [route], within: 24h}
  drawn: {count: tokens_out, per: [project], within: 24h}
rules:
"""
FORBID = """\
  - id: few
    forbid: request
    when: {counter.calls: {above: 2}}
    because: Many calls look like extraction.
"""
REVIEW = FORBID.replace("forbid:", "review:")
TOKENS = """\
  - id: drawn
    forbid: request
    when: {counter.drawn: {at_least: 2}}
    because: A lot was drawn.
"""
UNREAD = """\
  - id: elsewhere
    forbid: request
    when: {counter.calls: {above: 2}, project: other}
    because: The other project is small.
"""


def bundle(rules: str) -> Bundle:
    """The policies of the other tests, and counters with these rules."""
    documents = {**DOCUMENTS, "organisation/limits.yaml": COUNTERS + rules}
    return bundle_of(documents, organisation="Example Org")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with an empty ledger whose third call is refused."""
    with site(tmp_path) as opened:
        opened.bundle = bundle(FORBID)
        yield opened


async def ask(here: Site, body: bytes = REQUEST) -> tuple[Call, Forward | Refused]:
    """Send one call."""
    call = here.call()
    return call, await call.request(body)


async def finish(call: Call) -> None:
    """Answer a call and end it."""
    call.respond(200, JSON)
    call.tap(ANSWER)
    await call.end(Outcome.COMPLETE)


def counted(here: Site) -> int:
    """What all tallies hold."""
    with here.ledger.database.read() as connection:
        return int(connection.execute(select(func.sum(TallyRow.amount))).scalar() or 0)


async def test_calls_pass_up_to_the_limit(here: Site) -> None:
    """The number includes the call that is decided, stands in its entry, and a refused call does not count."""
    answers = [(await ask(here))[1] for _ in range(4)]
    assert [type(answer) for answer in answers] == [Forward, Forward, Refused, Refused]
    calls = here.calls()
    assert [call.facts["counter.calls"] for call in calls] == [1, 2, 3, 3]
    assert [call.decision.verdict for call in calls] == ["permit", "permit", "forbid", "forbid"]
    assert calls[2].decision.by == ["limits/few"]
    assert [exchange.outcome for exchange in here.exchanges()] == ["refused", "refused"]
    assert counted(here) == 2


async def test_calls_at_once_pass_as_often_as_the_limit_says(here: Site) -> None:
    """Of many calls that come at once, through two recorders, exactly two pass."""
    other = Site(ledger=here.ledger, recorder=Recorder(here.ledger.log), bundle=here.bundle)
    answers = await asyncio.gather(*(ask(each) for each in [here, other] * 10))
    other.recorder.close()
    assert sum(isinstance(answer, Forward) for _, answer in answers) == 2
    assert len(here.calls()) == 20
    assert counted(here) == 2


async def test_numbers_of_the_call_are_read_at_later_gates(here: Site) -> None:
    """What was counted when the call was made stands for its whole exchange."""
    here.bundle = bundle(FORBID.replace("forbid: request", "forbid: training").replace("2", "0"))
    call, _ = await ask(here)
    await finish(call)
    _, exchange = here.pair()
    assert exchange.decision is not None
    assert (exchange.decision.verdict, exchange.decision.by) == ("forbid", ["limits/few"])


async def test_tokens_count_when_the_exchange_ends(here: Site) -> None:
    """A call that is under way counts no tokens; once it ended, the next one sees them."""
    here.bundle = bundle(TOKENS)
    first, answer = await ask(here)
    assert isinstance(answer, Forward)
    second, answer = await ask(here)
    assert isinstance(answer, Forward)
    await finish(first)
    assert isinstance((await ask(here))[1], Refused)
    await second.end(Outcome.UPSTREAM_FAILED)
    assert [call.facts["counter.drawn"] for call in here.calls()] == [0, 0, 2]


async def test_a_call_that_asks_for_no_number_is_only_counted(here: Site) -> None:
    """Where no rule can read a number the call is decided as ever, and counts."""
    here.bundle = bundle(UNREAD)
    assert isinstance((await ask(here))[1], Forward)
    (call,) = here.calls()
    assert "counter.calls" not in call.facts
    assert counted(here) == 1


async def test_a_held_call_passes_once_it_is_cleared(here: Site) -> None:
    """A review by a number holds the call; cleared, the same call passes, whatever its number then."""
    here.bundle = bundle(REVIEW.replace("above: 2", "above: 0"))
    _, answer = await ask(here)
    assert isinstance(answer, Refused)
    held, _ = here.pair()
    assert held.facts["counter.calls"] == 1
    with here.ledger.database.read() as connection:
        (item,) = review_items(connection)
    clear(
        here.ledger.log,
        here.bundle,
        item.exchange.entry.id,
        actor="user:one",
        reason="it is known",
        supplied={},
    )
    assert isinstance((await ask(here))[1], Forward)
    assert isinstance((await ask(here, REQUEST + b" "))[1], Refused)
    passed = here.calls()[1]
    assert passed.cleared_by is not None
    assert counted(here) == 1


async def test_a_client_that_leaves_while_it_is_decided_owes_one_end(here: Site) -> None:
    """Whenever the client leaves, a call on record that passed has one exchange, and others none open."""
    for pause in range(12):
        call = here.call()
        asking = asyncio.ensure_future(call.request(REQUEST))
        for _ in range(pause):
            await asyncio.sleep(0.0005)
        await call.end(Outcome.CLIENT_DISCONNECTED)
        await asking
    await asyncio.sleep(0.05)
    here.recorder.append_now()
    with here.ledger.database.read() as connection:
        assert open_calls(connection) == ()
    calls, exchanges = here.calls(), here.exchanges()
    assert sorted(exchange.call for exchange in exchanges) == sorted(call.id for call in calls)


async def test_a_client_that_leaves_before_the_decision_leaves_nothing(here: Site) -> None:
    """While the ledger is busy nothing is decided: a call withdrawn by then is neither sent nor recorded."""
    call = here.call()
    with here.ledger.log.exclusive():
        asking = asyncio.ensure_future(call.request(REQUEST))
        while not here.recorder.waiting:  # noqa: ASYNC110 - nobody tells when a queue fills
            await asyncio.sleep(0.001)
        await call.end(Outcome.CLIENT_DISCONNECTED)
    assert isinstance(await asking, Refused)
    assert here.entries() == []
    assert counted(here) == 0


async def test_a_ledger_that_cannot_be_written_counts_nothing(here: Site) -> None:
    """A call that could not be recorded is refused and leaves no tally."""
    disk = Disk(here.ledger)
    disk.fails = True
    _, answer = await ask(here)
    assert isinstance(answer, Refused)
    assert answer.status == 503
    disk.fails = False
    assert counted(here) == 0
    assert isinstance((await ask(here))[1], Forward)


async def test_entries_tried_twice_count_once(here: Site) -> None:
    """A call that is in the log already is not counted again."""
    await ask(here)
    (stored,) = here.calls()
    assert isinstance(stored, CallEntry)
    found = Counting(here.bundle, bytes(32)).of({"route": "acme-api", "project": "p"}, NOW, b"")
    assert found is not None
    again = Pending(stored, step=found.step)
    here.ledger.log.append([again])
    here.ledger.log.append([again, admin()])
    assert counted(here) == 1
    here.ledger.log.append([again, replace(admin(), step=found.step)])
    assert counted(here) == 2

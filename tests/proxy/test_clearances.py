"""Clearances: the same facts and the same bytes, cleared last, and nothing that was erased."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from policies.model import Fact
from proxy.clearances import Clearances
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.enforce import facts_of_leaf
from proxy.ledger.entry import JudgementEntry
from proxy.store.log import Pending
from proxy.store.tables import BodyRow, SaltRow
from tests.proxy.calls import WITH_TOOLS, Site, site
from tests.proxy.store.ledgers import later


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with an empty ledger."""
    with site(tmp_path) as opened:
        yield opened


async def _held(here: Site) -> tuple[str, dict[str, Fact]]:
    """A held call's exchange, and the facts it was decided on."""
    call = here.call()
    await call.request(WITH_TOOLS)
    return call.exchange, facts_of_leaf(here.calls()[-1].facts)


async def test_the_same_call_is_found(here: Site) -> None:
    """A cleared call is found by its facts and bytes; other facts or bytes are another call."""
    exchange, facts = await _held(here)
    find = Clearances(here.ledger.database).find
    assert await find(facts, WITH_TOOLS) is None
    said = later(exchange, "clear", "request")
    here.ledger.log.append([said])
    found = await find(facts, WITH_TOOLS)
    assert found is not None
    assert (found.entry, found.rules, found.facts) == (said.entry.id, frozenset(), {})
    assert await find(facts, WITH_TOOLS + b" ") is None
    assert await find({**facts, "student.purpose": "eval"}, WITH_TOOLS) is None
    assert await find({**facts, "project": "other"}, WITH_TOOLS) is None


@pytest.mark.parametrize("action", ["reject", "reverse"])
async def test_the_last_word_counts(here: Site, action: str) -> None:
    """A clearance that was taken back clears nothing."""
    exchange, facts = await _held(here)
    here.ledger.log.append(
        [later(exchange, "clear", "request"), later(exchange, action, "request")]  # type: ignore[arg-type] # a parameter
    )
    assert await Clearances(here.ledger.database).find(facts, WITH_TOOLS) is None


async def test_facts_of_an_answer_to_come_are_left_out(here: Site) -> None:
    """Of what a person said only facts of the request count for the repeated call."""
    exchange, facts = await _held(here)
    judgement = JudgementEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        exchange=exchange,
        facts={"request.pii": False, "response.pii": False, "no.such": True},
        reason="seen",
        nonce=new_nonce(),
    )
    here.ledger.log.append([Pending(judgement), later(exchange, "clear", "request")])
    found = await Clearances(here.ledger.database).find(facts, WITH_TOOLS)
    assert found is not None
    assert found.facts == {"request.pii": False}


async def test_an_erased_request_clears_nothing(here: Site) -> None:
    """Once a request is erased nobody can say that another has the same bytes (P8)."""
    exchange, facts = await _held(here)
    here.ledger.log.append([later(exchange, "clear", "request")])
    with here.ledger.database.write() as connection:
        connection.execute(delete(BodyRow))
        connection.execute(delete(SaltRow))
    assert await Clearances(here.ledger.database).find(facts, WITH_TOOLS) is None

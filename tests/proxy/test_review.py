"""Review: a person clears, supplies or rejects, on record, and never more than the policies let him."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.model import Effect, Fact, Gate
from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.gate import Forward, Refused
from proxy.ledger.entry import DecisionEntry, JudgementEntry
from proxy.review import clear, held, look, reject
from proxy.store.queries import review_items
from tests.proxy.calls import ANSWER, JSON, REQUEST, WITH_PICTURE, WITH_TOOLS, Site, bundle, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with an empty ledger."""
    with site(tmp_path) as opened:
        yield opened


async def _held(here: Site, body: bytes = WITH_TOOLS, student: str = "router") -> str:
    call = here.call(student=student)
    assert isinstance(await call.request(body), Refused)
    return call.exchange


async def _held_answer(here: Site) -> str:
    """An answer that a filter touched, so that a rule of the organisation holds it back."""
    call = here.call()
    assert isinstance(await call.request(REQUEST), Forward)
    call.respond(200, JSON)
    call.tap(ANSWER.replace(b'"stop"', b'"content_filter"'))
    await call.end(Outcome.COMPLETE)
    return call.exchange


def _clear(here: Site, exchange: str, **supplied: Fact) -> Effect:
    facts = {name.replace("__", "."): value for name, value in supplied.items()}
    return clear(
        here.ledger.log, bundle(), exchange, actor="user:one", reason="fine", supplied=facts
    ).verdict


def _waiting(here: Site) -> list[str]:
    with here.ledger.database.read() as connection:
        return [held(item).item.exchange.entry.id for item in review_items(connection)]


async def test_a_clearance_lifts_what_the_organisation_asked_for(here: Site) -> None:
    """A held call is cleared on record, by name of the rules lifted, and waits no more."""
    exchange = await _held(here)
    assert _waiting(here) == [exchange]
    assert _clear(here, exchange) is Effect.PERMIT
    last = here.entries()[-1]
    assert isinstance(last, DecisionEntry)
    assert (last.action, last.gate, last.exchange) == ("clear", "request", exchange)
    assert (last.clears, last.actor, last.reason) == (
        ["house/tools-need-a-look"],
        "user:one",
        "fine",
    )
    assert _waiting(here) == []


async def test_an_answer_held_back_is_cleared_at_its_gate(here: Site) -> None:
    """An answer is cleared by all that is known of it, at the response gate."""
    exchange = await _held_answer(here)
    with here.ledger.database.read() as connection:
        (item,) = review_items(connection)
    assert held(item).gate is Gate.RESPONSE
    assert "house/filtered-words" in held(item).record.by
    assert _clear(here, exchange) is Effect.PERMIT
    last = here.entries()[-1]
    assert isinstance(last, DecisionEntry)
    assert (last.gate, last.clears) == ("response", ["house/filtered-words"])


async def test_a_missing_fact_is_supplied_as_a_judgement(here: Site) -> None:
    """A fact that a detector would find is supplied on record, before the clearance it makes."""
    exchange = await _held(here, WITH_PICTURE)
    assert _clear(here, exchange, request__pii=False) is Effect.PERMIT
    judgement, decision = here.entries()[-2:]
    assert isinstance(judgement, JudgementEntry)
    assert (judgement.exchange, judgement.facts) == (exchange, {"request.pii": False})
    assert isinstance(decision, DecisionEntry)
    assert decision.clears == []


async def test_a_providers_review_is_not_ours_to_lift(here: Site) -> None:
    """What a provider asked to review stays held, and the message names its rule (§1.4)."""
    exchange = await _held(here, REQUEST, student="embedder")
    before = here.ledger.log.size
    with pytest.raises(LedgerError, match="set by `acme-api/no-embedding`") as caught:
        _clear(here, exchange)
    assert (caught.value.code, here.ledger.log.size) == ("not-enough", before)
    assert _waiting(here) == [exchange]


async def test_a_look_tells_what_a_person_can_do(here: Site) -> None:
    """Nothing is cleared by it; a provider's rule is shown as not ours, a missing fact as ours."""
    ours, theirs = await _held(here), await _held(here, REQUEST, student="embedder")
    missing = await _held(here, WITH_PICTURE)
    before = here.ledger.log.size
    seen = [look(here.ledger.database, bundle(), each) for each in (ours, theirs, missing)]
    assert [each.clears for each in seen] == [{"house/tools-need-a-look"}, set(), set()]
    assert [each.decision.verdict for each in seen] == [Effect.REVIEW] * 3
    assert [each.after.verdict for each in seen] == [Effect.PERMIT, Effect.REVIEW, Effect.REVIEW]
    assert [m.fact for m in seen[2].decision.missing] == ["request.pii"]
    assert seen[2].may_supply("request.pii")
    assert not seen[2].may_supply("student.competes_with")
    assert here.ledger.log.size == before


async def test_a_clearance_says_what_is_still_missing(here: Site) -> None:
    """Where a fact is missing, a bare clearance is refused and the message says who can supply it."""
    exchange = await _held(here, WITH_PICTURE)
    with pytest.raises(LedgerError, match=r"not known: `request\.pii`") as caught:
        _clear(here, exchange)
    assert "--fact" in caught.value.help


async def test_a_supplied_fact_may_forbid(here: Site) -> None:
    """A judgement that makes the call forbidden clears nothing and is not recorded."""
    exchange = await _held(here, WITH_PICTURE)
    before = here.ledger.log.size
    with pytest.raises(LedgerError, match="the verdict stays `forbid`"):
        _clear(here, exchange, request__pii=True)
    assert here.ledger.log.size == before


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("model.id", "acme-1", "not-judgeable"),
        ("request.tools", False, "not-judgeable"),
        ("no.such", False, "not-judgeable"),
        ("response.pii", False, "not-judgeable"),
        ("student.competes_with", frozenset[str](), "not-judgeable"),
        ("student.purpose", "eval", "not-missing"),
        ("request.secret", "no", "bad-value"),
    ],
)
async def test_no_more_is_supplied_than_a_person_can_know(
    here: Site, name: str, value: Fact, code: str
) -> None:
    """Facts of the wire, of an answer to come, stamped ones and wrong values are refused."""
    exchange = await _held(here, WITH_PICTURE)
    with pytest.raises(LedgerError) as caught:
        clear(here.ledger.log, bundle(), exchange, actor="u", reason="x", supplied={name: value})
    assert caught.value.code == code
    assert caught.value.help


async def test_a_choice_must_be_on_its_list(here: Site) -> None:
    """A value that is not on the list of a choice is refused with the list."""
    call = here.call(student=None)
    await call.request(WITH_PICTURE)
    with pytest.raises(LedgerError, match=r"no value of `student\.task`") as caught:
        _clear(here, call.exchange, student__task="sing")
    assert "classify" in caught.value.help


async def test_an_unreadable_call_cannot_be_cleared(here: Site) -> None:
    """A call refused because nobody could read it would not pass however it is cleared."""
    call = here.call(student=None)
    await call.request(b"[")
    assert _waiting(here) == [call.exchange]
    with pytest.raises(LedgerError, match="could not be read"):
        _clear(here, call.exchange)
    reject(here.ledger.log, call.exchange, actor="user:one", reason="broken")
    assert _waiting(here) == []


@pytest.mark.parametrize("is_answer", [False, True])
async def test_a_rejection_settles(here: Site, is_answer: bool) -> None:  # noqa: FBT001 - a parameter
    """What a person rejects stays out, on record, and waits no more."""
    exchange = await (_held_answer(here) if is_answer else _held(here))
    reject(here.ledger.log, exchange, actor="user:one", reason="no")
    last = here.entries()[-1]
    assert isinstance(last, DecisionEntry)
    assert (last.action, last.gate) == ("reject", "response" if is_answer else "request")
    assert _waiting(here) == []
    with pytest.raises(LedgerError, match="waits for review") as caught:
        _clear(here, exchange)
    assert caught.value.code == "not-in-review"

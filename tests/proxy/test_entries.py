"""What a call leaves in the ledger: the intent, and the one end that it comes to."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Fact, Gate
from proxy.clock import new_id
from proxy.counting import Counted
from proxy.entries import Entries
from proxy.exchange import Outcome, RequestHead
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from proxy.refusals import Early, Refusals
from proxy.services import Clearance
from proxy.store.bodies import prepare_body
from proxy.store.counters import Step
from proxy.store.log import Pending
from proxy.tap import Tap
from proxy.wire.dialects import format_for
from tests.proxy.calls import ANSWER, CALLER, JSON, NOW, REQUEST, TEACHER, bundle, site

FACTS: dict[str, Fact] = {
    "route": "acme-api",
    "operation": "chat",
    "project": "support",
    "student.purpose": "classifier",
    "model.asked": "acme-1",
    "model.id": "acme-1",
    "request.tools": False,
    "request.images": False,
}
SEALED = prepare_body(REQUEST, bytes(32))
HEAD = RequestHead(method="POST", path="/v1/chat/completions")
STEP = Step(groups=(), at=NOW, requests=1)
CLEARANCE = Clearance(entry="clearance-1", rules=frozenset(), facts={})


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[Entries]:
    """The entries of one call."""
    id_ = new_id()
    with site(tmp_path) as here:
        yield Entries(
            services=here.services,
            id=id_,
            exchange=exchange_of(id_),
            at=NOW,
            teacher=TEACHER,
            caller=CALLER,
            head=HEAD,
        )


def _refusals(entries: Entries) -> Refusals:
    return Refusals(exchange=entries.exchange, family="openai", host="api.acme.example")


def _tap() -> Tap:
    found = format_for(HEAD, TEACHER.formats)
    assert found is not None
    reader = found.reader(HEAD)
    reader.request(REQUEST)
    return Tap(reader, keep_wire=False, limit_bytes=1_000_000)


def _decided(facts: Mapping[str, Fact]) -> Decision:
    return decide(bundle(), Gate.REQUEST, Moment(at=NOW, facts=facts))


def _call(entries: Entries) -> CallEntry:
    entry = entries.call(SEALED, FACTS, _decided(FACTS)).entry
    assert isinstance(entry, CallEntry)
    return entry


def _settled(entries: Entries, facts: Mapping[str, Fact], *, may_hold: bool) -> list[Pending]:
    counted = Counted(step=STEP, asked=STEP)
    make = entries.settled(SEALED, counted, CLEARANCE, _refusals(entries), may_hold=may_hold)
    return list(make(facts, _decided(facts)))


async def _ended(entries: Entries, answer: bytes, counted: Counted | None = None) -> Pending:
    tap = _tap()
    tap.respond(200, JSON)
    tap.feed(answer)
    return await entries.ended(tap, Outcome.COMPLETE, FACTS, counted)


def test_the_intent_says_who_calls_and_what_was_decided(entries: Entries) -> None:
    """A `call` names the key, the worker, the stamped student, the body's seal and the decision."""
    call = _call(entries)
    assert (call.id, call.key, call.worker, call.student) == (
        entries.id,
        "key:one",
        "worker-1",
        "router",
    )
    assert (call.request, call.facts["student.purpose"]) == (SEALED.record, "classifier")
    assert (call.decision.gate, call.decision.verdict) == ("request", "permit")


def test_a_fact_of_the_wrong_type_is_told_of(entries: Entries) -> None:
    """It counts as unknown, so that a rule about it waits; its value, which may be text, is not logged."""
    facts = FACTS | {"request.tools": "a secret?", "operation": "telepathy"}
    with capture_logs() as logs:
        entries.call(SEALED, facts, _decided(facts))
        entries.call(SEALED, FACTS, _decided(FACTS))
    (event,) = logs
    assert (event["event"], event["exchange"]) == ("mistyped fact", entries.exchange)
    assert event["facts"] == ("operation", "request.tools")
    assert "a secret?" not in str(event)


def test_a_student_nobody_declared_is_not_stamped(entries: Entries) -> None:
    """A key may name a student that the policies do not: none of its facts could be stamped."""
    nobody = replace(entries, caller=replace(CALLER, student="nobody"))
    assert _call(nobody).student is None


def test_what_passes_is_counted_and_names_its_clearance(entries: Entries) -> None:
    """A call that its numbers let pass is one entry: it counts, and says who cleared it."""
    (passed,) = _settled(entries, FACTS, may_hold=True)
    assert isinstance(passed.entry, CallEntry)
    assert (passed.entry.cleared_by, passed.step) == ("clearance-1", STEP)


def test_what_is_held_is_recorded_only_once_nobody_cleared_it(entries: Entries) -> None:
    """A review records nothing while a clearance may be found, and a refusal after that."""
    held = FACTS | {"student.purpose": "embedding"}
    assert _settled(entries, held, may_hold=True) == []
    call, end = _settled(entries, held, may_hold=False)
    assert isinstance(call.entry, CallEntry)
    assert isinstance(end.entry, ExchangeEntry)
    assert (call.entry.cleared_by, call.step, end.step) == (None, None, None)
    assert (end.entry.call, end.entry.outcome) == (entries.id, "refused")


def test_what_is_forbidden_is_recorded_at_once(entries: Entries) -> None:
    """No clearance lifts what a host forbids: the refusal does not wait for one."""
    forbidden = FACTS | {"student.purpose": "distil-general"}
    call, end = _settled(entries, forbidden, may_hold=True)
    assert isinstance(call.entry, CallEntry)
    assert isinstance(end.entry, ExchangeEntry)
    assert (call.entry.decision.verdict, end.entry.status) == ("forbid", 403)


def test_a_refusal_ends_its_call(entries: Entries) -> None:
    """What was not sent has the status its caller saw, and what went wrong where something did."""
    end = entries.refused(Early(status=413, code="too-large", message=""), problem="too-large")
    assert (end.id, end.call, end.outcome) == (entries.exchange, entries.id, "refused")
    assert (end.status, end.problem, end.decision) == (413, "too-large", None)


def test_an_end_without_words_can_never_train(entries: Entries) -> None:
    """An end that broke on its way into the ledger is a cut that nothing was decided on (P9)."""
    end = entries.unread(_tap())
    assert (end.id, end.call, end.outcome) == (entries.exchange, entries.id, "cut")
    assert (end.status, end.is_whole, end.problem) == (None, False, "record-broken")


async def test_a_whole_answer_is_decided_on(entries: Entries) -> None:
    """An answer read to its end has its facts, its usage and the response gate's word on record."""
    ended = await _ended(entries, ANSWER)
    end = ended.entry
    assert isinstance(end, ExchangeEntry)
    assert (end.outcome, end.status, end.is_whole, end.choices) == ("complete", 200, True, 1)
    assert (end.facts["model.served"], end.response_id) == ("acme-1", "r1")
    assert end.decision is not None
    assert (end.decision.gate, end.decision.verdict) == ("response", "permit")
    assert end.answer is not None
    assert end.wire is not None
    assert [body.seal for body in ended.bodies] == [end.answer.seal, end.wire.seal]
    assert ended.step is None


async def test_half_an_answer_is_not_decided_on(entries: Entries) -> None:
    """What is not whole is kept and never judged (P5)."""
    end = (await _ended(entries, ANSWER[:-10])).entry
    assert isinstance(end, ExchangeEntry)
    assert (end.is_whole, end.decision) == (False, None)
    assert end.problem is not None

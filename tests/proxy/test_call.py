"""One call: durable before it goes out, ended exactly once, and never admitted unless whole."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from policies.bundle import bundle_of
from policies.model import Fact
from proxy.call import Call
from proxy.errors import LedgerError, RouteError
from proxy.exchange import Headers, Outcome
from proxy.gate import Forward, Passage, Refused
from proxy.ledger.entry import exchange_of
from proxy.refusals import Early
from proxy.review import clear
from proxy.route import Route
from proxy.store.bodies import Absent, read_body
from proxy.store.queries import open_calls, review_items
from tests.proxy.calls import (
    ANSWER,
    DOCUMENTS,
    EVENTS,
    FRAMES,
    JSON,
    REQUEST,
    STREAMED,
    WITH_PICTURE,
    WITH_TOOLS,
    Disk,
    Site,
    bundle,
    site,
)

CANARY = "canary-7f3a"

type Resolve = Callable[[Route], Awaitable[tuple[str, int]]]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with an empty ledger."""
    with site(tmp_path) as opened:
        yield opened


async def _forwarded(here: Site, body: bytes = REQUEST, headers: Headers = ()) -> Call:
    call = here.call(headers=headers)
    assert isinstance(await call.request(body), Forward)
    return call


async def _refused(call: Passage, body: bytes = REQUEST) -> Refused:
    answer = await call.request(body)
    assert isinstance(answer, Refused)
    return answer


async def _answered(here: Site, chunks: tuple[bytes, ...] = (ANSWER,)) -> Call:
    call = await _forwarded(here, STREAMED if len(chunks) > 1 else REQUEST)
    call.respond(200, EVENTS if len(chunks) > 1 else JSON)
    for chunk in chunks:
        assert call.tap(chunk)
    return call


def _header(answer: Refused, name: str) -> str | None:
    return dict(answer.headers).get(name)


def _body(here: Site, seal: str) -> bytes | Absent:
    with here.ledger.database.read() as connection:
        return read_body(connection, seal)


async def test_a_call_is_durable_before_it_goes_out(here: Site) -> None:
    """`request` gives `Forward` only once another connection finds the call and its body (P1)."""
    call = here.call(headers=(("Host", "x"), ("Authorization", "Bearer ib_x")))
    forward = await call.request(REQUEST)
    assert forward == Forward(
        scheme="https",
        host="api.acme.example",
        connect=("192.0.2.1", 443),
        target="/v1/chat/completions",
        headers=(("Host", "api.acme.example"), ("Authorization", "Bearer sk-held")),
    )
    (entry,) = here.calls()
    assert (entry.key, entry.actor, entry.worker) == ("key:one", "key:one", "worker-1")
    assert (entry.student, entry.facts["student.purpose"]) == ("router", "classifier")
    assert entry.decision.verdict == "permit"
    assert _body(here, entry.request.seal) == REQUEST
    assert call.exchange == exchange_of(entry.id)
    await call.end(Outcome.CUT)


@pytest.mark.parametrize("chunks", [(ANSWER,), FRAMES])
async def test_a_whole_answer_is_admitted(here: Site, chunks: tuple[bytes, ...]) -> None:
    """A complete answer has its facts, usage, reading and the response gate's decision on record."""
    call = await _answered(here, chunks)
    await call.end(Outcome.COMPLETE)
    entry, exchange = here.pair()
    assert (exchange.id, exchange.outcome, exchange.status) == (call.exchange, "complete", 200)
    assert (exchange.is_whole, exchange.problem, exchange.choices) == (True, None, 1)
    assert exchange.facts["model.id"] == "acme-1"
    assert exchange.response_id == "r1"
    assert exchange.decision is not None
    assert (exchange.decision.gate, exchange.decision.verdict) == ("response", "permit")
    assert exchange.decision.bundle == entry.decision.bundle == bundle().digest
    assert exchange.answer is not None
    assert exchange.wire is not None
    reading = _body(here, exchange.answer.seal)
    assert isinstance(reading, bytes)
    assert b'"text":"Hello"' in reading
    assert exchange.wire.size_bytes == sum(map(len, chunks))
    assert _body(here, exchange.wire.seal) is Absent.UNSTORED


@pytest.mark.parametrize("size_bytes", [1, 2**20 + 1])
async def test_the_wire_is_kept_where_it_is_wanted(here: Site, size_bytes: int) -> None:
    """With `keep_wire` the wire bytes open, however many they are."""
    here.keep_wire, here.answer_limit_bytes = True, 2**22
    padded = ANSWER + b" " * size_bytes
    call = await _answered(here, (padded,))
    await call.end(Outcome.COMPLETE)
    _, exchange = here.pair()
    assert exchange.wire is not None
    assert _body(here, exchange.wire.seal) == padded


@pytest.mark.parametrize("path", ["client_secrets", "sessions", "transcription_sessions"])
async def test_a_key_that_is_handed_out_is_never_kept(here: Site, path: str) -> None:
    """The answer that holds a session's own key goes to the client, and to no record (P4)."""
    here.keep_wire = True
    call = here.call(target=f"/v1/realtime/{path}")
    assert isinstance(await call.request(b"{}"), Forward)
    call.respond(200, JSON)
    assert call.tap(b'{"value": "ek_canary", "client_secret": {"value": "ek_canary"}}')
    await call.end(Outcome.COMPLETE)
    assert b"ek_canary" not in here.everything()
    _, exchange = here.pair()
    assert exchange.wire is not None
    assert _body(here, exchange.wire.seal) is Absent.UNSTORED


async def test_the_client_is_told_which_exchange_it_is(here: Site) -> None:
    """A forwarded answer carries the exchange's id and the request gate's verdict."""
    call = await _forwarded(here)
    added = call.respond(200, JSON)
    assert added == (("x-inbond-exchange", call.exchange), ("x-inbond-decision", "permit"))
    await call.end(Outcome.CUT)


@pytest.mark.parametrize(
    ("wire", "chunks", "outcome"),
    [
        (Outcome.COMPLETE, FRAMES[:1], "upstream_failed"),
        (Outcome.CLIENT_DISCONNECTED, FRAMES[:2], "client_disconnected"),
        (Outcome.CUT, FRAMES[:1], "cut"),
        (Outcome.UPSTREAM_FAILED, FRAMES, "complete"),
    ],
)
async def test_each_end_is_recorded_as_it_was(
    here: Site, wire: Outcome, chunks: tuple[bytes, ...], outcome: str
) -> None:
    """How a stream ended is on record; only one whose terminal frame came is judged (P2, P5)."""
    call = await _forwarded(here, STREAMED)
    call.respond(200, EVENTS)
    for chunk in chunks:
        call.tap(chunk)
    await call.end(wire)
    _, exchange = here.pair()
    assert exchange.outcome == outcome
    assert exchange.is_whole is (outcome == "complete")
    assert (exchange.decision is not None) is exchange.is_whole


async def test_a_call_ends_once(here: Site) -> None:
    """Whatever `end` is told later, one exchange stays as it is."""
    call = await _answered(here)
    await call.end(Outcome.COMPLETE)
    await call.end(Outcome.CUT)
    assert here.pair()[1].outcome == "complete"


async def test_many_ends_at_once_are_one(here: Site) -> None:
    """Ends that race leave one exchange."""
    call = await _answered(here)
    await asyncio.gather(*(call.end(outcome) for outcome in Outcome))
    assert len(here.exchanges()) == 1


async def test_a_teacher_that_never_answers_is_recorded(here: Site) -> None:
    """Without an answer the exchange has no status, and the client reads why."""
    call = await _forwarded(here)
    answer = call.unreachable("the teacher gave no answer")
    await call.end(Outcome.UPSTREAM_FAILED)
    _, exchange = here.pair()
    assert (exchange.outcome, exchange.status) == ("upstream_failed", None)
    assert exchange.problem == "no-response"
    assert answer.status == 502
    assert b"`api.acme.example`" in answer.body


async def test_an_answer_over_the_limit_is_never_admitted(here: Site) -> None:
    """An answer longer than is recorded goes through, and its record is poisoned (P5)."""
    here.answer_limit_bytes = 100
    call = await _answered(here)
    await call.end(Outcome.COMPLETE)
    _, exchange = here.pair()
    assert (exchange.outcome, exchange.is_whole) == ("complete", False)
    assert (exchange.problem, exchange.decision) == ("answer-too-large", None)


@pytest.mark.parametrize("odd", [b"x" * 70_000, b"two words", b"\\ud800"])
async def test_a_name_no_leaf_can_hold_does_not_lose_the_exchange(here: Site, odd: bytes) -> None:
    """Hostile names in an answer are left out, and the exchange is on record all the same (P2)."""
    wild = ANSWER.replace(b"r1", odd).replace(b"acme-1", odd).replace(b"stop", odd)
    call = await _forwarded(here)
    call.respond(200, (*JSON, ("x-request-id", "y" * 70_000)))
    call.tap(wild.replace(b":3}", b":99999999999999999999}"))
    await call.end(Outcome.COMPLETE)
    _, exchange = here.pair()
    assert exchange.outcome == "complete"
    assert (exchange.response_id, exchange.provider_request_id) == (None, None)
    assert not [name for name in exchange.facts if name.startswith("model.")]
    assert exchange.decision is None or exchange.decision.verdict == "forbid"


# -- refusals


async def test_a_forbidden_call_is_refused_on_record(here: Site) -> None:
    """A refusal is durable, call and exchange in one transaction, and says rule, clause and fix."""
    call = here.call(student="general")
    answer = await _refused(call)
    entry, exchange = here.pair()
    assert (answer.status, _header(answer, "x-inbond-decision")) == (403, "forbid")
    assert _header(answer, "x-inbond-exchange") == exchange.id == call.exchange
    assert b"acme-api/no-general-students" in answer.body
    assert b"terms 4.2" in answer.body
    assert entry.decision.by == ["acme-api/no-general-students"]
    assert (exchange.outcome, exchange.status) == ("refused", 403)
    assert (exchange.problem, exchange.decision, exchange.is_whole) == (None, None, False)
    await call.end(Outcome.REFUSED)
    assert len(here.exchanges()) == 1


async def test_a_held_call_waits_for_a_person(here: Site) -> None:
    """A call that needs a look is refused at once and waits for review."""
    call = here.call()
    answer = await _refused(call, WITH_TOOLS)
    assert b"needs-review" in answer.body
    assert _header(answer, "x-inbond-decision") == "review"
    with here.ledger.database.read() as connection:
        (item,) = review_items(connection)
    assert (item.gate, item.exchange.entry.id) == ("request", call.exchange)


async def test_a_cleared_call_passes_when_it_is_repeated(here: Site) -> None:
    """The same bytes for the same student pass once a person cleared them; others still wait."""
    held = here.call()
    await _refused(held, WITH_TOOLS)
    clear(here.ledger.log, bundle(), held.exchange, actor="user:one", reason="fine", supplied={})
    again = here.call()
    assert isinstance(await again.request(WITH_TOOLS), Forward)
    await again.end(Outcome.CUT)
    entry = here.calls()[-1]
    assert entry.cleared_by == here.clearances[-1].entry
    assert entry.decision.lifted == ["house/tools-need-a-look"]
    await _refused(here.call(), WITH_TOOLS + b" ")
    await _refused(here.call(student=None), WITH_TOOLS)


async def test_a_supplied_fact_lets_the_same_call_pass(here: Site) -> None:
    """A fact that a person supplied counts for the repeated call, and is stamped on it."""
    held = here.call()
    await _refused(held, WITH_PICTURE)
    supplied: dict[str, Fact] = {"request.pii": False}
    clear(here.ledger.log, bundle(), held.exchange, actor="u", reason="fine", supplied=supplied)
    again = here.call()
    assert isinstance(await again.request(WITH_PICTURE), Forward)
    assert here.calls()[-1].facts["request.pii"] is False
    await again.end(Outcome.CUT)


async def test_a_clearance_that_is_not_enough_changes_nothing(here: Site) -> None:
    """Where the policies ask for more by now, the call is held as it came, without what was said."""
    held = here.call()
    await _refused(held, WITH_TOOLS)
    clear(here.ledger.log, bundle(), held.exchange, actor="u", reason="fine", supplied={})
    more = "  - {id: more, review: request, when: {request.tools: true}, because: We look twice.}\n"
    documents = dict(DOCUMENTS)
    documents["organisation/house.yaml"] += more
    stricter = bundle_of(documents, organisation="Example Org")
    call = here.call()
    call._services = replace(here.services, bundle=stricter)
    await _refused(call, WITH_TOOLS)
    assert here.calls()[-1].decision.verdict == "review"
    assert (here.calls()[-1].cleared_by, here.calls()[-1].decision.lifted) == (None, [])


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"[]", (), None),
        (b"no gzip", (("content-encoding", "gzip"),), "malformed-encoding"),
        (gzip.compress(REQUEST, mtime=0)[:-9], (("content-encoding", "gzip"),), "cut-encoding"),
        (REQUEST, (("content-encoding", "odd"),), "unknown-encoding"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    here: Site, body: bytes, headers: Headers, code: str | None
) -> None:
    """A request body nobody can read is refused and recorded, its bytes included (P9)."""
    answer = await _refused(here.call(headers=headers), body)
    entry, exchange = here.pair()
    assert (answer.status, exchange.status) == (400, 400)
    assert exchange.problem is not None
    assert code is None or exchange.problem == code
    assert _body(here, entry.request.seal) == body


async def test_an_encoded_request_is_read_and_kept_as_it_came(here: Site) -> None:
    """Facts are read of the decoded body; the bytes on record are those that came (P3)."""
    packed = gzip.compress(REQUEST)
    call = await _forwarded(here, packed, (("Content-Encoding", "gzip"),))
    (entry,) = here.calls()
    assert entry.facts["model.asked"] == "acme-1"
    assert _body(here, entry.request.seal) == packed
    await call.end(Outcome.CUT)


async def test_a_body_over_the_limit_is_refused_on_record(here: Site) -> None:
    """A body that was not read is refused with 413, and its seal is of nothing."""
    answer = await here.call().too_large()
    entry, exchange = here.pair()
    assert (answer.status, exchange.problem) == (413, "request-too-large")
    assert entry.request.size_bytes == 0


@pytest.mark.parametrize(
    ("headers", "limit", "fix"),
    [
        ((("Content-Length", "9"),), 1_000_000, "(`limits.request_bytes`); send less"),
        (
            (("transfer-encoding", "chunked"),),
            500,
            "(`limits.unannounced_bytes`); send a `Content-",
        ),
        (
            (("Content-Length", "9"), ("Transfer-Encoding", "chunked")),
            500,
            "`Content-Length`: up to 1000000 bytes pass then",
        ),
        ((), 500, "(`limits.unannounced_bytes`)"),
    ],
)
async def test_a_body_without_a_length_has_a_smaller_limit(
    here: Site, headers: Headers, limit: int, fix: str
) -> None:
    """Less is read of a body whose length nobody announced, and its refusal says how to send more."""
    here.unannounced_limit_bytes = 500
    call = here.call(headers=headers)
    assert call.limit_bytes == limit
    answer = await call.too_large()
    assert f"over {limit} bytes" in answer.body.decode()
    assert fix in answer.body.decode()
    here.unannounced_limit_bytes = 2_000_000
    assert here.call(headers=headers).limit_bytes == 1_000_000


async def test_an_early_refusal_is_recorded_with_its_body(here: Site) -> None:
    """What was clear from the head is refused once the body is in, and recorded with it."""
    early = Early(status=403, code="unclassified", message="cannot be read")
    answer = await _refused(here.call(target="/v1/odd", early=early))
    entry, exchange = here.pair()
    assert (answer.status, exchange.problem) == (403, "unclassified")
    assert (entry.facts["operation"], entry.request.size_bytes) == ("other", len(REQUEST))


async def test_a_student_nobody_declared_is_not_stamped(here: Site) -> None:
    """A key of an undeclared student stamps no student and no facts of one."""
    await _refused(here.call(student="nobody"))
    (entry,) = here.calls()
    assert entry.student is None
    assert not [name for name in entry.facts if name.startswith("student.")]


async def _nowhere(route: Route) -> tuple[str, int]:
    raise RouteError("`x` has no address here", code="no-address", help="mend the name")


async def _private(route: Route) -> tuple[str, int]:
    raise RouteError("`x` resolves to `10.0.0.1`", code="private-address", help="say so")


@pytest.mark.parametrize(
    ("resolve", "status", "code"),
    [(_nowhere, 502, "no-address"), (_private, 403, "private-address")],
)
async def test_a_call_without_an_address_is_refused(
    here: Site, resolve: Resolve, status: int, code: str
) -> None:
    """Where the address may not be dialled the call is refused on record, and says what to do."""
    call = here.call()
    call._services = replace(here.services, resolve=resolve)
    answer = await _refused(call)
    _, exchange = here.pair()
    assert (answer.status, exchange.problem, exchange.outcome) == (status, code, "refused")


@pytest.mark.parametrize(
    ("scheme", "address", "is_held", "may_go"),
    [
        ("https", "192.0.2.1", True, True),
        ("http", "127.0.0.1", True, True),
        ("http", "::1", True, True),
        ("http", "192.0.2.1", True, False),
        ("http", "10.0.0.1", True, False),
        ("http", "10.0.0.1", False, True),
    ],
)
async def test_a_key_in_custody_never_travels_in_the_clear(
    here: Site,
    scheme: Literal["http", "https"],
    address: str,
    is_held: bool,  # noqa: FBT001 - a parameter
    may_go: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A provider's key goes by TLS or not beyond this machine; else the call is refused on record."""
    here.teacher = replace(here.teacher, scheme=scheme)
    here.address = (address, 80)
    here.caller = replace(here.caller, credential=here.caller.credential if is_held else None)
    call = here.call()
    verdict = await call.request(REQUEST)
    assert isinstance(verdict, Forward) is may_go
    await call.end(Outcome.CUT)
    _, exchange = here.pair()
    assert (exchange.problem == "insecure-custody") is not may_go


# -- what goes wrong


async def test_what_cannot_be_recorded_is_refused(here: Site) -> None:
    """While the ledger cannot be written no call goes out, and its client reads why (P1, P9)."""
    disk = Disk(here.ledger)
    disk.fails = True
    for call in (here.call(), here.call(student="general")):
        answer = await _refused(call)
        assert answer.status == 503
        assert b"could not be recorded" in answer.body
        await call.end(Outcome.REFUSED)
    assert (await here.call().too_large()).status == 503
    disk.fails = False
    assert here.entries() == []
    assert here.recorder.waiting == 0


async def test_an_end_that_cannot_be_written_is_written_late_and_never_admitted(
    here: Site,
) -> None:
    """An exchange the disk refused fails its client; what is written later is a cut (P2, P9)."""
    disk = Disk(here.ledger)
    call = await _answered(here)
    disk.fails = True
    with pytest.raises(LedgerError):
        await call.end(Outcome.COMPLETE)
    disk.fails = False
    await asyncio.to_thread(here.recorder.close)
    _, exchange = here.pair()
    assert (exchange.outcome, exchange.is_whole, exchange.problem) == ("cut", False, "late")
    assert exchange.decision is None


async def test_an_end_without_words_is_a_cut(here: Site) -> None:
    """An exchange the log refuses for what it says is recorded as a cut that says nothing (P2)."""
    call = await _answered(here)
    call._tap.problem = "x" * 70_000
    with pytest.raises(LedgerError, match="a leaf holds"):
        await call.end(Outcome.COMPLETE)
    await asyncio.to_thread(here.recorder.close)
    _, exchange = here.pair()
    assert (exchange.outcome, exchange.problem) == ("cut", "record-broken")
    assert exchange.status == 200


async def test_an_end_that_breaks_is_a_cut(here: Site) -> None:
    """A mistake of ours while an exchange is put into words loses no record (P2)."""
    call = await _answered(here)
    call._entries = replace(call._entries, head=None)  # type: ignore[arg-type] # the mistake
    with pytest.raises(AttributeError):
        await call.end(Outcome.COMPLETE)
    await asyncio.to_thread(here.recorder.close)
    assert here.pair()[1].problem == "record-broken"


async def test_an_end_that_is_cancelled_is_recorded(here: Site) -> None:
    """A task cancelled while a large answer is sealed leaves the one exchange of its call (P2)."""
    here.answer_limit_bytes = 2**24
    large = ANSWER.replace(b"Hello", b"Hello" * 2**20)
    call = await _answered(here, (large,))
    task = asyncio.ensure_future(call.end(Outcome.COMPLETE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await call.end(Outcome.COMPLETE)
    await asyncio.to_thread(here.recorder.close)
    assert here.pair()[1].problem == "record-broken"


async def test_an_end_after_closing_is_left_to_recovery(here: Site) -> None:
    """Once the recorder is closed an end fails, and the call is found at the next start."""
    call = await _answered(here)
    await asyncio.to_thread(here.recorder.close)
    with pytest.raises(LedgerError, match="the recorder is closed"):
        await call.end(Outcome.COMPLETE)
    with here.ledger.database.read() as connection:
        assert len(open_calls(connection)) == 1


async def test_a_hook_that_breaks_before_the_decision_is_recorded(here: Site) -> None:
    """A call refused because a hook broke is on record as refused (design §4)."""
    call = here.call()
    answer = call.fail("hook `request` broke")
    await call.end(Outcome.REFUSED)
    _, exchange = here.pair()
    assert (answer.status, exchange.outcome, exchange.status) == (503, "refused", 503)
    assert exchange.problem == "hook-failed"


async def test_a_hook_that_breaks_later_poisons(here: Site) -> None:
    """Once a hook broke nothing of the call can be admitted, however well it ends (P9)."""
    call = await _answered(here, FRAMES)
    call.fail("hook `tap` broke")
    await call.end(Outcome.COMPLETE)
    _, exchange = here.pair()
    assert (exchange.is_whole, exchange.decision) == (False, None)
    assert exchange.problem == "hook-failed"


# -- secrets


async def test_no_secret_reaches_the_record(here: Site) -> None:
    """No credential of a header or the query is on record, in a body or in a refusal (P4)."""
    headers = tuple(
        (name, f"Bearer {CANARY}")
        for name in (
            "Authorization",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
            "x-amz-security-token",
            "Proxy-Authorization",
            "x-inbond-key",
            "Cookie",
        )
    )
    target = f"/v1/chat/completions?key={CANARY}&api-version=1"
    call = here.call(headers=headers, target=target)
    forward = await call.request(REQUEST)
    assert isinstance(forward, Forward)
    call.respond(200, (*JSON, ("Set-Cookie", CANARY)))
    call.tap(ANSWER)
    await call.end(Outcome.COMPLETE)
    refused = [
        await _refused(here.call(headers=headers, target=target, student="general")),
        await _refused(here.call(headers=headers, target=target), b"["),
        await here.call(headers=headers, target=target).too_large(),
        here.call(headers=headers, target=target).fail("hook broke"),
        here.call(headers=headers, target=target).unreachable("no answer"),
    ]
    told = b"".join(repr(answer.headers).encode() + answer.body for answer in refused)
    secrets = (CANARY.encode(), b"sk-held")
    assert not [secret for secret in secrets if secret in told + here.everything()]
    assert b"Hello" in here.everything()


async def test_a_ledger_that_cannot_be_read_holds_no_call_open(here: Site) -> None:
    """If clearances cannot be looked up the call is refused with the reason (P9)."""

    async def unreadable(facts: object, body: bytes) -> None:
        raise LedgerError("the disk that holds the ledger fails")

    call = here.call()
    call._services = replace(here.services, clearance=unreadable)
    answer = await _refused(call, WITH_TOOLS)
    assert answer.status == 503
    assert b"the disk that holds the ledger fails" in answer.body

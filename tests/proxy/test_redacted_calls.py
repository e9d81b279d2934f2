"""Calls with detectors and duties to redact, and answers that are held, through recorder and ledger."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.bundle import bundle_of
from proxy.detect import Detectors
from proxy.exchange import Outcome
from proxy.gate import Forward, Refused
from proxy.services import Delivery
from proxy.store.bodies import Opening, open_seal
from tests.proxy.calls import ANSWER, DOCUMENTS, JSON, REQUEST, Site, site
from tests.proxy.test_detect import MAIL, Broken

MASKED = """\
inbond: 1
policy: masked
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
{counters}rules:
  - id: leaves-masked
    permit: request
    when: {{request.pii: true}}
    because: Personal data may leave only masked.
    duties: {{redact: [pii]}}
  - id: kept-masked
    permit: training
    because: Personal data is kept only masked.
    duties: {{redact: [pii]}}
  - id: few-only
    review: request
    when: {{{few}}}
    because: Not too many.
  - id: no-mail
    forbid: response
    when: {{response.pii: true, response.finish: length}}
    because: Addresses that break off are not for reading.
"""
COUNTERS = "counters:\n  day: {count: requests, per: [project], within: 24h}\n"
ASKED = REQUEST.replace(b"Hi", b"write to ann@example.org")
SAID = ANSWER.replace(b"Hello", b"ask ann@example.org")


@pytest.fixture(params=[False, True], ids=["plain", "counted"])
def here(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site that looks for personal data, with and without a counter."""
    few = "counter.day: {above: 1000}" if request.param else "request.logprobs: true"
    text = MASKED.format(counters=COUNTERS if request.param else "", few=few)
    documents = {**DOCUMENTS, "organisation/masked.yaml": text}
    with site(tmp_path) as opened:
        opened.bundle = bundle_of(documents, organisation="Example Org")
        opened.detectors = Detectors({"pii": MAIL}, timeout_s=5)
        yield opened
        opened.detectors.close()


async def _answered(here: Site, answer: bytes) -> Refused | None:
    """One call with this answer; gives what goes out in its place, if anything does."""
    call = here.call()
    forward = await call.request(REQUEST)
    assert isinstance(forward, Forward)
    call.respond(200, JSON)
    call.tap(answer)
    await call.end(Outcome.COMPLETE)
    return call.withheld()


def _stored(here: Site, seal: str) -> bytes | None:
    with here.ledger.database.read() as connection:
        found = open_seal(connection, seal)
    return found.data if isinstance(found, Opening) else None


async def test_a_call_that_is_not_masked_is_refused_with_its_paths(here: Site) -> None:
    """The proxy alters no body: it says what to mask, on record, and nothing leaves."""
    answer = await here.call().request(ASKED)
    assert isinstance(answer, Refused)
    said = json.loads(answer.body)["error"]
    assert said["code"] == "not-redacted"
    assert "mask `pii` at `$.messages[0].content`" in said["message"]
    call, exchange = here.pair()
    assert call.facts["request.pii"] is True
    assert call.decision.duties == ["redact: pii"]
    assert (exchange.outcome, exchange.problem) == ("refused", "not-redacted")


async def test_a_masked_call_leaves(here: Site) -> None:
    """What holds nothing to mask is known to be clean, and goes."""
    assert isinstance(await here.call().request(REQUEST), Forward)
    (call,) = here.calls()
    assert call.facts["request.pii"] is False


async def test_the_stored_copy_of_an_answer_is_masked(here: Site) -> None:
    """The client gets the answer; what is kept has marks in it, and both are sealed."""
    here.keep_wire = True
    assert await _answered(here, SAID) is None
    _, exchange = here.pair()
    assert exchange.facts["response.pii"] is True
    assert exchange.redacted == ["pii"]
    assert exchange.is_whole
    assert exchange.wire is not None
    assert exchange.answer is not None
    assert exchange.wire.size_bytes == len(SAID)
    assert _stored(here, exchange.wire.seal) is None
    kept = _stored(here, exchange.answer.seal)
    assert kept is not None
    assert json.loads(kept)["answer"]["choices"][0]["text"] == "ask [pii]"
    assert b"ann@example.org" not in here.everything()


class _BreaksOnAnswers:
    """A detector that cannot read what the teacher says."""

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Break on the answer."""
        if text.startswith("ask"):
            raise RuntimeError
        return iter(())


async def test_what_cannot_be_masked_is_not_kept(here: Site) -> None:
    """Where the detector broke the duty cannot be met: the answer is sealed, not stored, not admitted."""
    here.detectors = Detectors({"pii": _BreaksOnAnswers()}, timeout_s=5)
    assert await _answered(here, SAID) is None
    _, exchange = here.pair()
    assert "response.pii" not in exchange.facts
    assert (exchange.is_whole, exchange.problem, exchange.decision) == (False, "not-redacted", None)
    assert exchange.redacted == []
    assert exchange.answer is not None
    assert _stored(here, exchange.answer.seal) is None


async def test_what_was_not_looked_at_waits_for_a_person(here: Site) -> None:
    """A request that the detector could not read is held: unknown is never harmless."""
    here.detectors = Detectors({"pii": Broken()}, timeout_s=5)
    answer = await here.call().request(REQUEST)
    assert isinstance(answer, Refused)
    call, _ = here.pair()
    assert (call.decision.verdict, call.decision.missing) == ("review", ["request.pii"])


async def test_a_held_answer_is_judged_by_what_detectors_see(here: Site) -> None:
    """A rule that speaks of the answer keeps it from the client where its text is held."""
    here.delivery = Delivery(exceptions={"acme": True})
    cut = SAID.replace(b'"stop"', b'"length"')
    withheld = await _answered(here, cut)
    assert withheld is not None
    assert b"not for reading" in withheld.body
    _, exchange = here.pair()
    assert exchange.is_withheld
    assert (exchange.outcome, exchange.is_whole) == ("complete", True)


async def test_words_that_came_with_an_error_are_held_back(here: Site) -> None:
    """An answer that is not whole is not decided on: under a rule of the answer it does not go out."""
    here.delivery = Delivery(exceptions={"acme": True})
    broken = SAID.replace(b'"choices"', b'"error": {"message": "stopped"}, "choices"', 1)
    withheld = await _answered(here, broken)
    assert withheld is not None
    assert b"broke off" in withheld.body
    _, exchange = here.pair()
    assert (exchange.is_withheld, exchange.decision) == (True, None)


async def test_without_buffer_the_same_answer_goes_out(here: Site) -> None:
    """It is kept from training all the same."""
    assert await _answered(here, SAID.replace(b'"stop"', b'"length"')) is None
    _, exchange = here.pair()
    assert not exchange.is_withheld
    assert exchange.decision is not None
    assert exchange.decision.verdict == "forbid"

"""Lines on their way out: counted one after another, held, cleared, and sent all or none."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from policies.bundle import Bundle, bundle_of
from proxy import batch_lines
from proxy.review import clear
from proxy.store.tables import TallyRow
from tests.proxy.batch_desk import Desk, made, messages
from tests.proxy.calls import DOCUMENTS, Disk, Site, bundle, site

BATCHES = "/v1/messages/batches"
COUNTERS = """\
inbond: 1
policy: limits
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
counters:
  calls: {count: requests, per: [operation], within: 24h}
  prompts: {count: distinct_prompts, per: [operation], within: 24h}
rules:
  - id: few
    forbid: request
    when: {counter.%s: {above: 3}}
    because: Many calls look like extraction.
"""


def _counting(counter: str) -> Bundle:
    documents = {**DOCUMENTS, "organisation/limits.yaml": COUNTERS % counter}
    return bundle_of(documents, organisation="Example Org")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a ledger of its own."""
    with site(tmp_path) as opened:
        yield opened


async def _send(desk: Desk, *words: str, batch: str = "msgbatch-1") -> bytes:
    """Make a batch; gives the words of a refusal."""
    body = {"requests": messages(words)}
    refused = await desk.ask("POST", BATCHES, body, answer=made(batch))
    return b"" if refused is None else refused.body


async def test_each_line_counts_and_sees_those_before_it(here: Site) -> None:
    """The line that goes over the limit refuses the batch, and a batch refused counts nothing."""
    here.bundle = _counting("calls")
    desk = Desk.of(here, "anthropic")
    said = await _send(desk, "a", "b", "c", "d", "e")
    assert b"of 5 requests 2 are refused" in said
    assert b"request `r3`" in said
    assert b"request `r2`" not in said
    assert await _send(desk, "a", "b", "c") == b""
    assert [line.facts["counter.calls"] for line in desk.lines()[-3:]] == [1, 2, 3]
    assert b"of 1 requests 1 are refused" in await _send(desk, "f")


async def test_the_same_prompt_in_one_batch_counts_once(here: Site) -> None:
    """Prompts are told apart as if each line had been sent alone."""
    here.bundle = _counting("prompts")
    desk = Desk.of(here, "anthropic")
    assert await _send(desk, "a", "a", "b", "a", "b", "c") == b""
    numbers = [line.facts["counter.prompts"] for line in desk.lines()]
    assert numbers == [1, 1, 2, 2, 2, 3]
    assert await _send(desk, "c", "b", batch="msgbatch-2") == b""
    assert b"1 are refused" in await _send(desk, "a", "d")
    with here.ledger.database.read() as reading:
        amounts = reading.execute(select(TallyRow.amount)).scalars().all()
    assert 3 in amounts


async def test_held_lines_pass_once_each_is_cleared(here: Site) -> None:
    """Two lines wait; with one cleared the batch still waits, with both it leaves."""
    desk = Desk.of(here, "anthropic")
    tool = {"tools": [{"name": "f", "input_schema": {}}]}
    first, second = messages(["a", "b"], **tool)
    body = {"requests": [first, second]}
    assert await desk.ask("POST", BATCHES, body) is not None
    held = [end.id for end in desk.ends().values()]
    assert len(held) == 2
    for left, name in zip((1, 0), held, strict=True):
        clear(here.ledger.log, bundle(), name, actor="user:1", reason="fine", supplied={})
        refused = await desk.ask("POST", BATCHES, body, answer=made())
        assert (refused is None) == (left == 0)
        if refused is not None:
            assert b"of 2 requests 1 wait for a person" in refused.body
    sent = desk.lines()[-2:]
    assert all(line.cleared_by is not None for line in sent)
    assert [line.decision.verdict for line in sent] == ["permit", "permit"]
    assert desk.outcomes()[-2:] == [None, None]


async def test_a_message_names_the_first_lines_and_counts_the_rest(here: Site) -> None:
    """A batch of thousands is refused in a few words."""
    desk = Desk.of(here, "anthropic", student="general")
    said = await _send(desk, *(f"w{n}" for n in range(9)))
    assert b"of 9 requests 9 are refused" in said or b"no-general-students" in said
    assert len(desk.lines()) == 9
    assert {end.outcome for end in desk.ends().values()} == {"refused"}


async def test_nothing_leaves_that_cannot_be_recorded(here: Site) -> None:
    """All lines are durable with their call, or none is and the answer is a 503 (P1, P9)."""
    desk = Desk.of(here, "anthropic")
    disk = Disk(here.ledger)
    passage = await desk.open("POST", BATCHES)
    disk.fails = True
    refused = await passage.request(json.dumps({"requests": messages(["a"])}).encode())
    assert getattr(refused, "status", None) == 503
    disk.fails = False
    assert here.calls() == []


async def test_a_batch_has_a_largest_size(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what any provider takes, nobody reads on."""
    monkeypatch.setattr(batch_lines, "MAX_LINES", 2)
    said = await _send(Desk.of(here, "anthropic"), "a", "b", "c")
    assert b"more than 2 requests" in said


@pytest.mark.parametrize("url", ["/v1/batches", "/v1/files", "/v1/models", "/v1/unknown"])
async def test_a_line_must_be_a_call_to_a_model(here: Site, url: str) -> None:
    """What could not be judged alone cannot leave in a batch."""
    desk = Desk.of(here, "openai")
    await desk.upload(json.dumps({"custom_id": "a", "url": url, "body": {}}).encode())
    refused = await desk.ask("POST", "/v1/batches", {"input_file_id": "file-1"})
    assert refused is not None
    assert b"is no call to a model" in refused.body
    assert b"request `a` of the batch" in refused.body

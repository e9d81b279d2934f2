"""Results: read as if each had passed alone, by whoever fetches them, once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.store.queries import counts, exchange_with_call
from proxy.store.tables import SaltRow
from tests.proxy.batch_desk import LINES, Desk, chat, made, messages, succeeded
from tests.proxy.calls import Disk, Site, site

BATCHES = "/v1/messages/batches"
RESULTS = "/v1/messages/batches/msgbatch-1/results"
ADMITTED = ("complete", None, "permit")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a ledger of its own."""
    with site(tmp_path) as opened:
        yield opened


async def _made(desk: Desk, *words: str) -> None:
    body = {"requests": messages(words)}
    assert await desk.ask("POST", BATCHES, body, answer=made()) is None


async def test_two_clients_fetch_at_once(here: Site) -> None:
    """Each line ends once, whoever was first, and neither fetch fails."""
    desk = Desk.of(here, "anthropic")
    words = [f"w{n}" for n in range(250)]
    await _made(desk, *words)
    answer = [succeeded(f"r{n}", word) for n, word in enumerate(words)]
    await asyncio.gather(
        *(desk.ask("GET", RESULTS, answer=answer, headers=LINES) for _ in range(3))
    )
    with here.ledger.database.read() as reading:
        found = counts(reading)
    assert found.under_way == 0
    assert found.calls == 1 + 250 + 3
    assert found.verdicts == {"permit": 250}


async def test_an_erased_request_is_never_admitted(here: Site) -> None:
    """What was asked is gone: the answer alone teaches nobody."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    (line,) = desk.lines()
    with here.ledger.database.write() as connection:
        connection.execute(delete(SaltRow).where(SaltRow.seal == line.request.seal))
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    assert desk.outcomes() == [("complete", "request-erased", None)]


@pytest.mark.parametrize("message", [{"type": "message", "content": "no list"}, {"id": "m"}])
async def test_an_answer_that_cannot_be_read_is_never_admitted(
    here: Site, message: dict[str, Any]
) -> None:
    """The format's own reader says why; the line has its end."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    result = {"custom_id": "r0", "result": {"type": "succeeded", "message": message}}
    await desk.ask("GET", RESULTS, answer=[result], headers=LINES)
    ((outcome, said, verdict),) = [one for one in desk.outcomes() if one is not None]
    assert (outcome, verdict) == ("complete", None)
    assert said is not None


async def test_the_status_of_a_line_is_the_providers(here: Site) -> None:
    """A request that failed ends with its own status and error."""
    desk = Desk.of(here, "openai")
    line = {
        "custom_id": "a",
        "url": "/v1/chat/completions",
        "body": {"model": "acme-1", "messages": [{"role": "user", "content": "Hi"}]},
    }
    await desk.upload(json.dumps(line).encode())
    batch = {"object": "batch", "id": "b", "status": "validating", "input_file_id": "file-1"}
    await desk.ask("POST", "/v1/batches", {"input_file_id": "file-1"}, answer=batch)
    done = {**batch, "status": "completed", "output_file_id": "o"}
    await desk.ask("GET", "/v1/batches/b", answer=done)
    error = {"error": {"message": "too long", "type": "invalid_request_error"}}
    result = {"custom_id": "a", "response": {"status_code": 400, "body": error}}
    await desk.ask("GET", "/v1/files/o/content", answer=[result], headers=LINES)
    (end,) = desk.ends().values()
    assert (end.outcome, end.status, end.is_whole, end.decision) == ("complete", 400, False, None)


async def test_what_cannot_be_recorded_is_recorded_by_the_next_fetch(here: Site) -> None:
    """The disk fails in the middle: the client is cut, and nothing is lost for good."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    disk = Disk(here.ledger)
    passage = await desk.open("GET", RESULTS)
    await passage.request(b"")
    passage.respond(200, LINES)
    passage.tap(json.dumps(succeeded("r0", "eins")).encode() + b"\n")
    disk.fails = True
    with pytest.raises(LedgerError):
        await passage.end(Outcome.COMPLETE)
    disk.fails = False
    assert desk.outcomes() == [None]
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    assert desk.outcomes() == [ADMITTED]


async def test_lines_that_are_no_results_are_counted_as_unreadable(here: Site) -> None:
    """A file of something else ends no call, and is never admitted."""
    desk = Desk.of(here, "openai")
    await desk.ask("GET", "/v1/files/f/content", answer=b'{"a": 1}\nwords\n', headers=LINES)
    end = desk.last()
    assert (end.problem, end.choices, end.is_whole) == ("unreadable-result", 0, False)
    result = {"custom_id": "a", "response": {"status_code": 200, "body": chat("fremd")}}
    await desk.ask("GET", "/v1/files/f/content", answer=[result], headers=LINES)
    assert (desk.last().problem, desk.last().choices) == ("unknown-request", 1)


async def test_a_line_is_shown_like_any_exchange(here: Site) -> None:
    """Whoever asks the ledger for it needs to know nothing of batches."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    (line,) = desk.lines()
    with here.ledger.database.read() as reading:
        found = exchange_with_call(reading, line.id)
    assert found is not None
    assert found.exchange is not None
    assert found.exchange.entry.call == line.id


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("Hi", [ADMITTED, ADMITTED]),
        ("Ho", [("complete", "ambiguous-request", None)] * 2),
    ],
)
async def test_an_answer_to_one_of_two_requests_of_an_id_is_nobodys(
    here: Site, second: str, expected: list[object]
) -> None:
    """Both were added to one batch: unless they asked the same, nobody knows which is answered."""
    desk = Desk.of(here, "xai")
    for text in ("Hi", second):
        request = {"responses": {"model": "acme-1", "input": text}}
        body = {"batch_requests": [{"batch_request_id": "a", "batch_request": request}]}
        await desk.ask("POST", "/v1/batches/b1/requests", body, answer=b"null")
    result = {"response": {"chat_get_completion": chat("hallo")}}
    page = {
        "results": [{"batch_request_id": "a", "batch_result": result}],
        "pagination_token": "more",
    }
    for _ in range(2):
        await desk.ask("GET", "/v1/batches/b1/results", answer=page)
    assert desk.outcomes() == expected

"""Batches, from their requests to their results: each line is a call of its own, with one end."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from policies.bundle import bundle_of
from proxy.detect import Detectors
from proxy.exchange import Outcome
from proxy.gate import Forward
from proxy.services import Delivery
from proxy.store.bodies import open_seal
from proxy.store.recovery import recover
from tests.proxy.batch_desk import (
    LINES,
    Desk,
    chat,
    made,
    messages,
    succeeded,
)
from tests.proxy.calls import DOCUMENTS, Site, site
from tests.proxy.test_detect import MAIL

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


async def test_each_line_is_a_call_that_its_result_ends(here: Site) -> None:
    """Requests become calls before the batch leaves; results come in any order and end them."""
    desk = Desk.of(here, "anthropic")
    passage = await desk.open("POST", BATCHES)
    verdict = await passage.request(json.dumps({"requests": messages(["one", "two"])}).encode())
    assert isinstance(verdict, Forward), verdict
    assert [line.facts["operation"] for line in desk.lines()] == ["chat", "chat"]
    assert [line.facts["model.id"] for line in desk.lines()] == ["acme-1", "acme-1"]
    assert len(here.calls()) == 3
    passage.respond(200, ())
    passage.tap(json.dumps(made()).encode())
    await passage.end(Outcome.COMPLETE)
    assert desk.outcomes() == [None, None]
    answer = [succeeded("r1", "zwei"), succeeded("r0", "eins")]
    await desk.ask("GET", RESULTS, answer=answer, headers=LINES)
    assert desk.outcomes() == [ADMITTED, ADMITTED]
    first = desk.ends()[desk.lines()[0].id]
    assert first.response_id == "msg-eins"
    assert first.usage is not None
    assert first.usage.output == 2
    assert first.brought_by == here.calls()[-1].id


async def test_what_is_sealed_of_a_line_is_its_request_and_its_answer(here: Site) -> None:
    """The customer's own id stands in the sealed request, and nowhere in a leaf."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    (line,) = desk.lines()
    end = desk.ends()[line.id]
    assert end.answer is not None
    with here.ledger.database.read() as reading:
        asked = open_seal(reading, line.request.seal)
        answered = open_seal(reading, end.answer.seal)
    assert json.loads(asked.data)["custom_id"] == "r0"  # type: ignore[union-attr] # it is there
    document = json.loads(answered.data)  # type: ignore[union-attr] # it is there
    assert document["request"]["messages"][0]["text"] == "one"
    assert document["answer"]["choices"][0]["text"] == "eins"
    assert line.line is not None
    assert "r0" not in line.model_dump_json()


async def test_nothing_leaves_where_one_line_is_refused(here: Site) -> None:
    """The refusal names the line and its rule; the line is on record, and so is the call."""
    desk = Desk.of(here, "anthropic", student="general")
    refused = await desk.ask("POST", BATCHES, {"requests": messages(["one", "two"])})
    assert refused is not None
    assert refused.status == 403
    assert b"no-general-students" in refused.body
    (_,) = [end for end in here.exchanges() if end.problem != "x" and end.call not in desk.ends()]
    assert desk.outcomes() == [("refused", None, None), ("refused", None, None)]


async def test_a_held_line_passes_once_it_is_cleared(here: Site) -> None:
    """What waits for a person is recorded so; the refusal says which line, and sends nothing."""
    desk = Desk.of(here, "anthropic")
    body = {
        "requests": [
            *messages(["one"]),
            {**messages(["two"], tools=[{"name": "f", "input_schema": {}}])[0], "custom_id": "t"},
        ]
    }
    refused = await desk.ask("POST", BATCHES, body)
    assert refused is not None
    assert b"of 2 requests 1 wait for a person" in refused.body
    assert b"request `t`" in refused.body
    (line,) = desk.lines()
    assert line.decision.verdict == "review"
    assert desk.outcomes() == [("refused", None, None)]


async def test_results_fetched_twice_and_in_part_end_each_line_once(here: Site) -> None:
    """A cut in the middle records the lines that were whole; the next fetch brings the rest."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one", "two")
    whole = json.dumps(succeeded("r0", "eins")).encode() + b"\n"
    cut = whole + json.dumps(succeeded("r1", "zwei")).encode()[:-9]
    await desk.ask("GET", RESULTS, answer=cut, headers=LINES, outcome=Outcome.CLIENT_DISCONNECTED)
    assert desk.outcomes() == [ADMITTED, None]
    assert desk.last().problem is None
    answer = [succeeded("r0", "other"), succeeded("r1", "zwei")]
    for _ in range(2):
        await desk.ask("GET", RESULTS, answer=answer, headers=LINES)
    assert desk.outcomes() == [ADMITTED, ADMITTED]
    assert desk.ends()[desk.lines()[0].id].response_id == "msg-eins"


async def test_nothing_is_taken_from_an_answer_during_which_a_hook_broke(here: Site) -> None:
    """Not even what was read before: the next fetch brings all of it."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    passage = await desk.open("GET", RESULTS)
    await passage.request(b"")
    passage.respond(200, LINES)
    passage.tap(json.dumps(succeeded("r0", "eins")).encode() + b"\n")
    passage.fail("a hook broke")
    await passage.end(Outcome.CUT)
    assert (desk.outcomes(), desk.last().problem) == ([None], "hook-failed")
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    assert desk.outcomes() == [ADMITTED]


async def test_a_part_of_the_results_ends_no_other_line(here: Site) -> None:
    """A client that goes on with a fetch asks for the rest alone (206): what came before is to come."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one", "two")
    await desk.ask("GET", BATCHES + "/msgbatch-1", answer=made(status="ended"))
    rest = [succeeded("r1", "zwei")]
    await desk.ask("GET", RESULTS, answer=rest, headers=LINES, status=206)
    assert desk.outcomes() == [None, ADMITTED]


async def test_a_result_that_nobody_asked_for_is_counted_and_never_admitted(here: Site) -> None:
    """A batch made elsewhere, and an id that its batch never had."""
    desk = Desk.of(here, "anthropic")
    answer = [succeeded("x", "fremd"), succeeded("y", "fremd")]
    await desk.ask("GET", RESULTS, answer=answer, headers=LINES)
    end = desk.last()
    assert (end.choices, end.problem, end.is_whole) == (2, "unknown-request", False)
    assert end.decision is None
    await _made(desk, "one")
    await desk.ask("GET", RESULTS, answer=[succeeded("z", "fremd")], headers=LINES)
    assert (desk.last().choices, desk.last().problem) == (1, "unknown-request")
    assert desk.ends() == {} or all(not end.is_whole for end in desk.ends().values())


async def test_recovery_leaves_lines_open_whose_batch_may_still_answer(here: Site) -> None:
    """The worker that sent them is gone; their results come through another one, days later."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one")
    assert recover(here.ledger.log, here.ledger.folder) == 0
    assert desk.outcomes() == [None]
    await desk.ask("GET", RESULTS, answer=[succeeded("r0", "eins")], headers=LINES)
    assert desk.outcomes() == [ADMITTED]


async def test_recovery_ends_lines_whose_batch_nobody_named(here: Site) -> None:
    """A crash before the answer: no result can be told to be theirs."""
    desk = Desk.of(here, "anthropic")
    passage = await desk.open("POST", BATCHES)
    await passage.request(json.dumps({"requests": messages(["one"])}).encode())
    assert recover(here.ledger.log, here.ledger.folder) == 2
    assert desk.outcomes() == [("interrupted", "interrupted", None)]


async def test_lines_end_with_a_batch_that_was_not_made(here: Site) -> None:
    """The provider turned the batch away, or its answer was cut before it named it."""
    desk = Desk.of(here, "anthropic")
    body = {"requests": messages(["one"])}
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    await desk.ask("POST", BATCHES, body, answer=error, status=400)
    await desk.ask("POST", BATCHES, body, answer=b'{"id": "msg', outcome=Outcome.UPSTREAM_FAILED)
    assert desk.outcomes() == [
        ("complete", "batch-not-made", None),
        ("upstream_failed", "batch-not-made", None),
    ]


async def test_what_a_batch_never_reached_ends_by_what_the_provider_said(here: Site) -> None:
    """Errors, cancelled and expired requests, and one without any result."""
    desk = Desk.of(here, "anthropic")
    await _made(desk, "one", "two", "three", "four")
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    answer = [
        {"custom_id": "r0", "result": {"type": "errored", "error": error}},
        {"custom_id": "r1", "result": {"type": "canceled"}},
        {"custom_id": "r2", "result": {"type": "expired"}},
    ]
    await desk.ask("GET", BATCHES + "/msgbatch-1", answer=made(status="ended"))
    assert desk.outcomes() == [None] * 4
    await desk.ask("GET", RESULTS, answer=answer, headers=LINES)
    assert desk.outcomes() == [
        ("complete", None, None),
        ("cut", "batch-cancelled", None),
        ("upstream_failed", "batch-expired", None),
        ("upstream_failed", "no-result", None),
    ]


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], b"holds no request"),
        ([*messages(["one"]), *messages(["two"])], b"share the id `r0`"),
        ([{"custom_id": "a"}], b"params"),
        ([{"params": {}}], b"custom_id"),
        ([{"custom_id": "a", "params": {"model": 3}}], b"request `a` of the batch"),
    ],
)
async def test_a_batch_that_cannot_be_read_is_not_sent(
    here: Site, requests: list[object], said: bytes
) -> None:
    """The refusal says which request and why; nothing of it is a call."""
    desk = Desk.of(here, "anthropic")
    refused = await desk.ask("POST", BATCHES, {"requests": requests})
    assert refused is not None
    assert refused.status == 400
    assert said in refused.body
    assert desk.lines() == []


async def test_a_file_of_requests_becomes_a_batch(here: Site) -> None:
    """Uploaded in pieces, kept until the batch is made, answered in a file of results."""
    desk = Desk.of(here, "openai")
    asks = [
        {
            "custom_id": f"r{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "acme-1", "messages": [{"role": "user", "content": f"ask {n}"}]},
        }
        for n in range(3)
    ]
    await desk.upload("\n".join(json.dumps(ask) for ask in asks).encode())
    batch = {"object": "batch", "id": "batch-1", "status": "validating", "input_file_id": "file-1"}
    body = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}
    assert await desk.ask("POST", "/v1/batches", body, answer=batch) is None
    assert len(desk.lines()) == 3
    done = {**batch, "status": "completed", "output_file_id": "out-1", "error_file_id": "err-1"}
    await desk.ask("GET", "/v1/batches/batch-1", answer=done)
    results = [
        {"custom_id": f"r{n}", "response": {"status_code": 200, "body": chat(f"word{n}")}}
        for n in (1, 0)
    ]
    await desk.ask("GET", "/v1/files/out-1/content", answer=results, headers=LINES)
    assert desk.outcomes() == [ADMITTED, ADMITTED, None]
    failed = [{"custom_id": "r2", "response": None, "error": {"code": "batch_expired"}}]
    await desk.ask("GET", "/v1/files/err-1/content", answer=failed, headers=LINES)
    assert desk.outcomes()[2] == ("upstream_failed", "batch-expired", None)


@pytest.mark.parametrize("purpose", ["fine-tune", "user_data"])
async def test_no_batch_is_made_of_a_file_that_was_not_read(here: Site, purpose: str) -> None:
    """Another purpose, or an upload that went past this ledger."""
    desk = Desk.of(here, "openai")
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}
    await desk.upload(json.dumps(line).encode(), purpose=purpose)
    for file in ("file-1", "file-elsewhere"):
        refused = await desk.ask("POST", "/v1/batches", {"input_file_id": file})
        assert refused is not None
        assert f"nobody read the requests in the file `{file}`".encode() in refused.body
    assert desk.lines() == []


async def test_mistrals_results_stand_inside_the_poll(here: Site) -> None:
    """Inline requests under the model of the job; the outputs of a poll, read twice."""
    desk = Desk.of(here, "mistral")
    body = {
        "endpoint": "/v1/chat/completions",
        "model": "acme-1",
        "requests": [
            {"custom_id": "0", "body": {"messages": [{"role": "user", "content": "Hi"}]}},
            {"custom_id": "1", "body": {"messages": [{"role": "user", "content": "Ho"}]}},
        ],
    }
    job = {"object": "batch", "id": "job-1", "status": "QUEUED", "outputs": None}
    await desk.ask("POST", "/v1/batch/jobs", body, answer=job)
    assert [line.facts["model.id"] for line in desk.lines()] == ["acme-1", "acme-1"]
    outputs = [{"custom_id": "0", "response": {"status_code": 200, "body": chat("hallo")}}]
    done = {**job, "status": "SUCCESS", "outputs": outputs, "output_file": "f"}
    for _ in range(2):
        await desk.ask("GET", "/v1/batch/jobs/job-1?inline=true", answer=done)
    assert desk.outcomes() == [ADMITTED, ("upstream_failed", "no-result", None)]


async def test_xais_batch_is_asked_as_responses_and_answered_as_chat(here: Site) -> None:
    """Made empty, filled by a second call, and read in pages."""
    desk = Desk.of(here, "xai")
    state = {"num_requests": 0, "num_pending": 0}
    await desk.ask("POST", "/v1/batches", {"name": "n"}, answer={"batch_id": "b1", "state": state})
    asked = [
        {
            "batch_request_id": name,
            "batch_request": {"responses": {"model": "acme-1", "input": name}},
        }
        for name in ("a", "b")
    ]
    await desk.ask("POST", "/v1/batches/b1/requests", {"batch_requests": asked}, answer=b"null")
    assert desk.outcomes() == [None, None]
    for name, token in (("a", "next"), ("b", None)):
        result = {"response": {"chat_get_completion": chat(name)}}
        page = {"results": [{"batch_request_id": name, "batch_result": result}]}
        if token:
            page["pagination_token"] = token  # type: ignore[assignment] # a text beside a list
        await desk.ask("GET", "/v1/batches/b1/results?limit=1", answer=page)
    assert desk.outcomes() == [ADMITTED, ADMITTED]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (["", "p2", "p3"], [ADMITTED, ADMITTED, ("upstream_failed", "no-result", None)]),
        (["p3", "p2", ""], [ADMITTED, ADMITTED, ("upstream_failed", "no-result", None)]),
        (["", "p3"], [ADMITTED, None, None]),
        (["p3"], [None, None, None]),
        (["", "p2"], [ADMITTED, ADMITTED, None]),
    ],
)
async def test_xais_batch_is_open_until_each_of_its_pages_was_seen(
    here: Site, pages: list[str], expected: list[object]
) -> None:
    """The last page alone ends nothing: what it does not hold may stand on one that nobody fetched."""
    desk = Desk.of(here, "xai")
    asked = [
        {
            "batch_request_id": name,
            "batch_request": {"responses": {"model": "acme-1", "input": name}},
        }
        for name in ("a", "b", "c")
    ]
    await desk.ask("POST", "/v1/batches/b1/requests", {"batch_requests": asked}, answer=b"null")
    state = {"batch_id": "b1", "state": {"num_requests": 3, "num_pending": 0}}
    await desk.ask("GET", "/v1/batches/b1", answer=state)
    held = {"": ("a", "p2"), "p2": ("b", "p3"), "p3": (None, None)}
    for page in pages:
        name, token = held[page]
        result = {"response": {"chat_get_completion": chat("hallo")}}
        found = [{"batch_request_id": name, "batch_result": result}] if name else []
        query = f"?limit=1&pagination_token={page}" if page else "?limit=1"
        answer = {"results": found, "pagination_token": token}
        await desk.ask("GET", f"/v1/batches/b1/results{query}", answer=answer)
    assert desk.outcomes() == expected


async def test_geminis_results_stand_in_the_poll_twice(here: Site) -> None:
    """Told by their metadata, or by their place where they have none."""
    desk = Desk.of(here, "gemini")
    parts = [{"contents": [{"role": "user", "parts": [{"text": word}]}]} for word in ("Hi", "Ho")]
    requests = [{"request": parts[0], "metadata": {"key": "k"}}, {"request": parts[1]}]
    body = {"batch": {"inputConfig": {"requests": {"requests": requests}}}}
    target = "/v1beta/models/acme-1:batchGenerateContent"
    name = "batches/b1"
    metadata = {"state": "BATCH_STATE_PENDING"}
    await desk.ask("POST", target, body, answer={"name": name, "metadata": metadata})
    words = [
        {
            "candidates": [
                {"content": {"parts": [{"text": word}], "role": "model"}, "finishReason": "STOP"}
            ],
            "modelVersion": "acme-1",
        }
        for word in ("eins", "zwei")
    ]
    inlined = [{"response": words[0], "metadata": {"key": "k"}}, {"response": words[1]}]
    held = {"inlinedResponses": {"inlinedResponses": inlined}}
    done = {"state": "BATCH_STATE_SUCCEEDED", "output": held}
    answer = {"name": name, "done": True, "metadata": done, "response": held}
    await desk.ask("GET", "/v1beta/batches/b1", answer=answer)
    assert desk.outcomes() == [ADMITTED, ADMITTED]


async def test_a_batch_is_refused_where_answers_are_held(here: Site) -> None:
    """Its results come all at once: none could be held back until it was decided on."""
    desk = Desk.of(here, "anthropic")
    services = replace(here.services, delivery=Delivery(is_buffered=True))
    desk.house._services = services
    refused = await desk.ask("POST", BATCHES, {"requests": messages(["one"])})
    assert refused is not None
    assert b"delivery: buffer" in refused.body
    assert here.exchanges()[-1].problem == "batch-buffered"
    assert desk.lines() == []


MASKED = """\
inbond: 1
policy: masked
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
rules:
  - id: leaves-masked
    permit: request
    when: {{operation: {operation}}}
    because: Personal data may leave only masked.
    duties: {{redact: [pii]}}
  - id: kept-masked
    permit: training
    because: Personal data is kept only masked.
    duties: {{redact: [pii]}}
"""


@pytest.fixture(params=["chat", "batch"])
def masked(here: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site where lines, or calls about batches, leave only masked."""
    documents = {**DOCUMENTS, "organisation/masked.yaml": MASKED.format(operation=request.param)}
    here.bundle = bundle_of(documents, organisation="Example Org")
    here.detectors = Detectors({"pii": MAIL}, timeout_s=5)
    yield here
    here.detectors.close()


async def test_a_batch_that_is_not_masked_does_not_leave(masked: Site) -> None:
    """Whichever call the duty is on, the line's or the batch's; a file's lines are looked at too."""
    desk = Desk.of(masked, "anthropic")
    body = {"requests": messages(["one", "write to ann@example.org"])}
    refused = await desk.ask("POST", BATCHES, body)
    assert refused is not None
    assert b"mask `pii` at" in refused.body
    assert desk.last().problem in {"not-redacted", "batch-refused"}
    files = Desk.of(masked, "openai")
    asked = {"model": "acme-1", "messages": [{"role": "user", "content": "ann@example.org"}]}
    line = {"custom_id": "a", "url": "/v1/chat/completions", "body": asked}
    await files.upload(json.dumps(line).encode())
    refused = await files.ask("POST", "/v1/batches", {"input_file_id": "file-1"})
    assert refused is not None
    assert b"mask `pii` at" in refused.body
    assert all(end.outcome == "refused" for end in desk.ends().values())


async def test_a_batch_that_nobody_looked_at_does_not_leave(masked: Site) -> None:
    """Without a detector nothing shows that the duty is met."""
    masked.detectors = Detectors({}, timeout_s=5)
    desk = Desk.of(masked, "anthropic")
    refused = await desk.ask("POST", BATCHES, {"requests": messages(["one"])})
    assert refused is not None
    assert b"no detector could look for it" in refused.body


async def test_results_are_stored_masked(masked: Site) -> None:
    """A clean batch leaves; what comes back is kept with marks in it, and nowhere else."""
    masked.keep_wire = True
    desk = Desk.of(masked, "mistral")
    asked = [{"custom_id": "0", "body": {"messages": [{"role": "user", "content": "Hi"}]}}]
    body = {"endpoint": "/v1/chat/completions", "model": "acme-1", "requests": asked}
    job = {"object": "batch", "id": "job-1", "status": "QUEUED", "outputs": None}
    assert await desk.ask("POST", "/v1/batch/jobs", body, answer=job) is None
    said = {"status_code": 200, "body": {**chat("ask ann@example.org"), "id": "chat-1"}}
    done = {**job, "status": "SUCCESS", "outputs": [{"custom_id": "0", "response": said}]}
    await desk.ask("GET", "/v1/batch/jobs/job-1?inline=true", answer=done)
    assert desk.outcomes() == [ADMITTED]
    (end,) = desk.ends().values()
    assert end.redacted == ["pii"]
    assert b"ann@example.org" not in masked.everything()

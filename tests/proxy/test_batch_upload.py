"""Uploads: decided from the head, sealed as they pass, kept only where a batch may be made of them."""

import hmac
import json
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from policies.bundle import bundle_of
from proxy.detect import Detectors
from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.gate import Forward, Refused, Streamed
from proxy.review import clear
from proxy.store.tables import PieceRow, SaltRow
from tests.proxy.batch_desk import FORM, Desk, data, form
from tests.proxy.calls import DOCUMENTS, Site, site
from tests.proxy.store.ledgers import later
from tests.proxy.test_detect import MAIL

LINE = json.dumps(
    {
        "custom_id": "a",
        "url": "/v1/chat/completions",
        "body": {"model": "acme-1", "messages": [{"role": "user", "content": "Hi"}]},
    }
).encode()
FILE = data({"object": "file", "id": "file-1"})


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a ledger of its own."""
    with site(tmp_path) as opened:
        yield opened


def _pieces(here: Site) -> int:
    with here.ledger.database.read() as reading:
        return reading.execute(select(func.count()).select_from(PieceRow)).scalar_one()


async def _begun(desk: Desk, content_type: str = FORM) -> Streamed:
    passage = await desk.open("POST", "/v1/files", (("Content-Type", content_type),))
    assert isinstance(passage, Streamed)
    assert isinstance(await passage.begin(b""), Forward)
    return passage


async def test_the_call_is_durable_before_the_first_byte(here: Site) -> None:
    """What goes on is sealed as it passes, all of it (P1)."""
    desk = Desk.of(here, "openai")
    passage = await _begun(desk)
    (call,) = here.calls()
    assert call.facts["operation"] == "file"
    body = form(LINE, "batch")
    for start in range(0, len(body), 11):
        passage.upload(body[start : start + 11])
    passage.respond(200, ())
    passage.tap(FILE)
    await passage.end(Outcome.COMPLETE)
    (end,) = here.exchanges()
    assert end.upload is not None
    with here.ledger.database.read() as reading:
        query = select(SaltRow.salt).where(SaltRow.seal == end.upload.seal)
        salt = reading.execute(query).scalar_one()
    assert end.upload.seal == hmac.digest(salt, body, "sha256").hex()
    assert end.batch is not None
    assert end.batch.input == "file-1"


async def test_a_large_file_passes_at_constant_memory(here: Site) -> None:
    """Forty megabytes take less memory than a tenth of them."""
    desk = Desk.of(here, "openai")
    passage = await _begun(desk)
    body = form((LINE + b"\n") * 4, "batch")
    head, middle, tail = body[:150], LINE + b"\n", body[-120:]
    chunk = middle * (65536 // len(middle))
    passage.upload(form(b"", "batch")[: form(b"", "batch").index(b"\r\n\r\n") + 4])
    passage.upload(chunk)
    tracemalloc.start()
    for _ in range(640):
        assert passage.upload(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert head
    assert tail
    await passage.end(Outcome.CLIENT_DISCONNECTED)
    assert _pieces(here) == 0


@pytest.mark.parametrize(
    ("body", "answer", "status", "outcome"),
    [
        (form(LINE, "fine-tune"), FILE, 200, Outcome.COMPLETE),
        (form(LINE + b"\n" + LINE, "fine-tune"), FILE, 200, Outcome.COMPLETE),
        (
            form(LINE + b"\n" + LINE, "batch").replace(b'"purpose"', b'"other"'),
            FILE,
            200,
            Outcome.COMPLETE,
        ),
        (form(LINE, "batch")[:-9], FILE, 200, Outcome.COMPLETE),
        (form(b"", "batch"), FILE, 200, Outcome.COMPLETE),
        (form(LINE, "batch"), data({"error": {"message": "no"}}), 400, Outcome.COMPLETE),
        (form(LINE, "batch"), b"", 200, Outcome.CLIENT_DISCONNECTED),
        (b"no form", FILE, 200, Outcome.COMPLETE),
    ],
)
async def test_other_files_are_not_kept(
    here: Site, body: bytes, answer: bytes, status: int, outcome: Outcome
) -> None:
    """Other purposes, forms cut or empty, uploads turned away: no batch is made of them."""
    passage = await _begun(Desk.of(here, "openai"))
    passage.upload(body)
    passage.respond(status, (("Content-Type", "application/json"),))
    passage.tap(answer)
    await passage.end(outcome)
    assert _pieces(here) == 0
    (end,) = here.exchanges()
    assert end.batch is None
    assert end.upload is not None
    assert end.upload.size_bytes == len(body)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data"])
async def test_what_is_no_form_passes_unread(here: Site, content_type: str) -> None:
    """Policy decided on the upload; nothing is made of what nobody can read."""
    passage = await _begun(Desk.of(here, "openai"), content_type)
    assert passage.upload(LINE)
    passage.respond(200, ())
    passage.tap(FILE)
    await passage.end(Outcome.COMPLETE)
    assert here.exchanges()[0].batch is None


async def test_a_refused_upload_sends_nothing(here: Site) -> None:
    """The students' terms hold for files as well; the refusal is on record."""
    desk = Desk.of(here, "openai", student="general")
    passage = await desk.open("POST", "/v1/files", (("Content-Type", FORM),))
    assert isinstance(passage, Streamed)
    assert isinstance(await passage.begin(b""), Refused)
    await passage.end(Outcome.REFUSED)
    (end,) = here.exchanges()
    assert end.outcome == "refused"


async def test_an_upload_that_came_whole_is_read_too(here: Site) -> None:
    """A front that knows no streaming asks once, with all of it."""
    desk = Desk.of(here, "openai")
    passage = await desk.open("POST", "/v1/files", (("Content-Type", FORM),))
    assert isinstance(await passage.request(form(LINE, "batch")), Forward)
    passage.respond(200, (("Content-Type", "application/json"),))
    passage.tap(FILE)
    await passage.end(Outcome.COMPLETE)
    assert _pieces(here) == 1


async def test_what_a_file_holds_is_unknown_when_it_is_decided_on(here: Site) -> None:
    """Detectors cannot look at what is still to come: nothing is said to be clean."""
    here.detectors = Detectors({"pii": MAIL}, timeout_s=5)
    await Desk.of(here, "openai").upload(LINE)
    here.detectors.close()
    (call,) = here.calls()
    assert "request.pii" not in call.facts


FILES = """\
inbond: 1
policy: files
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
rules:
  - id: files
    {effect}: request
    when: {{operation: file}}
    because: Files are looked at.
"""
MASKED = FILES.format(effect="permit") + "    duties: {redact: [pii]}\n"


def _with(here: Site, text: str) -> None:
    documents = {**DOCUMENTS, "organisation/files.yaml": text}
    here.bundle = bundle_of(documents, organisation="Example Org")


async def test_no_clearance_of_one_file_lets_another_pass(here: Site) -> None:
    """It is held before its bytes come: a person could clear none of them, and so all."""
    _with(here, FILES.format(effect="review"))
    passage = await Desk.of(here, "openai").open("POST", "/v1/files", (("Content-Type", FORM),))
    assert isinstance(passage, Streamed)
    assert isinstance(await passage.begin(b""), Refused)
    with pytest.raises(LedgerError, match="before anybody could read what it sends"):
        clear(here.ledger.log, here.bundle, passage.exchange, actor="u", reason="fine", supplied={})
    said = later(passage.exchange, "clear", "request")
    lifted = said.entry.model_copy(update={"clears": ["files/files"]})
    here.ledger.log.append([replace(said, entry=lifted)])
    again = await Desk.of(here, "openai").open("POST", "/v1/files", (("Content-Type", FORM),))
    assert isinstance(again, Streamed)
    assert isinstance(await again.begin(b""), Refused)


async def test_a_file_that_must_be_masked_does_not_leave(here: Site) -> None:
    """It goes on while it comes in, so that nobody can show that it meets the duty."""
    _with(here, MASKED)
    here.detectors = Detectors({"pii": MAIL}, timeout_s=5)
    passage = await Desk.of(here, "openai").open("POST", "/v1/files", (("Content-Type", FORM),))
    assert isinstance(passage, Streamed)
    refused = await passage.begin(b"")
    here.detectors.close()
    assert isinstance(refused, Refused)
    assert b"`pii` must be masked" in refused.body
    assert b"send each request as a call of its own" in refused.body
    _, end = here.pair()
    assert (end.outcome, end.problem) == ("refused", "not-redacted")

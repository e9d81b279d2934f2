"""Calls through a real recorder into a real ledger, under a small set of policies."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import event

from policies.bundle import Bundle, bundle_of
from policies.model import Fact
from proxy.batches import Batches
from proxy.call import Call
from proxy.clearances import Clearances
from proxy.counting import Counting
from proxy.detect import Detectors
from proxy.exchange import Headers, RequestHead
from proxy.headers import storable_query, storable_request_headers
from proxy.identity import Caller
from proxy.ledger.entry import CallEntry, Entry, ExchangeEntry
from proxy.providers import Entry as Teacher
from proxy.recorder import Recorder
from proxy.refusals import Early
from proxy.route import Route
from proxy.secret import Secret
from proxy.services import Clearance, Delivery, Services
from proxy.store.queries import entries
from proxy.wire.dialects import format_for
from proxy.wire.plain import Plain
from tests.proxy.store.ledgers import Ledger, open_ledger

NOW = datetime(2026, 11, 24, 5, tzinfo=UTC)

HOST_POLICY = """\
inbond: 1
policy: acme-api
layer: [host, model]
party: Acme
owner: legal@example.org
reviewed: 2026-01-01
scope:
  route: acme-api
sources:
  terms:
    title: Terms of Acme
    url: https://acme.example/terms
    confidence: read-primary
    read: 2026-01-01
    review_by: 2099-01-01
    in_force: {from: 2020-01-01}
rules:
  - id: outputs-are-yours
    permit: training
    when: {student.purpose: {not: distil-general}, model.id: acme-1}
    because: What the model says belongs to the customer.
    cite: terms 2.1
    duties: {display: Built with Acme}
  - id: no-general-students
    forbid: request
    when: {student.purpose: distil-general}
    because: Output may not train general models.
    cite: terms 4.2
    fix: Choose another teacher or ask Acme for a grant.
  - id: no-embedding
    review: request
    when: {student.purpose: embedding}
    because: Acme wants to be asked before its output trains embeddings.
    cite: terms 4.3
"""
HOUSE_POLICY = """\
inbond: 1
policy: house
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
rules:
  - id: tools-need-a-look
    review: request
    when: {request.tools: true}
    because: Tools reach systems of ours.
  - id: no-personal-pictures
    forbid: request
    when: {request.images: true, request.pii: true}
    because: Pictures of people stay here.
  - id: filtered-words
    review: training
    when: {response.moderated: true}
    because: A filter's words are not the model's.
"""
STUDENT = """\
inbond: 1
student: {name}
owner: ml@example.org
purpose: {purpose}
task: classify
release: internal
"""
DOCUMENTS: Mapping[str, str] = {
    "library/hosts/acme-api.yaml": HOST_POLICY,
    "organisation/house.yaml": HOUSE_POLICY,
    "students/router.yaml": STUDENT.format(name="router", purpose="classifier"),
    "students/general.yaml": STUDENT.format(name="general", purpose="distil-general"),
    "students/embedder.yaml": STUDENT.format(name="embedder", purpose="embedding"),
}

TEACHER = Teacher(
    id="acme",
    route="acme-api",
    provider="acme",
    hosts=("api.acme.example",),
    port=443,
    prefix="acme",
    paths=("/v1/*",),
    formats=("openai.chat",),
    auth="bearer",
    family="openai",
    scheme="https",
    models={"acme-1": "acme-1"},
)
CALLER = Caller(
    key="key:one",
    project="support",
    student="router",
    account_id="main",
    credential=Secret("sk-held"),
    auth="bearer",
)

REQUEST = b'{"model":"acme-1","messages":[{"role":"user","content":"Hi"}]}'
STREAMED = REQUEST[:-1] + b',"stream":true}'
WITH_TOOLS = REQUEST[:-1] + b',"tools":[{"type":"function","function":{"name":"f"}}]}'
WITH_PICTURE = (
    b'{"model":"acme-1","messages":[{"role":"user","content":'
    b'[{"type":"image_url","image_url":{"url":"https://acme.example/x.png"}}]}]}'
)
ANSWER = (
    b'{"id":"r1","object":"chat.completion","model":"acme-1","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
)
_CHUNK = (
    b'data: {"id":"r1","object":"chat.completion.chunk","model":"acme-1","choices":[{"index":0,'
)
FRAMES = (
    _CHUNK + b'"delta":{"role":"assistant","content":"Hello"}}]}\n\n',
    _CHUNK + b'"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
JSON: Headers = (("Content-Type", "application/json"),)
EVENTS: Headers = (("Content-Type", "text/event-stream"),)


@cache
def bundle() -> Bundle:
    """The policies of these tests."""
    return bundle_of(DOCUMENTS, organisation="Example Org")


class Disk:
    """A disk that can be told to refuse writing, as SQLite sees it."""

    def __init__(self, ledger: Ledger) -> None:
        self.fails = False
        event.listen(ledger.database.engine, "checkout", self._prepare)

    def _prepare(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA query_only={int(self.fails)}")


@dataclass(slots=True, kw_only=True)
class Site:
    """One ledger, its recorder, and what is different about the calls of a test."""

    ledger: Ledger
    recorder: Recorder
    address: tuple[str, int] = ("192.0.2.1", 443)
    request_limit_bytes: int = 1_000_000
    answer_limit_bytes: int = 1_000_000
    unannounced_limit_bytes: int | None = None
    keep_wire: bool = False
    teacher: Teacher = TEACHER
    caller: Caller = CALLER
    bundle: Bundle = field(default_factory=bundle)
    detectors: Detectors = field(default_factory=lambda: Detectors({}, timeout_s=1.0))
    delivery: Delivery = field(default_factory=Delivery)
    clearances: list[Clearance] = field(default_factory=list)
    """What was found for calls of this site."""

    @property
    def services(self) -> Services:
        """What the calls of this site share."""
        return Services(
            bundle=self.bundle,
            counting=Counting(self.bundle, bytes(32)),
            recorder=self.recorder,
            worker="worker-1",
            keep_wire=self.keep_wire,
            detectors=self.detectors,
            delivery=self.delivery,
            request_limit_bytes=self.request_limit_bytes,
            answer_limit_bytes=self.answer_limit_bytes,
            unannounced_limit_bytes=self.unannounced_limit_bytes,
            now=lambda: NOW,
            resolve=self.resolve,
            clearance=self.clearance,
            batches=Batches(
                database=self.ledger.database, secret=bytes(32), directory=self.ledger.folder
            ),
        )

    async def resolve(self, route: Route) -> tuple[str, int]:
        """The address of the test."""
        return self.address

    async def clearance(self, facts: Mapping[str, Fact], body: bytes) -> Clearance | None:
        """What the ledger says."""
        found = await Clearances(self.ledger.database).find(facts, body)
        self.clearances += [found] if found else []
        return found

    def call(
        self,
        *,
        method: str = "POST",
        target: str = "/v1/chat/completions",
        headers: Headers = (),
        student: str | None = "router",
        early: Early | None = None,
    ) -> Call:
        """A call as the gatehouse opens it."""
        path, _, query = target.partition("?")
        head = RequestHead(
            method=method,
            path=path,
            query=storable_query(query),
            headers=storable_request_headers(headers),
        )
        found = format_for(head, self.teacher.formats)
        reader = (found or Plain("other", method="", suffixes=())).reader(head)
        return Call(
            services=self.services,
            route=Route(
                entry=self.teacher,
                host=self.teacher.hosts[0],
                port=self.teacher.port,
                scheme=self.teacher.scheme,
                connect=self.address,
                target=target,
                path=path,
                query=query,
            ),
            caller=replace(self.caller, student=student),
            head=head,
            sent_headers=headers,
            operation="other" if found is None else found.claims(head) or "other",
            reader=reader,
            early=early,
        )

    def entries(self) -> list[Entry]:
        """All that is on record."""
        with self.ledger.database.read() as connection:
            return [stored.entry for stored in entries(connection)]

    def calls(self) -> list[CallEntry]:
        """The calls on record."""
        return [entry for entry in self.entries() if isinstance(entry, CallEntry)]

    def exchanges(self) -> list[ExchangeEntry]:
        """The exchanges on record."""
        return [entry for entry in self.entries() if isinstance(entry, ExchangeEntry)]

    def pair(self) -> tuple[CallEntry, ExchangeEntry]:
        """The only call and its only exchange."""
        ((call,), (exchange,)) = self.calls(), self.exchanges()
        assert exchange.call == call.id
        return call, exchange

    def everything(self) -> bytes:
        """Every byte of the database's files and of every stored body, opened."""
        from proxy.store.bodies import Opening, open_seal

        raw = b"".join(path.read_bytes() for path in sorted(self.ledger.folder.glob("inbond.db*")))
        seals = [record for one in self.calls() for record in [one.request]]
        seals += [r for one in self.exchanges() for r in (one.wire, one.answer) if r is not None]
        with self.ledger.database.read() as connection:
            found = [open_seal(connection, record.seal) for record in seals]
        return raw + b"".join(one.data for one in found if isinstance(one, Opening))


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A site with a ledger in a folder, closed after the block."""
    ledger = open_ledger(folder)
    recorder = Recorder(ledger.log, retry_s=0.01)
    yield Site(ledger=ledger, recorder=recorder)
    recorder.close()
    ledger.database.close()

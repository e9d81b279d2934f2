"""Calls about batches through a real gatehouse into a real ledger, as the engine makes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, Passage, Refused, Streamed
from proxy.gatehouse import Gatehouse, Identities
from proxy.identity import Credential, digest_of, make_client_key
from proxy.keyring import LedgerKeyRing
from proxy.ledger.entry import CallEntry, ExchangeEntry
from proxy.providers import FormatName
from proxy.route import Registry
from proxy.secret import Secret
from proxy.unlisted import UnlistedHosts
from tests.proxy.calls import TEACHER, Site
from tests.proxy.store.ledgers import key_entry

KEY = make_client_key(bytes(range(32)))
LINES: Headers = (("Content-Type", "application/x-jsonl"),)
CHAT: tuple[FormatName, ...] = (
    "openai.chat",
    "openai.responses",
    "openai.embeddings",
    "anthropic.messages",
)
FORMATS: Mapping[str, tuple[FormatName, ...]] = {
    "anthropic": ("anthropic.batches", *CHAT),
    "openai": ("openai.batches", "openai.files", *CHAT),
    "mistral": ("mistral.batches", "openai.files", *CHAT),
    "xai": ("xai.batches", *CHAT),
    "gemini": ("gemini.batches", "gemini.generateContent"),
}


@dataclass(slots=True, kw_only=True)
class Desk:
    """A gatehouse before one teacher who takes batches."""

    site: Site
    house: Gatehouse

    @classmethod
    def of(cls, site: Site, provider: str, *, student: str = "router") -> "Desk":
        """A desk whose caller teaches a student; several may share a site."""
        teacher = replace(TEACHER, paths=("/*",), formats=FORMATS[provider])
        entry = key_entry("create", f"k-{student}", student=student, digest=digest_of(KEY))
        if not any(getattr(one, "kind", "") == "key" for one in site.entries()):
            site.ledger.log.append([entry])
        house = Gatehouse(
            services=site.services,
            registry=Registry([teacher]),
            identities=Identities(
                ring=LedgerKeyRing(site.ledger.database),
                custody={"acme": Credential(account="main", secret=Secret("sk-held"))},
                fingerprint_key=bytes(32),
            ),
            unlisted=UnlistedHosts("refuse"),
        )
        return cls(site=site, house=house)

    async def open(self, method: str, target: str, headers: Headers = ()) -> Passage:
        """The passage of a request."""
        arrival = Arrival(
            client="c1",
            method=method,
            scheme="https",
            host="api.acme.example",
            port=443,
            target=target,
            headers=(("x-inbond-key", KEY.reveal()), *headers),
        )
        opened = await self.house.open(arrival)
        assert not isinstance(opened, Refused), opened.body
        return opened

    async def ask(
        self,
        method: str,
        target: str,
        body: object = b"",
        *,
        answer: object = b"",
        status: int = 200,
        headers: Headers = (("Content-Type", "application/json"),),
        outcome: Outcome = Outcome.COMPLETE,
    ) -> Refused | None:
        """Make a call and answer it; gives the refusal if it was not sent."""
        passage = await self.open(method, target)
        verdict = await passage.request(data(body))
        if isinstance(verdict, Refused):
            await passage.end(Outcome.REFUSED)
            return verdict
        passage.respond(status, headers)
        whole = data(answer)
        for start in range(0, len(whole), 100):
            passage.tap(whole[start : start + 100])
        await passage.end(outcome)
        return None

    async def upload(
        self, lines: bytes, *, file: str = "file-1", purpose: str = "batch", piece: int = 7
    ) -> None:
        """Send a file as it comes in, and answer it."""
        body = form(lines, purpose)
        passage = await self.open("POST", "/v1/files", (("Content-Type", FORM),))
        assert isinstance(passage, Streamed)
        verdict = await passage.begin(body[:3])
        assert isinstance(verdict, Forward), verdict
        assert self.site.calls()[-1].facts["operation"] == "file"
        for start in range(0, len(body), piece):
            assert passage.upload(body[start : start + piece])
        passage.respond(200, (("Content-Type", "application/json"),))
        passage.tap(data({"object": "file", "id": file, "purpose": purpose}))
        await passage.end(Outcome.COMPLETE)

    def lines(self) -> list[CallEntry]:
        """The calls that left as lines of a batch, or were meant to."""
        return [call for call in self.site.calls() if call.line is not None]

    def ends(self) -> dict[str, ExchangeEntry]:
        """The exchanges of lines, by their calls."""
        lines = {line.id for line in self.lines()}
        return {end.call: end for end in self.site.exchanges() if end.call in lines}

    def outcomes(self) -> list[tuple[str, str | None, str | None] | None]:
        """How each line ended: outcome, problem, verdict; None of one that is open."""
        ends = self.ends()
        return [_said(ends.get(line.id)) for line in self.lines()]

    def last(self) -> ExchangeEntry:
        """The exchange of the last call that was no line."""
        lines = {line.id for line in self.lines()}
        return [end for end in self.site.exchanges() if end.call not in lines][-1]


def _said(end: ExchangeEntry | None) -> tuple[str, str | None, str | None] | None:
    if end is None:
        return None
    return end.outcome, end.problem, None if end.decision is None else end.decision.verdict


BOUNDARY = "the-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(file: bytes, purpose: str) -> bytes:
    """A form with a file and, after it, its purpose."""
    return (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="requests.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    ).encode() + (
        file
        + f"\r\n--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="purpose"\r\n\r\n'
        f"{purpose}\r\n--{BOUNDARY}--\r\n".encode()
    )


def data(value: object) -> bytes:
    """Bytes as they are, a list as JSON lines, anything else as JSON."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return b"".join(json.dumps(one).encode() + b"\n" for one in value)
    return json.dumps(value).encode()


def messages(words: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    """Requests of a batch of Anthropic's, their ids `r0`, `r1` and so on."""
    return [
        {
            "custom_id": f"r{n}",
            "params": {
                "model": "acme-1",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": word}],
                **more,
            },
        }
        for n, word in enumerate(words)
    ]


def message(word: str) -> dict[str, Any]:
    """A whole answer of the Messages API."""
    return {
        "id": f"msg-{word}",
        "type": "message",
        "role": "assistant",
        "model": "acme-1",
        "content": [{"type": "text", "text": word}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def succeeded(custom_id: str, word: str) -> dict[str, Any]:
    """A result of Anthropic's."""
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message(word)}}


def made(batch: str = "msgbatch-1", *, status: str = "in_progress") -> dict[str, Any]:
    """Anthropic's word for a batch."""
    is_ended = status == "ended"
    url = f"https://api.acme.example/v1/messages/batches/{batch}/results" if is_ended else None
    return {
        "id": batch,
        "type": "message_batch",
        "processing_status": status,
        "results_url": url,
    }


def chat(word: str) -> dict[str, Any]:
    """A whole answer of the chat API."""
    return {
        "id": f"chat-{word}",
        "object": "chat.completion",
        "model": "acme-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": word},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }

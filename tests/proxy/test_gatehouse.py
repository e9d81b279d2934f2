"""The gatehouse: what is not routed, identified or readable gets an answer and goes nowhere."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.errors import LedgerError, RouteError
from proxy.exchange import Headers
from proxy.gate import Arrival, Forward, GateKeeper, Passage, Refused, Tunnel
from proxy.gatehouse import Gatehouse, Identities
from proxy.identity import Credential, digest_of, make_client_key
from proxy.keyring import LedgerKeyRing
from proxy.providers import packaged_entries
from proxy.route import Registry, Route
from proxy.secret import Secret
from proxy.unlisted import UnlistedHosts
from tests.proxy.calls import REQUEST, TEACHER, Site, site
from tests.proxy.store.ledgers import key_entry

KEY = make_client_key(bytes(range(32)))
OTHER = make_client_key(bytes(range(1, 33)))
WITH_KEY: Headers = (("x-inbond-key", KEY.reveal()),)
PROXY_KEY: Headers = (("Proxy-Authorization", f"Bearer {KEY.reveal()}"),)
COVERED = replace(TEACHER, paths=("/v1/chat/*",))


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose ledger knows one client key."""
    with site(tmp_path) as opened:
        opened.ledger.log.append(
            [key_entry("create", "k1", student="router", digest=digest_of(KEY))]
        )
        yield opened


def _house(
    here: Site,
    *,
    tunnels: bool = False,
    held: str = "sk-held",
    unlisted: UnlistedHosts | None = None,
) -> Gatehouse:
    packaged = files("proxy").joinpath("providers.yaml").read_text()
    names = ("acme", "google-gemini-api", "aws-bedrock")
    return Gatehouse(
        services=here.services,
        registry=Registry([COVERED, *packaged_entries(packaged)]),
        identities=Identities(
            ring=LedgerKeyRing(here.ledger.database),
            custody={name: Credential(account="main", secret=Secret(held)) for name in names},
            fingerprint_key=bytes(32),
        ),
        unlisted=unlisted or UnlistedHosts("tunnel" if tunnels else "refuse"),
    )


def _arrival(
    target: str = "/v1/chat/completions",
    *,
    host: str | None = "api.acme.example",
    port: int = 443,
    headers: Headers = WITH_KEY,
    method: str = "POST",
) -> Arrival:
    return Arrival(
        client="c1",
        method=method,
        scheme="https",
        host=host,
        port=None if host is None else port,
        target=target,
        headers=headers,
    )


async def _refusal(house: Gatehouse, arrival: Arrival) -> Refused:
    answer = await house.open(arrival)
    assert isinstance(answer, Refused)
    return answer


async def _passage(house: Gatehouse, arrival: Arrival) -> Passage:
    answer = await house.open(arrival)
    assert not isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    "arrival",
    [_arrival(), _arrival("/acme/v1/chat/completions", host=None)],
)
async def test_both_modes_open_the_same_call(here: Site, arrival: Arrival) -> None:
    """A known caller of a registered teacher gets a call, by host or by prefix."""
    house: GateKeeper = _house(here)
    passage = await house.open(arrival)
    assert not isinstance(passage, Refused)
    forward = await passage.request(REQUEST)
    assert isinstance(forward, Forward)
    assert forward.target == "/v1/chat/completions"
    assert "sk-held" in dict(forward.headers)["Authorization"]
    (call,) = here.calls()
    assert (call.key, call.facts["project"], call.facts["account.id"]) == ("k1", "p1", "main")


async def test_while_calls_are_held_none_passes(here: Site) -> None:
    """Known callers get the reason as 503; once it is gone, calls pass again."""
    house = _house(here)
    house.hold(LedgerError("the ledger is not anchored in time", code="not-anchored"))
    refused = await _refusal(house, _arrival())
    assert (refused.status, house.counts["not-anchored"]) == (503, 1)
    assert b"the ledger is not anchored in time; try again later" in refused.body
    assert here.calls() == []
    house.hold(None)
    assert await _passage(house, _arrival())


async def _forward(house: Gatehouse, arrival: Arrival, body: bytes) -> Forward:
    found = await (await _passage(house, arrival)).request(body)
    assert isinstance(found, Forward), found
    return found


async def test_a_client_key_in_googles_query_opens_the_call_and_goes_no_further(here: Site) -> None:
    """The key in custody goes into its header, and none of ours is in what is sent."""
    target = f"/v1beta/models/m:streamGenerateContent?alt=sse&key={KEY.reveal()}"
    arrival = _arrival(target, host="generativelanguage.googleapis.com", headers=())
    sent = await _forward(_house(here), arrival, b'{"contents": [{"parts": [{"text": "Hi"}]}]}')
    assert sent.target == "/v1beta/models/m:streamGenerateContent?alt=sse"
    assert dict(sent.headers)["x-goog-api-key"] == "sk-held"
    assert KEY.reveal() not in repr(sent)
    (call,) = here.calls()
    assert (call.facts["route"], call.facts["model.asked"]) == ("google-gemini-api", "m")


async def test_a_call_to_bedrock_is_signed_with_the_key_in_custody(here: Site) -> None:
    """For the host's region and over the bytes that are sent; the secret itself never leaves."""
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    arrival = _arrival("/model/acme.m-v1%3A0/converse", host=host)
    house = _house(here, held="AKIAEXAMPLE:held-secret")
    body = b'{"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}'
    sent = await _forward(house, arrival, body)
    headers = dict(sent.headers)
    assert "Credential=AKIAEXAMPLE/" in headers["Authorization"]
    assert "/eu-central-1/bedrock/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Content-SHA256"] == sha256(body).hexdigest()
    assert "held-secret" not in repr(sent)


@pytest.mark.parametrize(
    ("host", "target", "field"),
    [
        ("generativelanguage.googleapis.com", "/v1beta/models/m:generateContent", "error"),
        ("bedrock-runtime.us-1.amazonaws.com", "/model/m/converse", "message"),
    ],
)
async def test_a_refusal_has_the_shape_of_the_format(
    here: Site, host: str, target: str, field: str
) -> None:
    """What a call's own SDK expects, also of a body that cannot be read."""
    answer = await (await _passage(_house(here), _arrival(target, host=host))).request(b"{}")
    assert isinstance(answer, Refused)
    assert (answer.status, list(json.loads(answer.body))) == (400, [field])


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/v1/chat/odd"), ("DELETE", "/v1/chat/completions"), ("POST", "/v2/anything")],
)
async def test_what_nobody_can_read_is_refused_on_record(
    here: Site, method: str, target: str
) -> None:
    """A way the contract does not cover, or no format reads, is refused and recorded (P9)."""
    passage = await _passage(_house(here), _arrival(target, method=method))
    answer = await passage.request(REQUEST)
    assert isinstance(answer, Refused)
    call, exchange = here.pair()
    assert (answer.status, exchange.problem, call.facts["operation"]) == (
        403,
        "unclassified",
        "other",
    )


async def test_what_is_known_and_not_read_is_refused_with_another_way(here: Site) -> None:
    """A file in parts could become a batch whose requests nobody read."""
    passage = await _passage(_house(here), _arrival("/v1/uploads", method="POST"))
    answer = await passage.request(b"{}")
    assert isinstance(answer, Refused)
    assert "it cannot read `POST /v1/uploads` of `acme`" in answer.body.decode()
    assert "; send it whole, with `POST /v1/files`" in answer.body.decode()


@pytest.mark.parametrize(
    ("arrival", "status", "reason"),
    [
        (_arrival(headers=()), 401, "no-client-key"),
        (_arrival(headers=(("x-inbond-key", "ib_short"),)), 401, "bad-key"),
        (_arrival(headers=(("x-inbond-key", OTHER.reveal()),)), 401, "unknown-key"),
        (_arrival(headers=(("Proxy-Authorization", "Bearer x"),)), 407, "bad-key"),
        (_arrival("/a/%2f/b"), 400, "ambiguous-path"),
        (_arrival(port=444), 400, "wrong-port"),
        (_arrival(host="other.example"), 403, "refused-unlisted"),
        (_arrival("/nobody/v1", host=None), 404, "unknown-prefix"),
    ],
)
async def test_who_is_not_known_leaves_no_entry(
    here: Site, arrival: Arrival, status: int, reason: str
) -> None:
    """What cannot be routed or identified gets an answer, a counted log line and no entry."""
    house = _house(here)
    before = len(here.entries())
    with capture_logs() as logs:
        answer = await _refusal(house, arrival)
    assert answer.status == status
    assert house.counts == {reason: 1}
    assert [line["reason"] for line in logs] == [reason]
    assert len(here.entries()) == before
    assert ("proxy-authenticate" in dict(answer.headers)) is (status == 407)


async def test_a_revoked_key_is_nobody(here: Site) -> None:
    """A key that was revoked is turned away once the ring was refreshed."""
    house = _house(here)
    await _passage(house, _arrival())
    here.ledger.log.append([key_entry("revoke", "k1")])
    await house._identities.ring.refresh()
    assert (await _refusal(house, _arrival())).status == 401


async def test_no_secret_is_told_or_logged(here: Site) -> None:
    """Neither an answer nor a log line repeats a credential, wherever it stood (P4)."""
    house = _house(here)
    canary = "canary-7f3a"
    told = b""
    with capture_logs() as logs:
        for name in ("x-inbond-key", "Proxy-Authorization", "Authorization", "x-api-key", "Cookie"):
            for value in (canary, f"Bearer ib_{canary}"):
                arrival = _arrival(f"/v1/chat/x?key={canary}", headers=((name, value),))
                answer = await _refusal(house, arrival)
                told += answer.body + repr(answer.headers).encode()
                tunnel = await house.connect("c", "api.acme.example", 443, ((name, value),))
                told += repr(tunnel).encode()
    assert canary.encode() not in told + repr(logs).encode()


@pytest.mark.parametrize(
    ("host", "port", "headers", "tunnels", "verdict"),
    [
        ("api.acme.example", 443, (), False, Tunnel()),
        ("API.Acme.example.", 443, PROXY_KEY, False, Tunnel()),
        ("api.acme.example", 444, PROXY_KEY, True, 403),
        ("other.example", 443, PROXY_KEY, True, Tunnel(carried_to=("192.0.2.1", 443))),
        ("other.example", 443, PROXY_KEY, False, 403),
        ("other.example", 443, (), True, 407),
        ("other.example", 443, (("proxy-authorization", "Bearer x"),), True, 407),
    ],
)
async def test_a_tunnel_is_opened_carried_or_refused(
    here: Site,
    host: str,
    port: int,
    headers: Headers,
    tunnels: bool,  # noqa: FBT001 - a parameter
    verdict: Tunnel | int,
) -> None:
    """TLS of registered hosts is opened; others are carried for known callers, if at all."""
    answer = await _house(here, tunnels=tunnels).connect("c1", host, port, headers)
    assert (answer.status if isinstance(answer, Refused) else answer) == verdict


INSPECTING = UnlistedHosts("inspect", tunnel=["pinned.example"])


async def test_an_unlisted_host_is_looked_into(here: Site) -> None:
    """Its tunnel is opened for known callers, and what is inside is an inspection."""
    house = _house(here, unlisted=INSPECTING)
    assert await house.connect("c1", "other.example", 443, PROXY_KEY) == Tunnel()
    inside = _arrival("/x", host="other.example", headers=(("Host", "other.example"),))
    passage = await _passage(house, inside)
    assert isinstance(await passage.request(b""), Forward)
    assert (house.passed.counts, house.counts) == ({"other.example": 1}, {})
    with capture_logs() as logs:
        refused = await (await _passage(house, inside)).request(REQUEST)
    assert isinstance(refused, Refused)
    assert [(line["event"], line["host"]) for line in logs] == [
        ("unlisted gateway", "other.example")
    ]
    assert house.counts == {"unlisted-gateway": 1}
    (call,) = here.calls()
    assert (call.key, call.host) == ("k1", "other.example")


async def test_an_excepted_host_is_carried_and_counted(here: Site) -> None:
    """It stays closed, and goes to the address that was looked at."""
    house = _house(here, unlisted=INSPECTING)
    tunnel = await house.connect("c1", "Pinned.example", 443, PROXY_KEY)
    assert tunnel == Tunnel(carried_to=here.address)
    assert house.passed.counts == {"pinned.example": 1}


@pytest.mark.parametrize(
    ("host", "headers", "status", "reason"),
    [
        ("other.example", (), 407, "unlisted-without-key"),
        ("other.example", (("x-inbond-key", OTHER.reveal()),), 401, "unknown-key"),
        ("other.example", (("Authorization", f"Bearer {KEY.reveal()}"),), 401, "no-custody"),
        ("other.example", (*PROXY_KEY, ("Host", "api.acme.example")), 421, "wrong-host"),
        ("a b", PROXY_KEY, 403, "refused-unlisted"),
    ],
)
async def test_who_may_not_go_to_an_unlisted_host(
    here: Site, host: str, headers: Headers, status: int, reason: str
) -> None:
    """Strangers, a key of ours where the host's own belongs, another name: answered and counted."""
    house = _house(here, unlisted=INSPECTING)
    answer = await _refusal(house, _arrival("/x", host=host, headers=headers))
    assert (answer.status, house.counts) == (status, {reason: 1})
    assert KEY.reveal().encode() not in answer.body
    assert ("proxy-authenticate" in dict(answer.headers)) is (status == 407)
    assert here.calls() == []


@pytest.mark.parametrize("host", ["pinned.example", "other.example"])
async def test_an_address_of_this_network_is_not_dialled(here: Site, host: str) -> None:
    """Neither for a tunnel that stays closed nor for a request inside of one that was opened."""
    house = _house(here, unlisted=INSPECTING)

    async def refuse(route: Route) -> tuple[str, int]:
        raise RouteError(f"`{route.host}` is private", code="private-address")

    house._services = replace(house._services, resolve=refuse)
    if host == "pinned.example":
        answer = await house.connect("c1", host, 443, PROXY_KEY)
    else:
        arrival = _arrival("/x", host=host, headers=PROXY_KEY)
        answer = await (await _passage(house, arrival)).request(b"")  # type: ignore[assignment] # asserted below
    assert isinstance(answer, Refused)
    assert json.loads(answer.body)["code"] == "unlisted-private-address"
    assert house.counts == {"unlisted-private-address": 1}
    assert not house.passed.counts


async def test_a_tunnel_identifies_what_is_inside(here: Site) -> None:
    """A key given on the CONNECT counts inside its tunnel, until the client is gone."""
    house = _house(here)
    await house.connect("c1", "api.acme.example", 443, PROXY_KEY)
    await _passage(house, _arrival(headers=()))
    house.disconnect("c1")
    house.disconnect("c1")
    assert (await _refusal(house, _arrival(headers=()))).status == 401


async def test_while_the_ledger_cannot_be_read_nobody_is_known(here: Site) -> None:
    """If keys cannot be looked up, calls and tunnels are refused with 503 and the reason (P9)."""
    house = _house(here)
    here.ledger.database.close()
    for path in here.ledger.folder.glob("inbond.db*"):
        path.write_bytes(b"no database at all, not even close to one")
    answer = await _refusal(house, _arrival())
    tunnel = await house.connect("c1", "api.acme.example", 443, PROXY_KEY)
    assert isinstance(tunnel, Refused)
    assert (answer.status, tunnel.status) == (503, 503)
    assert b"ledger" in answer.body


def test_a_broken_hook_refuses(here: Site) -> None:
    """Where a hook broke and no call is known, the refusal is ours and counted."""
    house = _house(here)
    assert house.broken("hook `open` broke").status == 503
    assert house.counts == {"hook-failed": 1}

"""Requests to unlisted hosts: what is held, what passes, what is refused, and what is told of it."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest

from proxy.errors import RouteError
from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, Refused, Wait
from proxy.inspection import Inspection, Notes, Passed, is_misdirected, unreached
from proxy.route import Route
from proxy.unlisted import UnlistedHosts
from tests.proxy.calls import CALLER, REQUEST, Site, site

HOST = "gateway.example"
FORM = (("content-type", "multipart/form-data; boundary=b"),)


TWICE = (("Content-Encoding", "identity"), ("content-encoding", "gzip"))
BLANKS = brotli.compress(b" " * 2**22 + b"{}")
"""It expands to more than is read before it says how it begins."""


class _Told:
    """What an inspection told."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.refused: list[tuple[str, str]] = []

    @property
    def notes(self) -> Notes:
        """Where to tell it."""
        return Notes(
            passed=self.passed.append, refused=lambda host, why: self.refused.append((host, why))
        )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with a ledger."""
    with site(tmp_path) as opened:
        yield opened


def _arrival(target: str, headers: Headers, method: str = "POST") -> Arrival:
    return Arrival(
        client="c",
        method=method,
        scheme="https",
        host=HOST,
        port=443,
        target=target,
        headers=(("Host", HOST), *headers),
    )


def _route(arrival: Arrival) -> Route:
    return UnlistedHosts("inspect").route(arrival, HOST, 443)


def _inspection(
    here: Site,
    target: str = "/search",
    *,
    headers: Headers = (),
    told: _Told | None = None,
    method: str = "POST",
) -> Inspection:
    arrival = _arrival(target, headers, method)
    return Inspection(
        services=here.services,
        arrival=arrival,
        route=_route(arrival),
        caller=replace(CALLER, credential=None, student="router"),
        notes=(told or _Told()).notes,
    )


async def _refusal(inspection: Inspection, body: bytes) -> Refused:
    answer = await inspection.request(body)
    assert isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    ("target", "headers", "start", "wants"),
    [
        ("/search", (), b" \n", Wait.MORE),
        ("/search", (), b" " * 70_000, Wait.WHOLE),
        ("/search", (), b'  {"a"', Wait.WHOLE),
        ("/search", (), b"[", Forward),
        ("/v1/chat/completions", (), b"a=b", Forward),
        ("/v1/audio/transcriptions", FORM, b"--b", Wait.WHOLE),
        ("/upload", FORM, b"--b", Forward),
        ("/upload", (("Content-Encoding", "aws-chunked"),), b"{", Forward),
        ("/v1/messages", (("Content-Encoding", "aws-chunked"),), b"x", Wait.WHOLE),
        ("/search", (("Content-Encoding", "gzip"),), gzip.compress(b"{}", mtime=0), Wait.WHOLE),
        ("/search", (("Content-Encoding", "gzip"),), gzip.compress(b"no", mtime=0), Forward),
        (
            "/search",
            (("Content-Encoding", "gzip"),),
            gzip.compress(b"no" * 2**20, mtime=0),
            Forward,
        ),
        ("/search", TWICE, gzip.compress(b"{}", mtime=0), Wait.WHOLE),
        ("/search", (("Content-Encoding", "br"),), BLANKS, Wait.WHOLE),
        ("/search", (("Content-Encoding", "gzip"),), gzip.compress(b"{}", mtime=0)[:10], Wait.MORE),
        ("/x.Chat/GetCompletion", (("Content-Type", "application/grpc"),), b"\0", Wait.WHOLE),
    ],
)
async def test_only_what_may_be_a_call_is_held(
    here: Site, target: str, headers: Headers, start: bytes, wants: Wait | type
) -> None:
    """A body is held as long as it may be a model call, and not a byte longer."""
    answer = await _inspection(here, target, headers=headers).begin(start)
    assert answer is wants or type(answer) is wants


async def test_what_passes_is_sent_as_it_came(here: Site) -> None:
    """Target and headers are the client's, less those of the hop and ours; no record is made."""
    told = _Told()
    headers = (
        ("X-Inbond-Key", "ib_x"),
        ("Proxy-Authorization", "Basic x"),
        ("Connection", "keep-alive"),
        ("Cookie", "a=b"),
        ("Authorization", "Bearer theirs"),
    )
    answer = await _inspection(here, "/a%2fb//c?q", headers=headers, told=told).request(b"")
    assert isinstance(answer, Forward)
    assert (answer.scheme, answer.host, answer.target) == ("https", HOST, "/a%2fb//c?q")
    assert answer.headers == (
        ("Host", HOST),
        ("Cookie", "a=b"),
        ("Authorization", "Bearer theirs"),
    )
    assert answer.connect == here.address
    assert not answer.may_switch
    assert (told.passed, told.refused, here.entries()) == ([HOST], [], [])


async def test_a_change_of_protocol_is_passed_on(here: Site) -> None:
    """A WebSocket that is no model's goes on with its upgrade, and may switch."""
    headers = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "k"))
    answer = await _inspection(here, "/feed", headers=headers, method="GET").request(b"")
    assert isinstance(answer, Forward)
    assert answer.may_switch
    assert answer.headers[-2:] == (("Connection", "Upgrade"), ("Upgrade", "websocket"))


@pytest.mark.parametrize("protocol", ["h2c", "HTTP/2.0", "tcp"])
async def test_no_other_protocol_is_switched_to(here: Site, protocol: str) -> None:
    """Requests could pass unseen inside of it: such a request goes on without its upgrade."""
    headers = (("Connection", "Upgrade"), ("Upgrade", protocol))
    answer = await _inspection(here, headers=headers, method="GET").request(b"")
    assert isinstance(answer, Forward)
    assert not answer.may_switch
    assert answer.headers == (("Host", HOST),)


async def test_a_model_call_is_refused_on_record(here: Site) -> None:
    """The call and its refused exchange are durable, under a route that no policy permits."""
    told = _Told()
    inspection = _inspection(here, "/odd/v1/chat/completions", told=told)
    assert inspection.exchange == ""
    answer = await _refusal(inspection, REQUEST)
    assert answer.status == 403
    assert json.loads(answer.body)["error"]["code"] == "unlisted-gateway"
    call, exchange = here.pair()
    assert (call.facts["route"], call.facts["operation"], call.host) == ("unlisted", "chat", HOST)
    assert call.request.size_bytes == len(REQUEST)
    assert (exchange.outcome, exchange.problem, exchange.id) == (
        "refused",
        "unlisted-gateway",
        inspection.exchange,
    )
    assert (told.passed, told.refused) == ([], [(HOST, "unlisted-gateway")])
    await inspection.end(Outcome.REFUSED)
    assert len(here.exchanges()) == 1


async def test_an_unreadable_body_under_a_known_path_is_refused(here: Site) -> None:
    """Where a model call is likely, what cannot be read does not pass (P9)."""
    headers = (("Content-Encoding", "secret"),)
    answer = await _refusal(_inspection(here, "/v1/messages", headers=headers), b"x")
    assert (answer.status, json.loads(answer.body)["code"]) == (415, "unlisted-unreadable")
    assert isinstance(await _inspection(here, "/x", headers=headers).request(b"x"), Forward)


@pytest.mark.parametrize(
    ("padding", "rest"), [(2**22, b""), (0, b"garbage")], ids=["expands", "broken"]
)
async def test_an_object_that_cannot_be_decoded_is_refused(
    here: Site, padding: int, rest: bytes
) -> None:
    """What begins like an object and expands too far, or breaks behind it, hides no call (P9)."""
    body = gzip.compress(REQUEST + b" " * padding) + rest
    inspection = _inspection(here, "/odd", headers=(("Content-Encoding", "gzip"),))
    assert await inspection.begin(body) is Wait.WHOLE
    assert (await _refusal(inspection, body)).status == 415


async def test_limits_are_those_of_calls(here: Site) -> None:
    """What is held has the limits of a call: smaller where its length was not announced."""
    here.request_limit_bytes, here.unannounced_limit_bytes = 100, 10
    assert _inspection(here).limit_bytes == 10
    assert _inspection(here, headers=(("Content-Length", "50"),)).limit_bytes == 100
    here.unannounced_limit_bytes = None
    assert _inspection(here).limit_bytes == 100
    answer = await _inspection(here).too_large()
    assert (answer.status, here.entries()) == (413, [])
    assert "unlisted_hosts.tunnel" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize(
    ("code", "status", "fix"),
    [("private-address", 403, "unlisted_hosts.private"), ("no-address", 502, "mend the name")],
)
async def test_an_address_that_may_not_be_dialled(code: str, status: int, fix: str) -> None:
    """The refusal names the setting that would allow it, or what is wrong with the name."""
    early = unreached(RouteError("`x` is not to be had", code=code, help="mend the name"))
    assert (early.status, early.code) == (status, f"unlisted-{code}")
    assert fix in early.message


async def test_what_goes_wrong_is_said(here: Site) -> None:
    """A host without an answer and a hook that broke are told apart; neither leaves an entry."""
    told = _Told()
    inspection = _inspection(here, told=told)
    assert inspection.unreachable("x").status == 502
    assert inspection.fail("hook broke").status == 503
    assert [why for _, why in told.refused] == ["unlisted-unreachable", "hook-failed"]
    await inspection.end(Outcome.UPSTREAM_FAILED)
    assert here.entries() == []


async def test_a_hook_that_breaks_after_a_refusal_keeps_the_record(here: Site) -> None:
    """The call that was made answers for itself."""
    inspection = _inspection(here, "/v1/chat/completions")
    await inspection.request(REQUEST)
    assert b"hook broke" in inspection.fail("hook broke").body


def test_nothing_of_an_answer_is_kept(here: Site) -> None:
    """Chunks pass both ways, and no header is added."""
    inspection = _inspection(here)
    assert inspection.upload(b"x")
    assert inspection.tap(b"x")
    assert inspection.respond(200, ()) == ()


@pytest.mark.parametrize(
    ("named", "is_other"),
    [
        (HOST, False),
        (HOST.upper(), False),
        (f"{HOST}:443", False),
        ("api.openai.com", True),
        (f"{HOST}:444", True),
        ("", True),
    ],
)
def test_a_name_behind_a_shared_front_is_seen(named: str, *, is_other: bool) -> None:
    """A `Host` other than the connection's leads elsewhere; without one there is none."""
    arrival = _arrival("/", ())
    other = replace(arrival, headers=(("host", named),))
    assert is_misdirected(other, _route(arrival)) is is_other
    assert not is_misdirected(replace(arrival, headers=()), _route(arrival))


def test_hosts_are_counted_up_to_a_thousand() -> None:
    """Whoever calls ever new hosts costs no memory."""
    passed = Passed()
    for n in range(1500):
        passed.add(f"h{n}.example")
    passed.add("h1.example")
    assert len(passed.counts) == 1001
    assert (passed.counts["h1.example"], passed.counts["(other hosts)"]) == (2, 500)

"""Tests of proxy.web.app."""

import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from proxy.errors import LedgerBusy, ProxyError
from proxy.logs import configure_logs
from proxy.web.app import CheckpointReport, CountedReport, StatusReport, _Rim, create_app

WELL = StatusReport(
    version="0.1.0",
    origin="inbond/acme",
    ledger_size=7,
    last_checkpoint=CheckpointReport(size=5, at="2026-11-24T05:00:00.000Z"),
    workers=2,
    policy_bundle="ab" * 32,
    counts={"call": 3},
)
HOME = "http://127.0.0.1:8485"


@asynccontextmanager
async def console(
    status: Callable[[], StatusReport], *, base: str = HOME, client: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the console."""
    transport = httpx.ASGITransport(create_app(status), client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url=base) as found:
        yield found


def failing(error: Exception) -> Callable[[], StatusReport]:
    """A status that cannot be told."""

    def status() -> StatusReport:
        raise error

    return status


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged during the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logs(stream, is_service=True)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


async def test_status_is_the_report() -> None:
    """`/status` says how the installation stands, as one object."""
    async with console(lambda: WELL) as client:
        response = await client.get("/status")
    assert response.status_code == 200
    assert response.json() == {
        "version": "0.1.0",
        "origin": "inbond/acme",
        "ledger_size": 7,
        "last_checkpoint": {"size": 5, "at": "2026-11-24T05:00:00.000Z"},
        "workers": 2,
        "policy_bundle": "ab" * 32,
        "counts": {"call": 3},
        "findings": [],
        "passed": {},
        "counted": [],
        "anchors": [],
        "problems": [],
    }


async def test_metrics_are_the_same_in_figures() -> None:
    """`/metrics` is text of Prometheus, to callers on this machine alone."""
    near = CountedReport(counter="day", rule="house/few", value=4, limit=9, left=6)
    async with console(lambda: WELL.model_copy(update={"counted": (near,)})) as client:
        response = await client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "inbond_ledger_entries 7\n" in response.text
    assert 'inbond_counter_left{counter="day",rule="house/few"} 6\n' in response.text
    async with console(lambda: WELL, client="192.0.2.1") as stranger:
        assert (await stranger.get("/metrics")).status_code == 403


async def test_health_says_whether_calls_can_be_made() -> None:
    """`/health` is 200 where all is well, else 503 with the reasons."""
    async with console(lambda: WELL) as client:
        well = await client.get("/health")
    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    ill = WELL.model_copy(update={"problems": ("no worker is alive", "the disk is full")})
    async with console(lambda: ill) as client:
        unwell = await client.get("/health")
        status = await client.get("/status")
    assert unwell.status_code == 503
    assert unwell.json()["detail"] == "no worker is alive; the disk is full"
    assert status.status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (LedgerBusy("locked", help="try again"), 503, "urn:inbond:ledger-busy"),
        (ProxyError("broken", help="mend"), 500, "urn:inbond:proxy-error"),
    ],
)
async def test_errors_of_ours_are_problems(error: ProxyError, status: int, kind: str) -> None:
    """An error of ours is a problem with its code, its message and its fix (RFC 9457)."""
    async with console(failing(error)) as client:
        response = await client.get("/health")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == (kind, status)
    assert (problem["detail"], problem["fix"]) == (error.message, error.help)


async def test_a_fault_tells_nothing_of_its_inside(log: io.StringIO) -> None:
    """An error nobody foresaw is a plain 500; what it was stands in the log, without credentials."""
    async with console(failing(ValueError("x-api-key: canary; inside"))) as client:
        response = await client.get("/status")
    assert response.status_code == 500
    assert "inside" not in response.text
    assert "ValueError" in log.getvalue()
    assert "canary" not in response.text + log.getvalue()


async def test_an_answer_under_way_is_broken_off(log: io.StringIO) -> None:
    """A fault after the first byte is logged and left to the server, which closes the connection."""
    sent: list[str] = []

    async def failing_app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("too late")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    with pytest.raises(ValueError, match="too late"):
        await _Rim(failing_app)({"type": "http", "path": "/x"}, receive, send)
    assert sent == ["http.response.start"]
    assert "a route failed" in log.getvalue()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/status", 405)]
)
async def test_what_is_not_there_is_a_problem(method: str, path: str, status: int) -> None:
    """Unknown paths and methods are problems too, with the headers HTTP asks for."""
    async with console(lambda: WELL) as client:
        response = await client.request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) is (status == 405)


@pytest.mark.parametrize("path", ["/status", "/nothing", "/openapi.json"])
async def test_every_response_is_guarded(path: str) -> None:
    """Whatever is answered, a browser may neither run, frame, keep nor share it."""
    async with console(lambda: WELL) as client:
        headers = (await client.get(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("base", "client", "is_local"),
    [
        ("http://127.0.0.1:8485", "127.0.0.1", True),
        ("http://localhost:8485", "127.0.0.1", True),
        ("http://[::1]:8485", "::1", True),
        ("http://rebound.example", "127.0.0.1", False),
        ("http://127.0.0.1:8485", "203.0.113.7", False),
        ("http://203.0.113.7", "203.0.113.7", False),
    ],
)
async def test_only_this_machine_is_answered(
    base: str,
    client: str,
    is_local: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Callers from elsewhere, and names that merely resolve to this machine, are refused."""
    async with console(lambda: WELL, base=base, client=client) as found:
        response = await found.get("/status")
    assert response.status_code == (200 if is_local else 403)
    assert is_local or response.json()["type"] == "urn:inbond:not-local"


async def test_no_page_loads_scripts_from_elsewhere() -> None:
    """There is a description for programs, and no page that fetches its parts from others."""
    async with console(lambda: WELL) as client:
        assert (await client.get("/openapi.json")).status_code == 200
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/redoc")).status_code == 404

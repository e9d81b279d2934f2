"""The console: for now whether the installation is well, and how it stands."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Annotated

import structlog
from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.web.metrics import MEDIA_TYPE, metrics_text
from proxy.web.problems import Problem, install_problems, problem_response

__all__ = [
    "AnchorReport",
    "CheckpointReport",
    "CountedReport",
    "FindingReport",
    "StatusReport",
    "create_app",
]

_LOG = structlog.get_logger("inbond.console")

_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckpointReport(_Report):
    """The last signed checkpoint of the ledger."""

    size: int
    at: str | None = None


class FindingReport(_Report):
    """A gateway that was called and that nobody registered."""

    host: str
    calls: int
    last_at: str
    projects: tuple[str, ...]


class CountedReport(_Report):
    """How near the group of calls that is nearest to one limit of one rule is to it."""

    counter: str
    rule: str
    value: int
    limit: int
    left: int
    """How much more until the rule's test turns; 0 once it has."""


class AnchorReport(_Report):
    """How it stands with one place that is told of checkpoints."""

    kind: str
    name: str
    size: int
    """That it confirmed last; -1 before the first."""
    at: str | None = None
    problem: str | None = None
    """Why it confirmed nothing newer."""
    next_at: str | None = None
    """When it is asked again."""


class StatusReport(_Report):
    """How the installation stands; it is well where `problems` is empty."""

    version: str
    origin: str
    ledger_size: int
    last_checkpoint: CheckpointReport | None
    workers: int
    """Workers that are alive."""
    policy_bundle: str | None
    """Its digest; None where no bundle is in force."""
    counts: Mapping[str, int] = {}
    findings: tuple[FindingReport, ...] = ()
    """Unlisted gateways, the one called last first."""
    passed: Mapping[str, int] = {}
    """Requests and tunnels that passed to unlisted hosts, by host, since the workers started."""
    counted: tuple[CountedReport, ...] = ()
    """For each limit that rules set on a counter, the nearest of those who called last."""
    anchors: tuple[AnchorReport, ...] = ()
    problems: tuple[str, ...] = ()
    """What keeps the installation from working, a sentence each."""


class Health(_Report):
    """Whether calls can be made."""

    status: str


def create_app(status: Callable[[], StatusReport]) -> FastAPI:
    """The console over ready parts. `status` may block: it is asked in a thread.

    It answers callers on this machine alone, under a name of this machine.
    """
    # No `/docs`: that page loads scripts from elsewhere.
    app = FastAPI(title="inbond console", docs_url=None, redoc_url=None)
    app.add_middleware(_Rim)
    app.add_middleware(_LoopbackOnly)
    app.add_middleware(_SecurityHeaders)
    install_problems(app)
    report = Annotated[StatusReport, Depends(status)]

    @app.get("/health", responses={503: {"model": Problem}})
    def health(now: report) -> Health:
        """Say whether calls can be made: 200, else 503 with the reasons."""
        if now.problems:
            raise _NotWell(now.problems)
        return Health(status="ok")

    @app.get("/status", responses={503: {"model": Problem}})
    def status_of(now: report) -> StatusReport:
        """Say how the installation stands."""
        return now

    @app.get("/metrics", response_class=PlainTextResponse, responses={503: {"model": Problem}})
    def metrics(now: report) -> PlainTextResponse:
        """Say the same in figures, as a monitoring system reads them."""
        return PlainTextResponse(metrics_text(now.model_dump()), media_type=MEDIA_TYPE)

    @app.exception_handler(_NotWell)
    def not_well(_: object, error: _NotWell) -> JSONResponse:
        return problem_response(503, code="not-well", detail="; ".join(error.problems))

    return app


class _NotWell(Exception):  # noqa: N818 - a state that leaves as 503, not an error of ours
    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems


class _SecurityHeaders:
    """Adds to every response what keeps a browser from doing more with it than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class _LoopbackOnly:
    """Refuses callers from elsewhere, and names that only resolve to this machine (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_local(scope):
            detail = "the console answers on this machine alone, as `localhost` or `127.0.0.1`"
            response = problem_response(403, code="not-local", detail=detail)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    host = Headers(scope=scope).get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    client = scope.get("client")
    return _is_loopback(name) and (client is None or _is_loopback(client[0]))


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Rim:
    """The rim of the routes: a fault of ours becomes a 500 that says nothing of its inside."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def send_noting(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception:
            _LOG.exception("a route failed", path=scope.get("path"))
            if is_started or scope["type"] != "http":
                raise
            detail, fix = "inbond met a fault of its own", "see the log of the console"
            response = problem_response(500, code="internal", detail=detail, fix=fix)
            await response(scope, receive, send)

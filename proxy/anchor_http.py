"""Asking witnesses and time-stamping authorities over HTTP: one question, one short answer."""

import time
from dataclasses import dataclass

import httpx

from proxy.errors import LedgerError

__all__ = ["Answer", "Asker", "Transport", "unreachable"]

type Transport = httpx.BaseTransport
"""What carries questions: the network, or a test's stand-in."""

_LIMIT_BYTES = 262_144
"""A longer answer is none: cosignatures and time-stamps have some kilobytes."""

_AGENT = {"user-agent": "inbond"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks one address; `transport` stands in for the network in tests."""

    url: str
    timeout_s: float
    transport: Transport | None = None

    def post(self, path: str, body: bytes, media_type: str) -> Answer:
        """The answer to a body sent to a path below the address.

        Raises:
            LedgerError: there is no answer, or one that is too slow or too long (`unreachable`).
        """
        return self._ask("POST", path, body, {"content-type": media_type})

    def get(self, path: str) -> Answer:
        """What is at a path below the address.

        Raises:
            LedgerError: as `post`.
        """
        return self._ask("GET", path, b"", {})

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        url = f"{self.url.rstrip('/')}/{path}" if path else self.url
        deadline = time.monotonic() + self.timeout_s
        try:
            with (
                httpx.Client(timeout=self.timeout_s, transport=self.transport) as client,
                client.stream(method, url, content=body, headers=_AGENT | headers) as answer,
            ):
                data = b""
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _LIMIT_BYTES:
                        raise unreachable(self.url, "answered with more than it may")
                    if time.monotonic() > deadline:
                        raise unreachable(self.url, f"did not answer within {self.timeout_s:g} s")
        except httpx.TimeoutException as error:
            raise unreachable(self.url, f"did not answer within {self.timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(self.url, f"cannot be asked: {_reason(error)}") from error
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(status=answer.status_code, media_type=media_type, body=data)


def unreachable(url: str, what: str) -> LedgerError:
    """An outage: it is tried again later."""
    return LedgerError(
        f"`{url}` {what}",
        help="it is tried again by itself; check the address and whether it is up",
        where=url,
        code="unreachable",
    )


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).lower()

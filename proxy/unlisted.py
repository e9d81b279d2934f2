"""What the settings say of hosts that nobody registered, and what stands for such a host: pure.

An unlisted host has no contract: a call to it is recorded under the route `unlisted`, of which no
policy says that anything may be learned.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal
from urllib.parse import unquote

from proxy.errors import RouteError
from proxy.gate import Arrival
from proxy.providers import Entry, plain_host
from proxy.route import Route, canonical_path

__all__ = ["ROUTE", "UnlistedHosts", "UnlistedMode", "authority_of", "path_of"]

type UnlistedMode = Literal["inspect", "tunnel", "refuse"]

ROUTE = "unlisted"
"""The fact `route` of a call to a host that nobody registered."""

_ENTRY = Entry(
    id=ROUTE,
    route=ROUTE,
    provider=ROUTE,
    hosts=(),
    port=443,
    prefix=ROUTE,
    paths=(),
    formats=(),
    auth="bearer",
    family="plain",
    scheme="https",
    models=MappingProxyType({}),
)
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")
"""What a leaf may keep as a host."""
_USUAL_PORTS = {"http": 80, "https": 443}


class UnlistedHosts:
    """What happens to each unlisted host.

    A pattern is a host, or begins with `*.` for every host below a name, or is `*`; with `:PORT` it
    holds for that port alone.
    """

    def __init__(
        self, mode: UnlistedMode, *, tunnel: Iterable[str] = (), private: Iterable[str] = ()
    ) -> None:
        """`tunnel` are hosts whose TLS stays closed, `private` those that may be of this network."""
        self._mode: UnlistedMode = mode
        self._tunnel = [_Pattern.of(text) for text in tunnel]
        self._private = [_Pattern.of(text) for text in private]

    def mode_of(self, host: str, port: int) -> UnlistedMode:
        """What happens to a tunnel to a host; one whose name is none is refused."""
        if not _HOST.fullmatch(plain_host(host)):
            return "refuse"
        is_excepted = any(pattern.matches(host, port) for pattern in self._tunnel)
        return "tunnel" if is_excepted and self._mode == "inspect" else self._mode

    def looks_into(self, host: str) -> bool:
        """Whether requests to a host are looked into, once they can be read."""
        return self._mode == "inspect" and _HOST.fullmatch(plain_host(host)) is not None

    def route_of(self, host: str, port: int, scheme: Literal["http", "https"]) -> Route:
        """The way to a host, as the look-up of its address needs it."""
        is_private_ok = any(pattern.matches(host, port) for pattern in self._private)
        name = plain_host(host)
        return Route(
            entry=replace(
                _ENTRY, hosts=(name,), is_private_ok=is_private_ok, scheme=scheme, port=port
            ),
            host=name,
            port=port,
            scheme=scheme,
            connect=(name, port),
            target="",
            path="",
            query="",
        )

    def route(self, arrival: Arrival, host: str, port: int) -> Route:
        """The way of a request; its path is the one that it is recognised by."""
        path, _, query = arrival.target.partition("?")
        found = self.route_of(host, port, arrival.scheme)
        return replace(found, target=arrival.target, path=path_of(path), query=query)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    host: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> "_Pattern":
        """A pattern as the settings write it."""
        found = re.fullmatch(r"(.*?)(?::([0-9]+))?", text)
        assert found is not None  # noqa: S101 - the expression matches every text
        return cls(host=plain_host(found[1]), port=int(found[2]) if found[2] else None)

    def matches(self, host: str, port: int) -> bool:
        """Whether a host and its port fit."""
        name = plain_host(host)
        is_below = self.host.startswith("*") and name.endswith(self.host[1:])
        return (name == self.host or is_below) and self.port in {None, port}


def path_of(path: str) -> str:
    """The path that a request is recognised by: read as the most lenient server would.

    Where a registered host's path would be refused as ambiguous, other traffic has every right to
    it: it is sent as it came.
    """
    try:
        plain = canonical_path(path)
    except RouteError:
        plain = "/" + re.sub(r"/+", "/", unquote(path)).lstrip("/")
    return plain.rstrip("/") or "/"


def authority_of(route: Route) -> str:
    """The `Host` of a way, for a client that names none (HTTP/2 has it elsewhere)."""
    host = f"[{route.host}]" if ":" in route.host else route.host
    return host if route.port == _USUAL_PORTS[route.scheme] else f"{host}:{route.port}"

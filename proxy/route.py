"""From a host, or the first path segment in base-URL mode, to the entry of the registry: pure.

The upstream host comes from the registry only. Decisions are made on the canonical path; the target
is sent as it came.
"""

import ipaddress
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from proxy.errors import RouteError, SettingsError
from proxy.providers import (
    Entry,
    Scheme,
    TeacherSettings,
    entry_of,
    matches,
    model_id,
    packaged_entries,
    plain_host,
)

__all__ = [
    "Entry",
    "Registry",
    "Route",
    "TeacherSettings",
    "Unlisted",
    "canonical_path",
    "entry_of",
    "is_forbidden_address",
    "model_id",
    "read_registry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a call goes: the same whichever mode the client used."""

    entry: Entry
    host: str
    port: int
    scheme: Scheme
    connect: tuple[str, int]
    """The address to dial."""
    target: str
    """The path and query to send, byte for byte what came, less the prefix of base-URL mode."""
    path: str
    """The canonical path, for decisions."""
    query: str

    @property
    def authority(self) -> str:
        """The `Host` to send: with its port where that is not the usual one of https."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """Nobody registered this.

    With an `entry`, the host is registered and the contract does not cover the path: refuse it.
    Without, the setting `unlisted` says what to do with `host`; in base-URL mode (`host` is None)
    there is nowhere to send it.
    """

    host: str | None
    port: int | None
    path: str
    entry: Entry | None = None


_NONE: Mapping[str, str] = MappingProxyType({})
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")  # RFC 3986 §2.3
_PERCENT = re.compile(r"%(.{0,2})", re.DOTALL)
_AMBIGUOUS = re.compile(r"[^!-~]|[\\#]")  # not visible ASCII, or read in two ways


def canonical_path(target: str, *, has_escaped_slash: bool = False) -> str:
    """The path of a request target as decisions see it: normalised by RFC 3986 §6.2.2, no query.

    Unreserved characters are decoded, other escapes upper-cased, `.` and `..` removed, runs of `/`
    made one. `%2F` stays as it is where names in the path may hold it, and is refused elsewhere.

    Raises:
        RouteError: `ambiguous-path`: two servers could read it as two paths, or it climbs out.
    """
    raw = target.partition("?")[0]
    if not raw.startswith("/") or _AMBIGUOUS.search(raw):
        raise _ambiguous(raw)
    kept: list[str] = []
    decoded = _decoded_but_slash if has_escaped_slash else _decoded
    segments = _PERCENT.sub(decoded, raw).split("/")[1:]
    for position, segment in enumerate(segments):
        is_last = position == len(segments) - 1
        if segment == "..":
            if not kept:
                raise _ambiguous(raw)
            kept.pop()
        if segment not in {"", ".", ".."}:
            kept.append(segment)
        elif is_last:
            kept.append("")
    return "/" + "/".join(kept)


def _decoded(escape: re.Match[str]) -> str:
    digits = escape[1]
    if len(digits) < 2 or not set(digits) <= set(string.hexdigits):
        raise _ambiguous(escape.string)
    char = chr(int(digits, 16))
    if char in _UNRESERVED:
        return char
    if char in "/\\%" or not char.isprintable():
        raise _ambiguous(escape.string)
    return f"%{digits.upper()}"


def _decoded_but_slash(escape: re.Match[str]) -> str:
    return "%2F" if escape[1].upper() == "2F" else _decoded(escape)


def _ambiguous(raw: str) -> RouteError:
    shown = raw[:80].encode("ascii", "backslashreplace").decode()
    return RouteError(
        f"path `{shown}` can be read in more than one way",
        code="ambiguous-path",
        help="send a plain path: no `..` above the root, no escaped `/`, `\\` or `%`",
    )


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291 §2.4
_SPECIAL = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890 §2.2.2
    ipaddress.IPv6Network("3fff::/20"),  # RFC 9637, unknown to older interpreters
)


def is_forbidden_address(ip: str) -> bool:
    """Whether an address is none of the public internet's: loopback, link-local, private, reserved.

    An IPv6 address that carries an IPv4 one is judged by that as well. What is no address is
    forbidden.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        if any(is_forbidden_address(str(inner)) for inner in _carried(address)):
            return True
        if address.ipv4_mapped is not None or address in _NAT64:
            return False
        if address not in _GLOBAL_UNICAST:
            return True
    return (
        not address.is_global
        or address.is_multicast
        or any(address in network for network in _SPECIAL)
    )


def _carried(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour]
    found += address.teredo or ()
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in found if inner is not None]


class Registry:
    """All entries, found by host or by prefix. One host may have several contracts, by path."""

    def __init__(self, entries: Iterable[Entry], endpoints: Mapping[str, str] = _NONE) -> None:
        """Index the entries.

        `endpoints` names the host to dial in base-URL mode for entries whose hosts are patterns.

        Raises:
            SettingsError: `duplicate-teacher`: two entries share an id, a host or a prefix.
        """
        self.entries = tuple(entries)
        self._endpoints = endpoints
        self._by_host: dict[str, list[Entry]] = {}
        self._patterns: list[tuple[re.Pattern[str], Entry]] = []
        self._by_prefix: dict[str, Entry] = {}
        by_id: dict[str, Entry] = {}
        for entry in self.entries:
            _claim(by_id, "id", entry.id, entry)
            _claim(self._by_prefix, "prefix", entry.prefix, entry)
            for host in entry.hosts:
                if "*" in host:
                    self._patterns.append((_host_pattern(host), entry))
                else:
                    self._claim_host(host, entry)

    def _claim_host(self, host: str, entry: Entry) -> None:
        """Give a host to an entry: contracts of one provider share hosts, a teacher of one's own never."""
        others = self._by_host.setdefault(host, [])
        if others and not (entry.is_packaged and others[0].is_packaged):
            _claim({host: others[0]}, "host", host, entry)
        others.append(entry)

    def of_host(self, host: str, port: int) -> tuple[Entry, ...]:
        """The entries of a host; none where nobody registered it.

        Raises:
            RouteError: `wrong-port`: the host is registered, on another port. It is never let pass
                as an unlisted host.
        """
        name = plain_host(host)
        found = self._by_host.get(name) or [
            entry for pattern, entry in self._patterns if pattern.fullmatch(name)
        ]
        fitting = tuple(entry for entry in found if entry.port == port)
        if found and not fitting:
            raise RouteError(
                f"`{found[0].id}` is registered on port {found[0].port}, not {port}",
                code="wrong-port",
                help=f"call https://{name}:{found[0].port}/",
            )
        return fitting

    def by_host(self, host: str, port: int) -> Entry | None:
        """The first entry of a host; None where nobody registered it.

        Raises:
            RouteError: `wrong-port`.
        """
        return next(iter(self.of_host(host, port)), None)

    def by_prefix(self, segment: str) -> Entry | None:
        """The entry that a first path segment names in base-URL mode."""
        return self._by_prefix.get(segment)

    def route(self, *, host: str | None, port: int | None, target: str) -> Route | Unlisted:
        """The way of a request: to `host:port`, or in base-URL mode (both None) by its first segment.

        Raises:
            RouteError: `ambiguous-path`, `wrong-port`, or `no-endpoint`: the entry stands for many
                hosts, and the settings name none of them.
        """
        if host is None or port is None:
            return self._route_by_prefix(target)
        entries = self.of_host(host, port)
        if not entries:
            return Unlisted(host=plain_host(host), port=port, path=target.partition("?")[0])
        return _route(entries, plain_host(host), target)

    def _route_by_prefix(self, target: str) -> Route | Unlisted:
        path = target.partition("?")[0]
        segment = path[1:].partition("/")[0]
        entry = self.by_prefix(segment)
        if entry is None or not path.startswith("/"):
            return Unlisted(host=None, port=None, path=path)
        rest = target[1 + len(segment) :]
        slash = "" if rest.startswith("/") else "/"
        return _route((entry,), self._endpoint(entry), f"{entry.base_path}{slash}{rest}")

    def _endpoint(self, entry: Entry) -> str:
        """The host that is dialled for an entry in base-URL mode."""
        named = self._endpoints.get(entry.id)
        if named is not None or "*" not in entry.hosts[0]:
            return named or entry.hosts[0]
        raise RouteError(
            f"`{entry.id}` stands for every host of `{entry.hosts[0]}`",
            code="no-endpoint",
            help=f"name yours under `endpoints` in inbond.yaml: `{entry.id}: HOST`; "
            "or call it by its own address through HTTPS_PROXY",
        )


def _host_pattern(host: str) -> re.Pattern[str]:
    """`*` at the start stands for any labels, elsewhere for a part of one."""
    first, rest = ("[a-z0-9.-]+", host[1:]) if host.startswith("*.") else ("", host)
    return re.compile(first + re.escape(rest).replace(r"\*", "[a-z0-9-]+"))


def _claim(taken: dict[str, Entry], what: str, name: str, entry: Entry) -> None:
    other = taken.setdefault(name, entry)
    if other is not entry:
        raise SettingsError(
            f"{what} `{name}` of teacher `{entry.id}` is taken by `{other.id}`",
            code="duplicate-teacher",
            where="teachers",
            help=f"give the teacher another {what}",
        )


def _route(entries: Sequence[Entry], host: str, target: str) -> Route | Unlisted:
    """The way by the first contract that covers the path."""
    for entry in entries:
        path = canonical_path(target, has_escaped_slash=entry.has_escaped_slash)
        if any(matches(path, pattern) for pattern in entry.paths):
            return Route(
                entry=entry,
                host=host,
                port=entry.port,
                scheme=entry.scheme,
                connect=entry.connect or (host, entry.port),
                target=target,
                path=path,
                query=target.partition("?")[2],
            )
    return Unlisted(host=host, port=entries[0].port, path=path, entry=entries[0])


def read_registry(
    load: Callable[[], str],
    teachers: Iterable[TeacherSettings] = (),
    endpoints: Mapping[str, str] = _NONE,
) -> Registry:
    """The registry: the packaged providers, whose YAML `load` gives, and one's own teachers.

    Raises:
        SettingsError: `duplicate-teacher`.
    """
    entries = [*packaged_entries(load()), *(entry_of(one) for one in teachers)]
    return Registry(entries, endpoints)

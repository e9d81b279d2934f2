"""Who calls, for which project, and on whose account: client keys and custody of providers' keys.

Reading order: `Proxy-Authorization`, the CONNECT of the same client connection, `x-inbond-key`, a
provider's key header that holds one of ours. None of them is ever forwarded.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol
from urllib.parse import parse_qsl

from proxy.errors import IdentityError
from proxy.exchange import Headers
from proxy.headers import (
    CREDENTIAL_HEADERS,
    storable_request_headers,
    storable_response_headers,
)
from proxy.keyfile import read_private
from proxy.secret import Secret
from proxy.settings import CustodySettings, Settings

__all__ = [
    "HEADER_OF",
    "QUERY_KEY",
    "AuthStyle",
    "Caller",
    "CallerError",
    "ClientKey",
    "Credential",
    "KeyRing",
    "checked_client_key",
    "digest_of",
    "identify",
    "identify_tunnel",
    "is_ours",
    "key_id_of",
    "keys_in",
    "load_custody",
    "make_client_key",
    "storable_request_headers",
    "storable_response_headers",
]

type AuthStyle = Literal["api-key", "bearer", "sigv4", "x-api-key", "x-goog-api-key"]

HEADER_OF: Mapping[AuthStyle, str] = MappingProxyType(
    {
        "api-key": "api-key",
        "bearer": "authorization",
        "sigv4": "authorization",
        "x-api-key": "x-api-key",
        "x-goog-api-key": "x-goog-api-key",
    }
)
"""The header in which a provider's key travels."""
QUERY_KEY = "key"
"""The query parameter in which Google's clients may send their key."""
# AWS's own ids are of capitals and digits; a client key may stand in the place of one.
_ACCESS_KEY = re.compile(r"Credential=([A-Za-z0-9_-]{16,128})/")

_PREFIX = "ib_"
_KEY_BYTES = 32
_KEY = re.compile(r"ib_[A-Za-z0-9_-]{43}")
_PROVIDER_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
_FINGERPRINT_CHARS = 16
_MAKE_ONE = "run `inbond key create --project PROJECT` and use the key it prints"


class CallerError(IdentityError):
    """Nobody we know calls: `status` is 407 where the proxy's own credentials are at fault, else 401."""

    def __init__(self, message: str, *, status: Literal[401, 407], fix: str, code: str) -> None:
        super().__init__(message, help=fix, code=code)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """A client key as the ledger knows it: `key` is its id, `student` what its project declares."""

    key: str
    project: str
    student: str | None
    is_revoked: bool = False


class KeyRing(Protocol):
    """Finds client keys."""

    def find(self, digest: str) -> ClientKey | None:
        """The key with this digest, revoked ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A provider's real key, and the name of the account it belongs to."""

    account: str
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: under custody `credential` is what to inject in the style of `auth`.

    `account_id` is None where a passed-through call carries no key of its own.
    """

    key: str
    project: str
    student: str | None
    account_id: str | None
    credential: Secret | None
    auth: AuthStyle

    @property
    def is_pass_through(self) -> bool:
        """Whether the client's own provider key goes on."""
        return self.credential is None


def make_client_key(entropy: bytes) -> Secret:
    """A client key from 32 random bytes: `ib_` and 43 characters.

    Raises:
        ValueError: there are not 32 bytes.
    """
    if len(entropy) != _KEY_BYTES:
        message = "a client key is made of 32 random bytes"
        raise ValueError(message)
    return Secret(_PREFIX + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode())


def checked_client_key(text: str, *, status: Literal[401, 407] = 401) -> Secret:
    """A text as a client key, if it has the shape of one.

    Raises:
        CallerError: it has not; the message does not repeat it.
    """
    if not _KEY.fullmatch(text):
        message = "this is not a client key: one is `ib_` and 43 characters"
        raise CallerError(message, status=status, fix=_MAKE_ONE, code="bad-key")
    return Secret(text)


def digest_of(key: Secret) -> str:
    """What is stored of a client key: sha256 of its whole text, in hex."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def key_id_of(digest: str) -> str:
    """The id of a client key, from its digest: it names the key and opens nothing."""
    return f"key:{digest[:12]}"


def identify_tunnel(headers: Headers, ring: KeyRing) -> str | None:
    """The digest of the client key that a CONNECT gives, or None where it gives none.

    Raises:
        CallerError: 407; what it gives is no key, an unknown or a revoked one.
    """
    key = _proxy_key(headers)
    if key is None:
        return None
    digest = digest_of(key)
    _find(digest, ring, status=407)
    return digest


def identify(  # noqa: PLR0913 - all that a call may show of who sends it
    headers: Headers,
    *,
    query: str = "",
    tunnel: str | None,
    auth: AuthStyle,
    custody: Credential | None,
    ring: KeyRing,
    fingerprint_key: bytes,
) -> Caller:
    """Who sends a request. `tunnel` is the digest of the client key given on its CONNECT, if any.

    Raises:
        CallerError: no key, an unusable, unknown or revoked one; or a key of ours where the
            teacher's own key belongs and the proxy holds none for this route.
    """
    own = [*_provider_keys(headers, auth), *_query_keys(query, auth)]
    ours = next((key for key in own if is_ours(key)), None)
    if ours is not None and custody is None:
        message = "a client key of inbond stands where the teacher's own key belongs, and inbond holds no key for this route"
        fix = "send the teacher's key there and yours in `x-inbond-key`, or set `custody` for the route"
        raise CallerError(message, status=401, fix=fix, code="no-custody")
    known = _known(headers, tunnel, ours, ring)
    return Caller(
        key=known.key,
        project=known.project,
        student=known.student,
        account_id=custody.account if custody else _fingerprint(own, fingerprint_key),
        credential=custody.secret if custody else None,
        auth=auth,
    )


def _known(headers: Headers, tunnel: str | None, ours: Secret | None, ring: KeyRing) -> ClientKey:
    if (key := _proxy_key(headers)) is not None:
        return _find(digest_of(key), ring, status=407)
    if tunnel is not None:
        return _find(tunnel, ring, status=401)
    named = _only(headers, "x-inbond-key")
    if named is not None:
        return _find(digest_of(checked_client_key(named.strip(), status=401)), ring, status=401)
    if ours is not None:
        return _find(digest_of(checked_client_key(ours.reveal(), status=401)), ring, status=401)
    message = "this call carries no client key of inbond"
    raise CallerError(message, status=401, fix=_MAKE_ONE, code="no-client-key")


def _find(digest: str, ring: KeyRing, *, status: Literal[401, 407]) -> ClientKey:
    found = ring.find(digest)
    if found is None:
        message = "this client key is not known here"
        raise CallerError(message, status=status, fix=_MAKE_ONE, code="unknown-key")
    if found.is_revoked:
        message = f"the client key `{found.key}` was revoked"
        raise CallerError(message, status=status, fix=_MAKE_ONE, code="revoked-key")
    return found


def _proxy_key(headers: Headers) -> Secret | None:
    value = _only(headers, "proxy-authorization", status=407)
    if value is None:
        return None
    found = next(filter(is_ours, keys_in(value)), None)
    return checked_client_key(found.reveal() if found else "", status=407)


def _only(headers: Headers, name: str, *, status: Literal[401, 407] = 401) -> str | None:
    """The value of a header that may stand once."""
    values = [value for key, value in headers if key.lower() == name]
    if len(values) > 1:
        message = f"the header `{name}` is given {len(values)} times"
        raise CallerError(message, status=status, fix="give it once", code="two-keys")
    return values[0] if values else None


def _provider_keys(headers: Headers, auth: AuthStyle) -> list[Secret]:
    """The keys in the headers of providers, the one of the route's own style first."""
    own = HEADER_OF[auth]
    ordered = sorted(headers, key=lambda header: header[0].lower() != own)
    return [
        key
        for name, value in ordered
        if name.lower() in CREDENTIAL_HEADERS
        for key in keys_in(value)
    ]


def _query_keys(query: str, auth: AuthStyle) -> list[Secret]:
    """The keys in a query, where the route's clients send them so."""
    if auth != "x-goog-api-key":
        return []
    pairs = parse_qsl(query, keep_blank_values=True)
    return [Secret(value) for name, value in pairs if name == QUERY_KEY and value]


def keys_in(value: str) -> Iterator[Secret]:
    """The keys a credential header may hold: after `Bearer`, either half of `Basic`, or all of it.

    Of a signature of AWS it is the access key's id, the one part that stays the same.
    """
    scheme, _, rest = value.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            yield Secret(rest.strip())
        case "basic":
            user, _, password = _decoded(rest).partition(":")
            yield from (Secret(half) for half in (user, password) if half)
        case "aws4-hmac-sha256" if found := _ACCESS_KEY.search(rest):
            yield Secret(found[1])
        case _:
            yield Secret(value.strip())


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).decode("latin-1")
    except binascii.Error:
        return ""


def is_ours(key: Secret) -> bool:
    """Whether a key is a client key of inbond, by how it begins."""
    return key.reveal().startswith(_PREFIX)


def _fingerprint(keys: list[Secret], fingerprint_key: bytes) -> str | None:
    if not keys:
        return None
    mac = hmac.new(fingerprint_key, keys[0].reveal().encode(), hashlib.sha256)
    return mac.hexdigest()[:_FINGERPRINT_CHARS]


def load_custody(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, Credential]:
    """The providers' keys in custody, by registry route.

    Raises:
        IdentityError: a variable is not set, or what it or a file holds is no provider's key.
        SettingsError: a file cannot be read, or others can read it. Messages name variable or file,
            never the value.
    """
    return {
        route: Credential(account=entry.account, secret=_load(entry, settings.directory, environ))
        for route, entry in settings.custody.items()
    }


def _load(entry: CustodySettings, directory: Path, environ: Mapping[str, str]) -> Secret:
    if entry.file is not None:
        path = directory / entry.file
        text = read_private(path, "a provider's key").decode("latin-1")
        return _usable(text, f"the file `{path}`")
    value = environ.get(entry.env or "")
    if value is None:
        message = f"the environment variable `{entry.env}` is not set"
        fix = "set it to the provider's key, or name another in `custody`"
        raise IdentityError(message, help=fix, where="custody", code="no-provider-key")
    return _usable(value, f"the environment variable `{entry.env}`")


def _usable(text: str, source: str) -> Secret:
    value = text.strip()
    if not _PROVIDER_KEY.fullmatch(value):
        message = f"{source} holds no provider's key: one is a word of printable characters"
        raise IdentityError(message, help="write the key alone", where="custody", code="bad-key")
    if value.startswith(_PREFIX):
        message = f"{source} holds a client key of inbond, not a provider's key"
        fix = "put the provider's own key there"
        raise IdentityError(message, help=fix, where="custody", code="bad-key")
    return Secret(value)

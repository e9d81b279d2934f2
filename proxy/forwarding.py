"""What goes on to a teacher: headers and target without what is ours, keys in custody put in.

The body is never changed, and under pass-through neither is a byte that a client may have signed.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from proxy.errors import IdentityError
from proxy.exchange import Headers
from proxy.headers import CREDENTIAL_HEADERS, without_hop_by_hop
from proxy.identity import HEADER_OF, QUERY_KEY, AuthStyle, Caller, is_ours, keys_in
from proxy.secret import Secret
from proxy.sigv4 import aws_key, signed

__all__ = [
    "SentRequest",
    "forwarded_headers",
    "forwarded_target",
    "may_carry_credential",
    "signed_headers",
]

_REGION = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request as it goes on: what a signature is made over."""

    method: str
    host: str
    target: str
    body: bytes
    at: datetime


def forwarded_headers(headers: Headers, caller: Caller, host: str) -> Headers:
    """The whole list to send to a teacher; all that is not taken out keeps its order and case.

    Out go hop-by-hop headers, `x-inbond-*` and client keys; under custody every credential of the
    client too, and the provider's key goes in. `host` becomes the only `Host`.
    """
    kept = [header for header in without_hop_by_hop(headers) if _goes_on(header, caller)]
    name = next((name for name, _ in kept if name.lower() == "host"), "Host")
    at = next((n for n, header in enumerate(kept) if header[0].lower() == "host"), 0)
    sent = [header for header in kept if header[0].lower() != "host"]
    sent.insert(at, (name, host))
    if caller.credential is not None:
        sent.append(_injected(caller.credential, caller.auth))
    return tuple(sent)


def _goes_on(header: tuple[str, str], caller: Caller) -> bool:
    name, value = header[0].lower(), header[1]
    if name.startswith("x-inbond-"):
        return False
    if name in CREDENTIAL_HEADERS:
        return caller.is_pass_through and not any(map(is_ours, keys_in(value)))
    return True


def _injected(credential: Secret, auth: AuthStyle) -> tuple[str, str]:
    if auth in {"bearer", "sigv4"}:
        return ("Authorization", f"Bearer {credential.reveal()}")
    return (HEADER_OF[auth], credential.reveal())


def forwarded_target(target: str, caller: Caller) -> str:
    """The path and query to send: a key in the query goes the way of keys in headers.

    It is taken out under custody, and where it is one of ours; all else stays byte for byte.
    """
    path, mark, query = target.partition("?")
    if not mark or caller.auth != "x-goog-api-key":
        return target
    kept = [part for part in query.split("&") if _stays(part, caller)]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _stays(part: str, caller: Caller) -> bool:
    name, _, value = part.partition("=")
    if unquote_plus(name) != QUERY_KEY:
        return True
    return caller.is_pass_through and not is_ours(Secret(unquote_plus(value)))


def signed_headers(headers: Headers, caller: Caller, request: SentRequest) -> Headers:
    """The headers of a call whose key in custody signs it; others as they are.

    Raises:
        IdentityError: what is in custody is half an access key, or the host names no region.
    """
    key = (
        None if caller.credential is None or caller.auth != "sigv4" else aws_key(caller.credential)
    )
    if key is None:
        return headers
    region = _REGION.fullmatch(request.host)
    if region is None:
        raise IdentityError(
            f"the host `{request.host}` names no region of AWS, so the call cannot be signed",
            help="reach Bedrock at `bedrock-runtime.REGION.amazonaws.com`",
            code="no-region",
        )
    return signed(
        headers,
        method=request.method,
        target=request.target,
        body=request.body,
        key=key,
        region=region[1],
        at=request.at,
    )


def may_carry_credential(scheme: str, address: str) -> bool:
    """Whether a provider's key may be sent this way: by TLS, or without leaving this machine.

    `address` is the IP address that is dialled.
    """
    if scheme == "https":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

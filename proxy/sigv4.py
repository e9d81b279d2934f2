"""AWS Signature Version 4: what a call to Bedrock is signed with where the proxy holds the key.

As AWS describes it ("AWS Signature Version 4 for API requests", Create a signed request): a canonical
request, a string to sign, a key derived for day, region and service. Signed are `host`, the date, the
body's digest, a session token, and `content-type`: nothing a hop may change.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote

from proxy.errors import IdentityError
from proxy.exchange import Headers
from proxy.secret import Secret

__all__ = ["AwsKey", "aws_key", "signed"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "bedrock"
_SIGNED_BESIDE = frozenset({"content-type", "host"})


@dataclass(frozen=True, slots=True)
class AwsKey:
    """An access key; `token` belongs to a session's."""

    id: str
    secret: Secret
    token: Secret | None = None


def aws_key(secret: Secret) -> AwsKey | None:
    """The access key in a text `ID:SECRET` or `ID:SECRET:TOKEN`; None where it is a bearer key.

    Raises:
        IdentityError: it begins like an access key and is none.
    """
    parts = secret.reveal().split(":")
    if not parts[0].startswith(("AKIA", "ASIA")):
        return None
    if len(parts) not in (2, 3) or not all(parts):
        raise IdentityError(
            "the key in custody is half an access key of AWS",
            help="write `ID:SECRET`, or `ID:SECRET:TOKEN` for a session's",
            where="custody",
            code="bad-key",
        )
    return AwsKey(parts[0], Secret(parts[1]), Secret(parts[2]) if len(parts) == 3 else None)


def signed(  # noqa: PLR0913 - a signature is over all of these
    headers: Headers,
    *,
    method: str,
    target: str,
    body: bytes,
    key: AwsKey,
    region: str,
    at: datetime,
) -> Headers:
    """The headers with the signature of this request; an earlier signature is taken out.

    `headers` hold the `Host` that is sent, `target` is the path and query as they are sent.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    own = [("X-Amz-Date", stamp), ("X-Amz-Content-SHA256", digest)]
    if key.token is not None:
        own.append(("X-Amz-Security-Token", key.token.reveal()))
    replaced = {name.lower() for name, _ in own} | {"authorization", "x-amz-security-token"}
    kept = [header for header in headers if header[0].lower() not in replaced]
    covered = sorted(
        (name.lower(), " ".join(value.split()))
        for name, value in (*kept, *own)
        if name.lower() in _SIGNED_BESIDE or name.lower().startswith("x-amz-")
    )
    names = ";".join(dict.fromkeys(name for name, _ in covered))
    scope = f"{stamp[:8]}/{region}/{_SERVICE}/aws4_request"
    request = "\n".join(
        (
            method,
            _path(target),
            _query(target),
            *(f"{name}:{value}" for name, value in covered),
            "",
            names,
            digest,
        )
    )
    hashed = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
    signature = _mac(_signing_key(key.secret, stamp[:8], region), to_sign).hex()
    value = (
        f"{_ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return (*kept, *own, ("Authorization", value))


def _path(target: str) -> str:
    """The path with each segment escaped once more, as every service but S3 wants it."""
    return quote(target.partition("?")[0], safe="/-_.~")


def _query(target: str) -> str:
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    return "&".join(f"{n}={v}" for n, v in sorted((_escaped(n), _escaped(v)) for n, v in pairs))


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")


def _signing_key(secret: Secret, day: str, region: str) -> bytes:
    key = f"AWS4{secret.reveal()}".encode()
    for part in (day, region, _SERVICE, "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")

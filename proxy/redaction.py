"""What looks like a credential taken out of what people and logs get to see (promise P4)."""

import re
from collections.abc import Mapping

__all__ = ["CREDENTIAL_NAMES", "redact_fields", "redact_text"]

CREDENTIAL_NAMES = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "password",
        "proxy-authorization",
        "secret",
        "set-cookie",
        "token",
        "x-amz-security-token",
        "x-api-key",
        "x-goog-api-key",
        "x-inbond-key",
    }
)
"""Names of headers, parameters and fields whose value is never logged (lower case, `-` for `_`)."""

_GONE = "[redacted]"
_MAX_DEPTH = 8
_HEADERS = r"(?:proxy-)?authorization|(?:x-(?:goog-|inbond-)?)?api-key|x-inbond-key|x-amz-security-token|(?:set-)?cookie"
_PATTERNS = (
    # A header in running text, a dict or a list of pairs: all of its value goes.
    (
        rf"""(?i)\b({_HEADERS})(b?['"]?\s*[:=,]\s*)(b?'[^']*'|b?"[^"]*"|[^\r\n,;'"]+)""",
        r"\1\2" + _GONE,
    ),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", r"\1 " + _GONE),
    (
        r"(?i)([?&](?:key|api[-_]?key|access[-_]token|token|sig|signature)=)[^&\s'\"]+",
        r"\1" + _GONE,
    ),
    (r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/@\s'\"]+@", r"\1" + _GONE + "@"),
    (r"\bib_[A-Za-z0-9_-]{4,}", "ib_" + _GONE),
    (r"\b(?:sk|pk|rk|gsk|xai|hf)[-_][A-Za-z0-9_-]{8,}", _GONE),
    (r"\bAIza[A-Za-z0-9_-]{20,}", _GONE),
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", _GONE),
)
_COMPILED = tuple((re.compile(pattern), text) for pattern, text in _PATTERNS)


def redact_text(text: str) -> str:
    """A text without what looks like a credential."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text


def redact_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Named values without credentials, however deep they are; only plain values are left."""
    return {name: _GONE if _is_credential(name) else _clean(fields[name], 0) for name in fields}


def _is_credential(name: object) -> bool:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and name.lower().replace("_", "-") in CREDENTIAL_NAMES


def _clean(value: object, depth: int) -> object:
    """A value as it may be logged. Bytes are bodies or headers: their size says enough."""
    if depth > _MAX_DEPTH:
        return "…"
    match value:
        case None | bool() | int() | float():
            return value
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {
                redact_text(str(name)): _GONE if _is_credential(name) else _clean(item, depth + 1)
                for name, item in value.items()
            }
        case (name, _) if isinstance(value, tuple | list) and _is_credential(name):
            return [name, _GONE]
        case list() | tuple() | set() | frozenset():
            return [_clean(item, depth + 1) for item in value]
        case _:
            return redact_text(str(value))

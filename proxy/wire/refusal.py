"""Our refusals in each provider's own error shape, so that its SDK raises its usual exception."""

import json
from http import HTTPStatus

from proxy.exchange import Headers
from proxy.gate import Refused

__all__ = ["FAMILIES", "refusal"]

FAMILIES = ("openai", "anthropic", "plain")
"""The shapes there are; `plain` is RFC 9457, for callers whose provider is not known."""

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def refusal(
    family: str,
    *,
    status: int,
    code: str,
    message: str,
    exchange: str | None,
    decision: str | None = None,
) -> Refused:
    """A refusal as the callers of a family expect errors.

    `code` is a stable slug, `message` is for people, `exchange` is the id of the record and
    `decision` what was decided, where there are any. Statuses below 500 tell SDKs not to try again: a policy would say the same.
    """
    match family:
        case "openai":
            body = _openai(status, code, message)
        case "anthropic":
            body = _anthropic(status, message, exchange)
        case _:
            body = _problem(status, code, message, exchange)
    return Refused(
        status=status,
        headers=(
            *_headers(family, status),
            *_marks({"x-inbond-exchange": exchange, "x-inbond-decision": decision}),
        ),
        body=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
    )


def _headers(family: str, status: int) -> Headers:
    is_json = family in {"openai", "anthropic"}
    content_type = ("content-type", "application/json" if is_json else "application/problem+json")
    return (content_type, ("x-should-retry", "false")) if status < 500 else (content_type,)


def _marks(marks: dict[str, str | None]) -> Headers:
    return tuple((name, value) for name, value in marks.items() if value is not None)


def _openai(status: int, code: str, message: str) -> dict[str, object]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": message,
            "type": _OPENAI_TYPES.get(status, kind),
            "param": None,
            "code": code,
        }
    }


def _anthropic(status: int, message: str, exchange: str | None) -> dict[str, object]:
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return {
        "type": "error",
        "error": {"type": _ANTHROPIC_TYPES.get(status, kind), "message": message},
        "request_id": exchange,
    }


def _problem(status: int, code: str, message: str, exchange: str | None) -> dict[str, object]:
    """Problem details (RFC 9457 §3.1); `code` and `exchange` are extension members (§3.2)."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }
    return problem if exchange is None else {**problem, "exchange": exchange}

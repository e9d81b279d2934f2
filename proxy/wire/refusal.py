"""Our refusals in each provider's own error shape, so that its SDK raises its usual exception."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

from proxy.exchange import Headers
from proxy.gate import Refused

__all__ = ["FAMILIES", "error_body", "family_of", "refusal"]

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


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
_AWS_ERRORS = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 429: 8, 502: 14, 503: 14}
"""Statuses of gRPC by those of HTTP (grpc.io, "Status codes and their use in gRPC")."""


def family_of(wire_format: str) -> str:
    """The shape of errors that callers of a wire format expect."""
    family = wire_format.partition(".")[0]
    if wire_format == "xai.grpc":
        return "grpc"
    return family if family in FAMILIES else "plain"


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
    shape = _SHAPES.get(family)
    body = shape(status, code, message) if shape else _problem(status, code, message, exchange)
    if family == "anthropic":
        body["request_id"] = exchange
    marks = _marks({"x-inbond-exchange": exchange, "x-inbond-decision": decision})
    if family == "grpc":
        return Refused(status=200, headers=(*_grpc(status, message), *marks), body=b"")
    return Refused(
        status=status,
        headers=(*_headers(family, status), *marks),
        body=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
    )


def error_body(family: str, *, status: int, code: str, message: str) -> dict[str, object] | None:
    """An error as the callers of a family expect it inside a stream; None where there is none."""
    shape = _SHAPES.get(family)
    return None if shape is None else shape(status, code, message)


def _headers(family: str, status: int) -> Headers:
    is_json = family in _SHAPES
    content_type = ("content-type", "application/json" if is_json else "application/problem+json")
    headers = (content_type, ("x-should-retry", "false")) if status < 500 else (content_type,)
    if family != "bedrock":
        return headers
    kind = _AWS_ERRORS.get(
        status, "InternalServerException" if status >= 500 else "ValidationException"
    )
    return (*headers, ("x-amzn-errortype", kind))


def _marks(marks: dict[str, str | None]) -> Headers:
    return tuple((name, value) for name, value in marks.items() if value is not None)


def _grpc(status: int, message: str) -> Headers:
    """An answer that is trailers alone (gRPC over HTTP/2, "Responses"): message percent-encoded."""
    encoded = "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte != ord("%") else f"%{byte:02X}"
        for byte in message.encode(errors="replace")
    )
    return (
        ("content-type", "application/grpc"),
        ("grpc-status", str(_GRPC_CODES.get(status, 2))),
        ("grpc-message", encoded),
    )


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


def _anthropic(status: int, code: str, message: str) -> dict[str, object]:  # noqa: ARG001 - it has no place for a code
    kind = "api_error" if status >= 500 else "invalid_request_error"
    error = {"type": _ANTHROPIC_TYPES.get(status, kind), "message": message}
    return {"type": "error", "error": error}


def _gemini(status: int, code: str, message: str) -> dict[str, object]:
    kind = "INTERNAL" if status >= 500 else "FAILED_PRECONDITION"
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper().replace("-", "_"),
        "domain": "inbond",
    }
    return {
        "error": {
            "code": status,
            "message": message,
            "status": _GOOGLE_STATUSES.get(status, kind),
            "details": [detail],
        }
    }


def _message(status: int, code: str, message: str) -> dict[str, object]:  # noqa: ARG001 - it has no place for them
    return {"message": message}


def _ollama(status: int, code: str, message: str) -> dict[str, object]:  # noqa: ARG001 - it has no place for them
    return {"error": message}


_SHAPES: Mapping[str, Callable[[int, str, str], dict[str, object]]] = MappingProxyType(
    {
        "openai": _openai,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "bedrock": _message,
        "cohere": _message,
        "ollama": _ollama,
    }
)
FAMILIES = (*_SHAPES, "grpc", "plain")
"""The shapes there are; `plain` is RFC 9457, for callers whose provider is not known."""


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

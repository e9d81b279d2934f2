"""Tries after the first: which one a call is, and how long a provider asks to wait for the next.

The SDKs of OpenAI, Anthropic, Groq and Together count the tries before a call; Amazon's name the attempt.
Those of Google, Mistral and Cohere say neither.
"""

import re
from dataclasses import replace

from proxy.exchange import Json, RequestHead, ResponseHead, TeacherError
from proxy.wire.document import Object

__all__ = ["retries_of", "retry_delay_s", "with_retry_after"]

_COUNT_HEADER = "x-stainless-retry-count"
_ATTEMPT_HEADER = "amz-sdk-request"
_ATTEMPT = re.compile(r"attempt=([0-9]{1,6})(?:;|$)")
_COUNT = re.compile(r"[0-9]{1,6}")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def retries_of(head: RequestHead) -> int | None:
    """How often a client's SDK had tried a call before; None where its headers do not say."""
    said = head.header(_COUNT_HEADER) or ""
    if _COUNT.fullmatch(said):
        return int(said)
    attempt = _ATTEMPT.match(head.header(_ATTEMPT_HEADER) or "")
    return max(int(attempt[1]) - 1, 0) if attempt is not None else None


def with_retry_after(error: TeacherError, head: ResponseHead) -> TeacherError:
    """An error with the wait that its head asks for, in milliseconds or seconds (RFC 9110 §10.2.3).

    A date is not read: what time it was is not on the wire. What the body said counts for want of both.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = (head.header(name) or "").strip()
        if _NUMBER.fullmatch(said) and float(said):
            return replace(error, retry_after_s=float(said) * unit)
    return error


def retry_delay_s(fault: Object) -> float | None:
    """The wait among the details of Google's errors, such as `8.5s` (google.rpc.RetryInfo)."""
    details: Json = fault.get("details")
    if not isinstance(details, list):
        return None
    found = [detail.get("retryDelay") for detail in details if isinstance(detail, dict)]
    said = next((delay for delay in found if isinstance(delay, str)), "")
    number = said.removesuffix("s")
    return float(number) if _NUMBER.fullmatch(number) else None

"""Claims on refusals: each provider's genuine SDK raises its usual exception, with our message."""

import json

import anthropic
import httpx2
import openai
import pytest

from proxy.gate import Refused
from proxy.wire.refusal import FAMILIES, refusal

MESSAGE = (
    "inbond refused this call: the terms of `acme` forbid it; ask for a grant; exchange 0193-é"
)


def _refused(family: str, status: int) -> Refused:
    return refusal(
        family, status=status, code="refused-by-policy", message=MESSAGE, exchange="0193"
    )


class _Front:
    """A server that gives one refusal and counts how often it is asked."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        self.asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        return httpx2.Response(
            self.refused.status, headers=list(self.refused.headers), content=self.refused.body
        )

    def client(self) -> httpx2.Client:
        """An HTTP client that reaches this server only."""
        return httpx2.Client(transport=httpx2.MockTransport(self))


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (413, openai.APIStatusError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_the_openai_sdk_raises(
    status: int,
    raised: type[openai.APIStatusError],
    is_streamed: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """The genuine `openai` SDK raises the exception of the status, which shows our message."""
    front = _Front(_refused("openai", status))
    with front.client() as http:
        client = openai.OpenAI(api_key="x", http_client=http, max_retries=0)
        with pytest.raises(raised) as caught:
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=is_streamed
            )
    assert MESSAGE in str(caught.value)
    assert caught.value.code == "refused-by-policy"
    assert caught.value.response.headers["x-inbond-exchange"] == "0193"


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.ServiceUnavailableError, "overloaded_error"),
    ],
)
def test_the_anthropic_sdk_raises(
    status: int, raised: type[anthropic.APIStatusError], kind: str
) -> None:
    """The genuine `anthropic` SDK raises the exception of the status, which shows our message."""
    front = _Front(_refused("anthropic", status))
    with front.client() as http:
        client = anthropic.Anthropic(api_key="x", http_client=http, max_retries=0)
        with pytest.raises(raised) as caught:
            client.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            )
    assert MESSAGE in str(caught.value)
    body = json.loads(front.refused.body)
    assert body["error"]["type"] == kind
    assert (body["type"], body["request_id"]) == ("error", "0193")


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 429])
def test_sdks_do_not_repeat_a_refused_call(status: int) -> None:
    """A refusal of the policies reaches each SDK once: it says that trying again is of no use."""
    front = _Front(_refused("openai", status))
    with front.client() as http:
        client = openai.OpenAI(api_key="x", http_client=http, max_retries=3)
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert front.asked == 1
    front = _Front(_refused("anthropic", status))
    with front.client() as http:
        claude = anthropic.Anthropic(api_key="x", http_client=http, max_retries=3)
        with pytest.raises(anthropic.APIStatusError):
            claude.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            )
    assert front.asked == 1


def test_a_failure_of_ours_may_be_tried_again() -> None:
    """A 503 leaves it to the SDK to try again: the fault may have passed."""
    assert "x-should-retry" not in dict(_refused("openai", 503).headers)


def test_no_provider_known() -> None:
    """Without a provider the refusal is a problem document (RFC 9457)."""
    refused = _refused("plain", 403)
    assert json.loads(refused.body) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": MESSAGE,
        "code": "refused-by-policy",
        "exchange": "0193",
    }
    assert dict(refused.headers)["content-type"] == "application/problem+json"


@pytest.mark.parametrize("family", FAMILIES)
def test_marks_are_given_where_there_are_any(family: str) -> None:
    """Exchange and decision stand in headers where there are any, and nowhere otherwise."""
    bare = refusal(family, status=401, code="no-key", message="no key", exchange=None)
    assert not {"x-inbond-exchange", "x-inbond-decision"} & {name for name, _ in bare.headers}
    assert json.loads(bare.body).get("exchange") is None
    marked = refusal(family, status=403, code="c", message="m", exchange="0193", decision="forbid")
    headers = dict(marked.headers)
    assert (headers["x-inbond-exchange"], headers["x-inbond-decision"]) == ("0193", "forbid")


@pytest.mark.parametrize("family", FAMILIES)
def test_any_message_can_be_said(family: str) -> None:
    """A message that no UTF-8 text can hold is said as well as it can be."""
    refused = refusal(family, status=400, code="c", message="\ud83d", exchange=None)
    assert b"?" in refused.body

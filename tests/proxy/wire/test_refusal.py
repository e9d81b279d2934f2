"""Claims on refusals: each provider's genuine SDK raises its usual exception, with our message."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import cohere
import google.genai
import google.genai.errors
import groq
import httpx2
import mistralai.client
import mistralai.client.errors
import openai
import pytest

from proxy.gate import Refused
from proxy.wire.refusal import FAMILIES, family_of, refusal

ASK: Any = [{"role": "user", "content": "Hi"}]

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


@contextmanager
def served(refused: Refused) -> Iterator[str]:
    """The address of a server that gives one refusal to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(refused.status)
            for name, value in refused.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(refused.body)))
            self.end_headers()
            self.wfile.write(refused.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "INVALID_ARGUMENT"), (403, "PERMISSION_DENIED"), (503, "UNAVAILABLE")],
)
def test_the_google_sdk_raises(status: int, kind: str) -> None:
    """The genuine `google-genai` SDK raises its error with our message, status and reason."""
    with served(_refused("gemini", status)) as url:
        options = {"base_url": url, "retry_options": {"attempts": 1}}
        client = google.genai.Client(api_key="x", http_options=options)  # type: ignore[arg-type] # a mapping does as well
        with pytest.raises(google.genai.errors.APIError) as caught, client:
            client.models.generate_content(model="m", contents="Hi")
    assert caught.value.message == MESSAGE
    assert (caught.value.code, caught.value.status) == (status, kind)
    assert caught.value.details["error"]["details"][0]["reason"] == "REFUSED_BY_POLICY"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_boto3_raises(status: int, kind: str) -> None:
    """The genuine `boto3` raises the error that the type names, with our message."""
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    with served(_refused("bedrock", status)) as url:
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=config,
        )
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (kind, MESSAGE)


def test_the_cohere_sdk_raises() -> None:
    """The genuine `cohere` SDK raises the exception of the status, which shows our message."""
    with served(_refused("cohere", 403)) as url:
        client = cohere.ClientV2(api_key="x", base_url=url)
        with pytest.raises(cohere.ForbiddenError) as caught:
            client.chat(model="m", messages=ASK)
    assert caught.value.body == {"message": MESSAGE}


def test_the_mistral_and_groq_sdks_raise() -> None:
    """Both speak OpenAI's shape, and show our message."""
    with served(_refused("openai", 403)) as url:
        mistral = mistralai.client.Mistral(api_key="x", server_url=url)
        with pytest.raises(mistralai.client.errors.SDKError) as seen:
            mistral.chat.complete(model="m", messages=ASK)
        client = groq.Groq(api_key="x", base_url=url)
        with pytest.raises(groq.PermissionDeniedError) as caught:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert MESSAGE in json.loads(seen.value.body)["error"]["message"]
    assert MESSAGE in str(caught.value)


def test_ollama_says_it_in_one_word() -> None:
    """Ollama's errors are one text."""
    assert json.loads(_refused("ollama", 403).body) == {"error": MESSAGE}


@pytest.mark.parametrize(("status", "code"), [(403, "7"), (401, "16"), (503, "14"), (409, "2")])
def test_grpc_gets_trailers_alone(status: int, code: str) -> None:
    """A refused gRPC call is an HTTP 200 whose trailers say why, the message in plain ASCII."""
    refused = _refused("grpc", status)
    headers = dict(refused.headers)
    assert (refused.status, refused.body, headers["grpc-status"]) == (200, b"", code)
    assert unquote(headers["grpc-message"]) == MESSAGE
    assert headers["grpc-message"].isascii()


@pytest.mark.parametrize(
    ("wire_format", "family"),
    [
        ("openai.chat", "openai"),
        ("openai.responses", "openai"),
        ("anthropic.messages", "anthropic"),
        ("gemini.generateContent", "gemini"),
        ("bedrock.converse", "bedrock"),
        ("cohere.v2", "cohere"),
        ("ollama.chat", "ollama"),
        ("xai.grpc", "grpc"),
        ("plain", "plain"),
        ("unheard.of", "plain"),
    ],
)
def test_the_format_tells_the_family(wire_format: str, family: str) -> None:
    """One host may speak several formats: the one that is spoken decides."""
    assert family_of(wire_format) == family


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
    assert b"exchange" not in bare.body
    marked = refusal(family, status=403, code="c", message="m", exchange="0193", decision="forbid")
    headers = dict(marked.headers)
    assert (headers["x-inbond-exchange"], headers["x-inbond-decision"]) == ("0193", "forbid")


@pytest.mark.parametrize("family", FAMILIES)
def test_any_message_can_be_said(family: str) -> None:
    """A message that no UTF-8 text can hold is said as well as it can be."""
    refused = refusal(family, status=400, code="c", message="\ud83d", exchange=None)
    assert "?" in refused.body.decode() + dict(refused.headers).get("grpc-message", "")

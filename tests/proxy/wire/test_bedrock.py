"""Claims on Bedrock's two interfaces; what their answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead
from proxy.wire.bedrock import model_in
from proxy.wire.dialects import format_for

NAMES = ("bedrock.converse", "bedrock.invoke")


@pytest.mark.parametrize(
    ("path", "name", "operation"),
    [
        ("/model/a.b-v1%3A0/converse", "bedrock.converse", "chat"),
        ("/model/a.b-v1%3A0/converse-stream", "bedrock.converse", "chat"),
        ("/model/a.b-v1%3A0/invoke", "bedrock.invoke", "chat"),
        ("/model/a.b-v1%3A0/invoke-with-response-stream", "bedrock.invoke", "chat"),
        ("/model/amazon.titan-embed-text-v2%3A0/invoke", "bedrock.invoke", "embedding"),
        ("/model/a.b/count-tokens", "plain", "count-tokens"),
        ("/guardrail/g/version/1/apply", "plain", "moderation"),
        ("/model/a.b/async-invoke", None, None),
        ("/converse", None, None),
    ],
)
def test_what_they_claim(path: str, name: str | None, operation: str | None) -> None:
    """By the last part of a model's path; a path without a model is nobody's."""
    head = RequestHead(method="POST", path=path)
    found = format_for(head, NAMES)
    assert (found and found.name, found and found.claims(head)) == (name, operation)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/model/anthropic.claude-v1%3A0/invoke", "anthropic.claude-v1:0"),
        ("/model/arn%3Aaws%3Abedrock%3Aus-1%3A1%3Ainference-profile%2Fus.a.b/converse",
         "arn:aws:bedrock:us-1:1:inference-profile/us.a.b"),
        ("/v1/chat/completions", ""),
    ],
)  # fmt: skip
def test_the_path_names_the_model(path: str, model: str) -> None:
    """Percent-encoded, colons and slashes of an ARN included."""
    assert model_in(path) == model


def test_the_request_has_its_model_before_its_body() -> None:
    """What the path says is known of a call whose body never came."""
    head = RequestHead(method="POST", path="/model/a.b/converse-stream")
    found = format_for(head, NAMES)
    assert found is not None
    request = found.reader(head).finish().request
    assert (request.model_asked, request.is_streamed) == ("a.b", True)

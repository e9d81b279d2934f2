"""Claims on Replicate's predictions; what their states say is in the transcripts."""

import json

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from tests.proxy.wire import playback

CASES = playback.cases("replicate")


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/predictions", "completion"),
        ("POST", "/v1/models/acme/small-1/predictions", "completion"),
        ("POST", "/v1/deployments/acme/mine/predictions", "completion"),
        ("GET", "/v1/predictions/p1", "completion"),
        ("POST", "/v1/predictions/p1/cancel", "completion"),
        ("GET", "/v1/predictions", "other"),
        ("GET", "/v1/models/acme/small-1", "models"),
        ("GET", "/v1/models/acme/small-1/versions/a1", "models"),
        ("POST", "/v1/trainings", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """Predictions, made or asked after; what trains there is nobody's."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["replicate"])
    assert (None if found is None else found.claims(head)) == operation


@pytest.mark.parametrize(
    ("more", "is_whole", "has_images"),
    [
        (
            {"temperature": 1, "stop_sequences": "x", "messages": [], "prompt_template": ""},
            True,
            False,
        ),
        ({"messages": [{"role": "user", "content": "No."}]}, False, False),
        ({"prompt_template": "Say no. {prompt}"}, False, False),
        ({"image_input": ["https://acme.example/x.png"]}, False, True),
    ],
)
def test_inputs_that_are_not_read_are_not_passed_over(
    more: dict[str, object], *, is_whole: bool, has_images: bool
) -> None:
    """Turns, templates and pictures of a model's own make the prompt another than is known (P5)."""
    head = RequestHead(method="POST", path="/v1/models/acme/small-1/predictions")
    found = format_for(head, ["replicate"])
    assert found is not None
    body = json.dumps({"input": {"prompt": "Hi", **more}}).encode()
    request = found.reader(head).request(body)
    assert (request.is_whole, request.has_images) == (is_whole, has_images)


def test_an_output_that_was_removed_is_no_answer() -> None:
    """A prediction that succeeded and holds nothing any more is not taken for silence."""
    head = RequestHead(method="POST", path="/v1/models/acme/small-1/predictions")
    found = format_for(head, ["replicate"])
    assert found is not None
    reader = found.reader(head)
    reader.request(b'{"input": {"prompt": "Hi"}}')
    reader.respond(ResponseHead(status=201))
    reader.feed(b'{"id": "p1", "status": "succeeded", "model": "acme/small-1", "output": null}')
    answer = reader.finish(is_clean=True).answer
    assert (answer.is_complete, answer.problem) == (False, "not-an-answer")


def test_the_path_names_the_model() -> None:
    """A model's path names it; a deployment's says only the customer's own word."""
    for path, model in (
        ("/v1/models/acme/small-1/predictions", "acme/small-1"),
        ("/v1/deployments/acme/mine/predictions", None),
    ):
        head = RequestHead(method="POST", path=path)
        found = format_for(head, ["replicate"])
        assert found is not None
        reader = found.reader(head)
        assert reader.request(b'{"input": {"prompt": "Hi"}}').model_asked == model
        assert not reader.is_terminal

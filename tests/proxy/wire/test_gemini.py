"""Claims on Google's own interface; what its answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.gemini import Gemini

NAMES = ("gemini.generateContent",)
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/small-1"


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1beta/models/small-1:generateContent", "chat"),
        ("/v1beta/models/small-1:streamGenerateContent", "chat"),
        (f"{VERTEX}:streamGenerateContent", "chat"),
        ("/v1/projects/p/locations/l/endpoints/123:generateContent", "chat"),
        ("/v1beta/tunedModels/mine:generateContent", "chat"),
        ("/v1beta/models/small-1:countTokens", "count-tokens"),
        ("/v1beta/models/small-1:embedContent", "embedding"),
        ("/v1beta/models/small-1:batchEmbedContents", "embedding"),
        ("/v1beta/models/small-1:batchGenerateContent", None),
        (f"{VERTEX}:rawPredict", None),
        (f"{VERTEX}:computeTokens", "count-tokens"),
        (f"{VERTEX}:predict", "other"),
        ("/v1beta/models/text-embedding-9:predict", "embedding"),
        ("/v1beta/models/imagen-9:predict", "image"),
        ("/v1beta/models/film-1:predictLongRunning", "other"),
        ("/v1beta/interactions", None),
    ],
)
def test_what_it_claims(path: str, operation: str | None) -> None:
    """By the method after the model's name; what is not read here is nobody's."""
    head = RequestHead(method="POST", path=path)
    found = format_for(head, NAMES)
    assert (None if found is None else found.claims(head)) == operation


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/small-1:generateContent", "small-1"),
        (f"{VERTEX}:generateContent", "small-1"),
        ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine"),
    ],
)
def test_the_path_names_the_model(path: str, model: str) -> None:
    """What the path says is known of a call whose body never came."""
    reader = Gemini().reader(RequestHead(method="POST", path=path))
    assert reader.finish().request.model_asked == model


@pytest.mark.parametrize("method", ["countTokens", "embedContent"])
def test_silent_methods_name_their_model(method: str) -> None:
    """A call that brings no words asks a model all the same."""
    head = RequestHead(method="POST", path=f"/v1beta/models/small-1:{method}")
    found = format_for(head, NAMES)
    assert found is not None
    assert found.reader(head).request(b"{}").model_asked == "small-1"


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/v1beta/models/small-1:generateContent", "LANGUAGE"),
        (f"{VERTEX}:generateContent", "BLOCKLIST"),
        ("/v1/publishers/google/models/small-1:generateContent", "BLOCKLIST"),
    ],
)
def test_numbers_are_those_of_the_interface(path: str, word: str) -> None:
    """The sixth reason differs between the Gemini API and Vertex."""
    reader = Gemini().reader(RequestHead(method="POST", path=path))
    reader.respond(ResponseHead(status=200, headers=(("content-type", "application/json"),)))
    reader.feed(b'{"candidates": [{"finishReason": 6}]}')
    assert reader.finish().answer.choices[0].finish_reason == word


def test_a_prediction_of_any_model_is_unread() -> None:
    """What a model predicts that is named for nothing may be words: it is not taken for silence."""
    head = RequestHead(method="POST", path=f"{VERTEX}:predict")
    found = format_for(head, NAMES)
    assert found is not None
    reader = found.reader(head)
    assert reader.request(b'{"instances": [{"prompt": "Hi"}]}').model_asked == "small-1"
    reader.respond(ResponseHead(status=200))
    reader.feed(b'{"predictions": [{"content": "Hi"}]}')
    answer = reader.finish(is_clean=True).answer
    assert (answer.problem, answer.is_complete) == ("unread-answer", False)

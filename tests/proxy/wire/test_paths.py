"""Claims on paths and queries: whole segments are compared, and nothing is guessed."""

import pytest

from proxy.wire.paths import deployment_of, ends_with, is_asked


@pytest.mark.parametrize(
    ("path", "pattern", "does"),
    [
        ("/v1/responses", "/responses", True),
        ("/responses", "/responses", True),
        ("/v1/my-responses", "/responses", False),
        ("/v1/responses/", "/responses", False),
        ("/v1/responses/r", "/responses/*", True),
        ("/v1/responses/", "/responses/*", False),
        ("/v1/responses/r/cancel", "/responses/*/cancel", True),
        ("/v1/responses//cancel", "/responses/*/cancel", False),
        ("/cancel", "/responses/*/cancel", False),
        ("/", "/responses", False),
        ("/v1/files/f:download", "/files/*:download", True),
        ("/v1/files/f:other", "/files/*:download", False),
        ("/v1/files/:download", "/files/*:download", False),
    ],
)
def test_patterns(path: str, pattern: str, does: bool) -> None:  # noqa: FBT001 - a column of the table
    """A pattern is the end of a path, segment by segment; `*` is any one that is not empty."""
    assert ends_with(path, pattern) == does


@pytest.mark.parametrize(
    ("query", "is_set"),
    [("stream=true", True), ("a=b&stream=True", True), ("stream=1", True),
     ("stream=false", False), ("stream=true&stream=false", False), ("stream", False), ("", False)],
)  # fmt: skip
def test_flags(query: str, is_set: bool) -> None:  # noqa: FBT001 - a column of the table
    """A flag is set by its last value."""
    assert is_asked(query, "stream") == is_set


@pytest.mark.parametrize(
    ("path", "deployment"),
    [
        ("/openai/deployments/our-word/chat/completions", "our-word"),
        ("/gateway/openai/deployments/our%20word/embeddings", "our word"),
        ("/openai/deployments/", None),
        ("/openai/deployments//embeddings", None),
        ("/openai/deployments/our-word", None),
        ("/openai/v1/chat/completions", None),
    ],
)
def test_deployments(path: str, deployment: str | None) -> None:
    """A deployment is the segment behind its word, and something is asked of it."""
    assert deployment_of(path) == deployment

"""Claims on choosing a format: among those an entry speaks, by what claims the request, or none."""

from typing import get_args

import pytest

from proxy.exchange import RequestHead
from proxy.providers import FormatName
from proxy.wire.dialects import FORMATS, format_for


@pytest.mark.parametrize(
    ("name", "method", "path", "found", "operation"),
    [
        ("openai.chat", "POST", "/v1/chat/completions", "openai.chat", "chat"),
        ("openai.chat", "GET", "/v1/models", "plain", "models"),
        ("openai.images", "POST", "/v1/images/edits", "openai.images", "image"),
        ("openai.audio", "POST", "/v1/audio/transcriptions", "openai.audio", "audio"),
        ("anthropic.messages", "POST", "/v1/messages", "anthropic.messages", "chat"),
        ("anthropic.messages", "POST", "/v1/complete", "anthropic.complete", "completion"),
        ("anthropic.messages", "POST", "/v1/messages/count_tokens", "plain", "count-tokens"),
        ("anthropic.messages", "GET", "/v1/models/claude-x", "plain", "models"),
    ],
)
def test_operations_are_classified(
    name: str, method: str, path: str, found: str, operation: str
) -> None:
    """Each operation that is decided on has a format that claims it."""
    head = RequestHead(method=method, path=path)
    wire_format = format_for(head, [name])
    assert wire_format is not None
    assert (wire_format.name, wire_format.claims(head)) == (found, operation)


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("openai.chat", "POST", "/v1/messages"),
        ("openai.chat", "POST", "/v1/embeddings"),
        ("openai.chat", "POST", "/v1/moderations"),
        ("openai.chat", "POST", "/v1/responses"),
        ("openai.chat", "POST", "/v1/files"),
        ("openai.chat", "PATCH", "/v1/models/m"),
        ("openai.stored", "POST", "/v1/fine_tuning/jobs"),
        ("openai.stored", "GET", "/v1/evals/e/runs/r/output_items"),
        ("anthropic.messages", "POST", "/v1/chat/completions"),
        ("anthropic.messages", "POST", "/v1/messages/batches"),
    ],
)
def test_everything_else_is_unclassified(name: str, method: str, path: str) -> None:
    """What no format of the entry claims is unclassified, never "no output"."""
    assert format_for(RequestHead(method=method, path=path), [name]) is None


def test_an_entry_may_speak_several_formats() -> None:
    """Of several formats the one that claims the request reads it; of none, none."""
    head = RequestHead(method="POST", path="/v1/messages")
    found = format_for(head, ["openai.chat", "anthropic.messages"])
    assert found is not None
    assert found.name == "anthropic.messages"
    assert format_for(head, []) is None


def test_each_name_begins_with_its_own_format() -> None:
    """A format's name in the registry is the name its readings carry."""
    assert all(formats[0].name == name for name, formats in FORMATS.items())


def test_a_count_of_tokens_reads_its_prompt() -> None:
    """The prompt of a token count is read: it leaves for the provider as any other."""
    head = RequestHead(method="POST", path="/v1/messages/count_tokens")
    wire_format = format_for(head, ["anthropic.messages"])
    assert wire_format is not None
    request = wire_format.reader(head).request(
        b'{"model":"c","messages":[{"role":"user","content":"Hi"}]}'
    )
    assert (request.operation, request.model_asked) == ("count-tokens", "c")


def test_the_registry_may_name_each_format() -> None:
    """What rows and settings may name is what there is."""
    assert set(get_args(FormatName.__value__)) == set(FORMATS)

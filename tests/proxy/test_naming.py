"""Names on the wire and the ids they stand for, host by host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.naming import Naming, dateless, normalised


@pytest.mark.parametrize(
    ("naming", "name", "found"),
    [
        ("listed", "anything", None),
        ("product", "Grand-Model", "acme/grand-model"),
        ("product", "grand-model-latest", "acme/grand-model"),
        ("product", "grand-model-2411", "acme/grand-model"),
        ("product", "grand-model-2024-11-20", "acme/grand-model"),
        ("product", "grand model", None),
        ("repository", "meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-instruct"),
        ("repository", "openai/gpt-oss-20b:free", "gpt-oss-20b"),
        ("repository", "Qwen/Qwen3-32B:groq", "qwen3-32b"),
        ("repository", "accounts/acme/models/small", "small"),
        ("repository", "llama3", "llama3"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4"),
        ("bedrock", "global.amazon.nova-2-lite-v1:0", "nova-2-lite"),
        ("bedrock", "amazon.nova-pro-v1:0:300k", "nova-pro"),
        ("bedrock", "mistral.mistral-large-2402-v1:0", "mistral-large"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0",
            "claude-x",
        ),
        (
            "bedrock",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-micro-v1:0",
            "nova-micro",
        ),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2", None),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:provisioned-model/a1b2", None),
        ("bedrock", "titan", None),
        ("vertex", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex", "publishers/google/models/gemini-2.5-flash-preview-2025-04-17", "gemini-2.5-flash-preview"),
        ("vertex", "projects/p/locations/l/publishers/anthropic/models/claude-x@20250101", "claude-x"),
        ("vertex", "claude-x@latest", "claude-x"),
    ],
)  # fmt: skip
def test_names_become_ids(naming: Naming, name: str, found: str | None) -> None:
    """Each way of naming; what names no model has no id."""
    assert normalised(naming, "acme", name) == found


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("m-20250101", "m"),
        ("m-2025-01-01", "m"),
        ("m@20250101", "m"),
        ("m-2411", "m"),
        ("m-1", "m-1"),
    ],
)
def test_dates_at_the_end(name: str, bare: str) -> None:
    """A dated snapshot is the model without its date."""
    assert dateless(name) == bare


@given(st.sampled_from(["product", "repository", "bedrock", "vertex"]), st.text())
def test_an_id_is_always_plain(naming: Naming, name: str) -> None:
    """Whatever a client writes, an id is lower-case ASCII of bounded length, or there is none."""
    found = normalised(naming, "acme", name)
    assert found is None or (found.isascii() and found == found.lower() and len(found) <= 120)

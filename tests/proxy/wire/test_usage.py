"""Claims on token counts in one meaning: nothing is made up, and parts never exceed their whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Usage
from proxy.wire.dialects import FORMATS
from proxy.wire.usage import Normal, normalised

COUNT = st.none() | st.integers(0, 1000)
USAGES = st.builds(
    Usage,
    input=COUNT,
    output=COUNT,
    total=COUNT,
    cache_read=COUNT,
    cache_write=COUNT,
    reasoning=COUNT,
    raw=st.none() | st.just({"prompt_tokens": 1}) | st.just({"toolUsePromptTokenCount": 3}),
)
DIALECTS = st.sampled_from([*FORMATS, "xai.grpc", "gemini.interactions", "unheard.of"])


@pytest.mark.parametrize(
    ("dialect", "usage", "normal"),
    [
        (
            "openai.chat",
            Usage(input=10, output=5, total=15, cache_read=4, reasoning=2),
            Normal(input=10, output=5, cached=4, reasoning=2, total=15),
        ),
        (
            "openai.chat",  # as xAI counts in chats
            Usage(input=10, output=5, total=17, reasoning=2),
            Normal(input=10, output=7, reasoning=2, total=17),
        ),
        (
            "xai.grpc",
            Usage(input=10, output=5, reasoning=2),
            Normal(input=10, output=7, reasoning=2, total=17),
        ),
        (
            "anthropic.messages",
            Usage(input=10, output=5, cache_read=4, cache_write=3, reasoning=2),
            Normal(input=17, output=5, cached=4, reasoning=2, total=22),
        ),
        (
            "bedrock.converse",
            Usage(input=10, output=5, total=19, cache_read=4),
            Normal(input=14, output=5, cached=4, total=19),
        ),
        (
            "bedrock.invoke",
            Usage(input=10, output=5, cache_read=4, raw={"prompt_tokens": 10}),
            Normal(input=10, output=5, cached=4, total=15),
        ),
        (
            "gemini.generateContent",
            Usage(
                input=10, output=5, total=20, reasoning=2, raw={"toolUsePromptTokenCount": 3}
            ),
            Normal(input=13, output=7, reasoning=2, total=20),
        ),
        ("cohere.v2", Usage(input=1), Normal(input=1)),
        ("ollama.chat", Usage(output=1), Normal(output=1)),
        ("openai.chat", Usage(input=1, output=1, raw={"toolUsePromptTokenCount": True}), Normal(input=1, output=1, total=2)),
    ],
)  # fmt: skip
def test_dialects(dialect: str, usage: Usage, normal: Normal) -> None:
    """Each dialect's way of counting gives the same meaning."""
    assert normalised(usage, dialect) == normal


@given(usage=USAGES, dialect=DIALECTS)
def test_what_is_not_stated_stays_unknown(usage: Usage, dialect: str) -> None:
    """No count appears whose main part was not stated, and none that was stated gets lost."""
    normal = normalised(usage, dialect)
    assert (normal.input is None) is (usage.input is None)
    assert (normal.output is None) is (usage.output is None)
    assert (normal.cached, normal.reasoning) == (usage.cache_read, usage.reasoning)
    is_known = usage.total is not None or None not in {usage.input, usage.output}
    assert (normal.total is not None) is is_known


@given(usage=USAGES, dialect=DIALECTS)
def test_nothing_shrinks(usage: Usage, dialect: str) -> None:
    """One meaning only adds what stood outside; a total that was stated stays."""
    normal = normalised(usage, dialect)
    assert (normal.input or 0) >= (usage.input or 0)
    assert (normal.output or 0) >= (usage.output or 0)
    assert usage.total is None or normal.total == usage.total


@given(parts=st.tuples(*[st.integers(0, 1000)] * 4))
def test_providers_that_count_apart_agree_with_their_totals(
    parts: tuple[int, int, int, int],
) -> None:
    """Where parts stand outside, input and output together are the total the provider would state."""
    asked, given_, cached, reasoning = parts
    google = Usage(input=asked, output=given_, reasoning=reasoning)
    assert normalised(google, "gemini.generateContent").total == asked + given_ + reasoning
    amazon = Usage(input=asked, output=given_, cache_read=cached)
    assert normalised(amazon, "bedrock.converse").total == asked + given_ + cached

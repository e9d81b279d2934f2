"""One meaning for the token counts of all dialects, for reports; records keep what was stated.

Providers count differently (wire formats §4): cached tokens may stand outside the input, reasoning
outside the output. What was not stated stays unknown: a sum is given only where its main part is.
"""

from dataclasses import dataclass

from proxy.exchange import Json, Usage

__all__ = ["Normal", "normalised"]

_CACHE_OUTSIDE = frozenset({"anthropic.messages", "bedrock.converse", "bedrock.invoke"})
_REASONING_OUTSIDE = frozenset({"gemini.generateContent", "gemini.interactions", "xai.grpc"})
_GOOGLE_TOOLS = "toolUsePromptTokenCount"
"""Tokens of tools' results, which Gemini counts beside the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Token counts with one meaning; None is "did not say"."""

    input: int | None = None
    """All of the prompt, whether it came from a cache or not."""
    output: int | None = None
    """All that the model wrote, its reasoning included."""
    cached: int | None = None
    """The part of the input that was read from a cache."""
    reasoning: int | None = None
    """The part of the output that is reasoning."""
    total: int | None = None
    """The provider's own total; where it gives none, input and output."""


def normalised(usage: Usage, dialect: str) -> Normal:
    """The counts of one answer in one meaning; `dialect` is the wire format's name."""
    asked = _input(usage, dialect)
    given = _output(usage, dialect)
    total = usage.total
    if total is None and asked is not None and given is not None:
        total = asked + given
    return Normal(
        input=asked,
        output=given,
        cached=usage.cache_read,
        reasoning=usage.reasoning,
        total=total,
    )


def _input(usage: Usage, dialect: str) -> int | None:
    if usage.input is None:
        return None
    stated: dict[str, Json] = usage.raw if isinstance(usage.raw, dict) else {}
    # Bedrock passes on the bodies of many vendors; those with `prompt_tokens` count as OpenAI does.
    if dialect in _CACHE_OUTSIDE and "prompt_tokens" not in stated:
        return usage.input + (usage.cache_read or 0) + (usage.cache_write or 0)
    beside = stated.get(_GOOGLE_TOOLS)
    if isinstance(beside, int) and not isinstance(beside, bool):
        return usage.input + beside
    return usage.input


def _output(usage: Usage, dialect: str) -> int | None:
    if usage.output is None or usage.reasoning is None:
        return usage.output
    is_outside = dialect in _REASONING_OUTSIDE or _is_beside(usage)
    return usage.output + usage.reasoning if is_outside else usage.output


def _is_beside(usage: Usage) -> bool:
    """Whether the total shows that reasoning is counted beside the output, as xAI does in chats."""
    parts = (usage.input, usage.output, usage.reasoning)
    known = [part for part in parts if part is not None]
    return len(known) == len(parts) and bool(usage.reasoning) and usage.total == sum(known)

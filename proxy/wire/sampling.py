"""Which settings of a request bend the distribution that an answer is sampled from: pure.

A student can learn a teacher's log-probabilities only where it is known what they are those of: the
temperature is read elsewhere; here stands whatever else the provider may have worked in.
"""

from collections.abc import Callable

from proxy.exchange import Json
from proxy.wire.document import Object

__all__ = ["bent_by"]


def _is_zero(value: Json) -> bool:
    return value == 0


def _is_one(value: Json) -> bool:
    return value == 1


def _is_empty(value: Json) -> bool:
    return value in ({}, [], "")


def _takes_all(value: Json) -> bool:
    return isinstance(value, int) and value <= 0


def _is_free(value: Json) -> bool:
    """Whether the answer may be any text: in OpenAI's words, in Gemini's, in those of a schema."""
    if isinstance(value, dict):
        return value.get("type") == "text" or value in ({}, {"format": {"type": "text"}})
    return value in ("", "text", "text/plain")


def _may_choose(value: Json) -> bool:
    return value in ("auto", "none")


_NEUTRAL: dict[str, Callable[[Json], bool]] = {
    "bias": _is_empty,
    "dry_multiplier": _is_zero,
    "format": _is_free,
    "frequency_penalty": _is_zero,
    "grammar": _is_empty,
    "guided_choice": _is_empty,
    "guided_grammar": _is_empty,
    "guided_json": _is_empty,
    "guided_regex": _is_empty,
    "logit_bias": _is_empty,
    "min_p": _is_zero,
    "min_tokens": _is_zero,
    "mirostat": _is_zero,
    "presence_penalty": _is_zero,
    "repeat_penalty": _is_one,
    "repetition_penalty": _is_one,
    "response_format": _is_free,
    "response_json_schema": _is_empty,
    "response_mime_type": _is_free,
    "response_schema": _is_empty,
    "structured_outputs": _is_empty,
    "text": _is_free,
    "tool_choice": _may_choose,
    "top_a": _is_zero,
    "top_k": _takes_all,
    "top_p": _is_one,
    "typical_p": _is_one,
}
"""Settings by the name that APIs of OpenAI's kind give them, and when each changes nothing."""


def bent_by(*settings: Object) -> tuple[str, ...]:
    """The names, sorted, of all settings that may bend the distribution; empty where none does.

    Names are told in snake_case, as Google spells them both ways.
    """
    found = set()
    for each in settings:
        for key, value in each.items():
            name = _snake(key)
            is_neutral = _NEUTRAL.get(name)
            if is_neutral is not None and value is not None and not is_neutral(value):
                found.add(name)
    return tuple(sorted(found))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)

"""Only settings that may bend the distribution are named, under one spelling."""

import pytest

from proxy.wire.document import Object
from proxy.wire.sampling import bent_by

_NEUTRAL: list[Object] = [
    {},
    {"temperature": 0.7, "messages": []},
    {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "top_p": 1},
    {"frequency_penalty": None, "top_k": -1, "min_p": 0, "repetition_penalty": 1.0},
    {"response_format": {"type": "text"}, "tool_choice": "auto"},
    {"text": {"format": {"type": "text"}}, "format": ""},
    {"topP": 1.0, "responseMimeType": "text/plain"},
]


@pytest.mark.parametrize("settings", _NEUTRAL)
def test_settings_that_change_nothing_bend_nothing(settings: Object) -> None:
    """A neutral value, or none, is no bend; nor is what is no setting of sampling."""
    assert bent_by(settings) == ()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"frequency_penalty": 0.1}, ("frequency_penalty",)),
        ({"logit_bias": {"50256": -100}}, ("logit_bias",)),
        ({"top_p": 0.9, "top_k": 40, "min_p": 0.05}, ("min_p", "top_k", "top_p")),
        ({"repeat_penalty": 1.1}, ("repeat_penalty",)),
        ({"response_format": {"type": "json_object"}}, ("response_format",)),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, ("response_format",)),
        ({"text": {"format": {"type": "json_schema"}}}, ("text",)),
        ({"format": "json"}, ("format",)),
        ({"format": {"type": "object"}}, ("format",)),
        ({"tool_choice": "required"}, ("tool_choice",)),
        ({"tool_choice": {"type": "function"}}, ("tool_choice",)),
        ({"top_k": "40"}, ("top_k",)),
        ({"topP": 0.5, "responseSchema": {"type": "OBJECT"}}, ("response_schema", "top_p")),
    ],
)
def test_settings_that_bend_are_named(settings: Object, names: tuple[str, ...]) -> None:
    """Penalties, biases, truncation and grammars are named, sorted; Google's names as others'."""
    assert bent_by(settings) == names


def test_settings_may_stand_in_several_places() -> None:
    """What one object leaves alone, another may bend."""
    assert bent_by({"format": "json"}, {"repeat_penalty": 1.2}) == ("format", "repeat_penalty")

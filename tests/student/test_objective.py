"""The objective: shares by teacher and temperature, and knobs that cannot be read are refused."""

from typing import Any

import pytest

from student.errors import ConfigError
from student.objective import Objective, objective_of

_PLAIN: dict[str, Any] = {
    "kl_share": 0.5,
    "kl_shares": "",
    "teacher_tokenizers": "",
    "raw_logprobs": "",
    "scaled_logprobs": "",
}


def _objective(**knobs: Any) -> Objective:
    return objective_of(**{**_PLAIN, **knobs})


@pytest.mark.parametrize(
    ("model", "temperature", "share"),
    [
        ("acme/large", 0.0, 0.0),
        ("acme/large", 1.0, 0.8),
        ("acme/small", 0.7, 0.2),
        ("acme/small", 1.0, 0.5),
    ],
)
def test_the_first_rule_that_fits_counts(model: str, temperature: float, share: float) -> None:
    """A share is that of teacher and temperature, of one of them, or the common one."""
    found = _objective(kl_shares="acme/large@0=0, acme/large=0.8, @0.7=0.2")
    assert found.share_of(model, temperature) == share


def test_teachers_are_named_with_their_tokenizers() -> None:
    """Folders go by model; a folder's name may hold an equals sign."""
    found = _objective(teacher_tokenizers="acme/large=/models/a=b, acme/small=/models/c")
    assert dict(found.tokenizers) == {"acme/large": "/models/a=b", "acme/small": "/models/c"}


def test_teachers_are_raw_or_scaled() -> None:
    """Which models state what is a set each."""
    found = _objective(raw_logprobs="a, b", scaled_logprobs="c")
    assert found.raw == frozenset({"a", "b"})
    assert found.scaled == frozenset({"c"})


@pytest.mark.parametrize(
    ("knobs", "message", "where"),
    [
        ({"kl_share": 1.5}, "`kl_share` has `1.5`", "kl_share"),
        ({"kl_share": float("nan")}, "`kl_share` has `nan`", "kl_share"),
        ({"kl_shares": "acme=2"}, "`kl_shares` has `acme=2`", "kl_shares"),
        ({"kl_shares": "acme"}, "`kl_shares` has `acme`", "kl_shares"),
        ({"kl_shares": "acme@hot=1"}, "`kl_shares` has `acme@hot=1`", "kl_shares"),
        ({"teacher_tokenizers": "acme"}, "`teacher_tokenizers` has `acme`", "teacher_tokenizers"),
        (
            {"raw_logprobs": "a,b", "scaled_logprobs": "b"},
            "`b` stands in `raw_logprobs` and in `scaled_logprobs`",
            "raw_logprobs",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(knobs: dict[str, Any], message: str, where: str) -> None:
    """The message names the knob and what stands there, and the help says what to write."""
    with pytest.raises(ConfigError) as caught:
        _objective(**knobs)
    assert caught.value.message == message
    assert caught.value.where == where
    assert caught.value.help

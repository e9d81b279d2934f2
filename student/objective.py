"""How much of the loss is the teacher's likeliest tokens, by teacher and by temperature. Pure.

The knobs are texts, so that a run's configuration stays flat; here they become rules.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from student.errors import ConfigError

__all__ = ["Objective", "ShareRule", "objective_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRule:
    """A share of the KL for one teacher, one temperature, or both; None stands for any."""

    model: str | None
    temperature: float | None
    share: float

    def fits(self, model: str, temperature: float) -> bool:
        """Whether the rule is about such an answer."""
        return self.model in (None, model) and self.temperature in (None, temperature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What each teacher's log-probabilities count, and what is known of them."""

    share: float
    rules: tuple[ShareRule, ...]
    tokenizers: Mapping[str, str]
    """The folder of each teacher's tokenizer, by model."""
    raw: frozenset[str]
    """Models that state log-probabilities from before the temperature."""
    scaled: frozenset[str]
    """Models that state those from after it."""

    def share_of(self, model: str, temperature: float) -> float:
        """The share of the KL in the loss of such an answer: of the first rule that fits."""
        fitting = (rule.share for rule in self.rules if rule.fits(model, temperature))
        return next(fitting, self.share)


def objective_of(
    *,
    kl_share: float,
    kl_shares: str,
    teacher_tokenizers: str,
    raw_logprobs: str,
    scaled_logprobs: str,
) -> Objective:
    """The objective that these knobs describe.

    Raises:
        ConfigError: a knob cannot be read, or two of them contradict each other.
    """
    raw, scaled = frozenset(_items(raw_logprobs)), frozenset(_items(scaled_logprobs))
    for model in sorted(raw & scaled):
        raise ConfigError(
            f"`{model}` stands in `raw_logprobs` and in `scaled_logprobs`",
            help="its log-probabilities are from before the temperature or from after it",
            where="raw_logprobs",
        )
    return Objective(
        share=_share(kl_share, "kl_share", str(kl_share)),
        rules=tuple(_rule(item) for item in _items(kl_shares)),
        tokenizers=dict(_pair(item, "teacher_tokenizers") for item in _items(teacher_tokenizers)),
        raw=raw,
        scaled=scaled,
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _pair(item: str, knob: str) -> tuple[str, str]:
    name, _, value = item.rpartition("=") if knob == "kl_shares" else item.partition("=")
    if not name or not value:
        raise _unreadable(item, knob)
    return name.strip(), value.strip()


def _rule(item: str) -> ShareRule:
    about, share = _pair(item, "kl_shares")
    model, at, temperature = about.partition("@")
    try:
        return ShareRule(
            model=model or None,
            temperature=float(temperature) if at else None,
            share=_share(float(share), "kl_shares", item),
        )
    except ValueError as error:
        raise _unreadable(item, "kl_shares") from error


def _share(value: float, knob: str, item: str) -> float:
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ConfigError(f"`{knob}` has `{item}`", help="a share is from 0 to 1", where=knob)
    return value


def _unreadable(item: str, knob: str) -> ConfigError:
    shape = "MODEL=FOLDER" if knob == "teacher_tokenizers" else "[MODEL][@TEMPERATURE]=SHARE"
    return ConfigError(
        f"`{knob}` has `{item}`", help=f"write `{shape}`, several with commas", where=knob
    )

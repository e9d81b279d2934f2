"""The duty `redact`: whether a request meets it, and the stored copy of an answer that does: pure.

inbond alters no body on its way. At the request gate the duty is met by the client, or not at all; at
the response gate it concerns what is stored.
"""

import json
from collections.abc import Iterable, Mapping

from policies.decision import Decision
from policies.model import Duty, Effect, Fact, Rule
from proxy.detect import Kind, Sighting, kind_of
from proxy.exchange import Json
from proxy.masking import masked
from proxy.reading import dump

__all__ = ["Redaction", "is_masked", "redacted_reading", "redaction_of", "unmet"]

_SHOWN_PATHS = 10

type Redaction = frozenset[str]
"""The values of the duties, as the policies write them."""


def _values(duties: Iterable[Duty]) -> Redaction:
    return frozenset(duty.value for duty in duties if duty.kind == "redact")


def unmet(decision: Decision, seen: Sighting) -> str:
    """Why a request does not meet its duties to redact, and what to do; empty where it meets them."""
    reasons: list[str] = []
    for value in sorted(_values(decision.duties)):
        kind = kind_of(value)
        if kind is None or kind not in seen.kinds:
            reasons.append(
                f"`{value}` must be masked, and no detector could look for it; switch one on under "
                "`detectors`, or have a person look"
            )
        elif paths := seen.paths.get(kind, ()):
            shown = ", ".join(f"`{path}`" for path in paths[:_SHOWN_PATHS])
            more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
            reasons.append(f"mask `{value}` at {shown}{more}, and send it again")
    return "; ".join(reasons)


def redaction_of(decision: Decision | None, rules: Iterable[Rule]) -> Redaction:
    """What is to be masked in the stored copy of an answer.

    An answer that waits for a person is masked as if the permits that may hold did: once it is
    cleared, it is their duty.
    """
    if decision is None or decision.verdict is Effect.FORBID:
        return frozenset()
    if decision.verdict is Effect.PERMIT:
        return _values(decision.duties)
    permits = {
        hit.rule for hit in decision.hits if hit.effect is Effect.PERMIT and not hit.is_shadow
    }
    return frozenset().union(*(_values(rule.duties) for rule in rules if rule.id in permits))


def is_masked(duties: Iterable[str], redacted: Iterable[str], asked: Mapping[str, Fact]) -> bool:
    """Whether an example meets its duties to redact, as records write them (`redact: pii`).

    Its answer was masked when it was stored; nothing masks a prompt, so that it must be known to hold
    none.
    """
    words = [duty.removeprefix("redact: ") for duty in duties if duty.startswith("redact: ")]
    done = {kind_of(value) for value in redacted} - {None}
    kinds = [kind_of(word) for word in words]
    return all(kind in done and asked.get(f"request.{kind}") is False for kind in kinds)


def redacted_reading(document: bytes, wanted: Redaction, seen: Sighting) -> bytes | None:
    """The reading of an exchange with its answer masked; None where that cannot be done.

    Log-probabilities go: their tokens are the text in pieces.
    """
    kinds = [kind_of(value) for value in wanted]
    known: frozenset[Kind] = frozenset(kind for kind in kinds if kind is not None)
    if None in kinds or not known <= seen.kinds:
        return None
    doc: dict[str, Json] = json.loads(document)
    answer = masked(doc["answer"], seen.only(known))
    if isinstance(answer, dict) and isinstance(choices := answer.get("choices"), list):
        answer["choices"] = [
            {**choice, "logprobs": None} if isinstance(choice, dict) else choice
            for choice in choices
        ]
    return dump({**doc, "answer": answer}).encode("utf-8", "backslashreplace")

"""Whether an answer that was held until it was decided on may go to its client: pure.

The response gate asks what may be kept for training, and most of its rules say nothing of who may
read. A rule that names the response gate and not the dataset gate speaks of the answer itself: under
`delivery: buffer` an answer that such a rule forbids, or has held for a person, does not go out.
"""

from collections.abc import Iterable

from policies.model import Gate, Rule
from proxy.ledger.entry import DecisionRecord

__all__ = ["is_unjudged", "is_unreadable", "withholding"]


def withholding(record: DecisionRecord | None, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that keep an answer from its client; none: it goes out."""
    if record is None or record.verdict == "permit":
        return ()
    by = frozenset(record.by)
    return tuple(rule for rule in rules if rule.id in by and _speaks_of_the_answer(rule))


def _speaks_of_the_answer(rule: Rule) -> bool:
    return Gate.RESPONSE in rule.gates and Gate.DATASET not in rule.gates


def is_unjudged(record: DecisionRecord | None, rules: Iterable[Rule], *, has_words: bool) -> bool:
    """Whether words go undecided, as those of a broken answer do, where a rule speaks of answers."""
    return record is None and has_words and any(map(_speaks_of_the_answer, rules))


def is_unreadable(status: int | None, problem: str | None) -> bool:
    """Whether an answer could not be read, so that no rule could see it: it does not go out (P9)."""
    return problem is not None and status is not None and 200 <= status < 300

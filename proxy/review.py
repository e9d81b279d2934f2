"""What a person may say about a held exchange: clear it, supply a missing fact, or reject it.

A clearance is the organisation's own exception for one exchange. It lifts reviews that the
organisation asked for, and never a provider's rule. A judgement supplies a fact that is missing: what
a detector would find or an owner declares, never what the wire says, and never in place of a known one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.facts import Asserter, known_at, spec_of
from policies.model import Effect, Fact, Gate, Layer
from proxy.clock import new_id, new_nonce, parse_time, stamp, utc_now
from proxy.enforce import facts_at_response, facts_of_leaf, leaf_facts
from proxy.errors import LedgerError
from proxy.ledger.entry import DecisionEntry, DecisionRecord, JudgementEntry
from proxy.store.log import Log, Pending
from proxy.store.queries import review_item
from proxy.store.records import ReviewItem
from proxy.store.session import Database

__all__ = ["Held", "Outlook", "clear", "held", "look", "reject"]

_JUDGEABLE = frozenset({Asserter.DETECTOR, Asserter.DECLARED})
_NEEDS_TWO = frozenset({"student.competes_with"})
"""Declarations that take effect only when a second person approves them (policy language §1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One item of the review queue and what it waits for."""

    item: ReviewItem
    record: DecisionRecord
    """The decision that held it."""

    @property
    def gate(self) -> Gate:
        """Where it is held: the request or the response gate."""
        return Gate(self.item.gate)

    @property
    def facts(self) -> Mapping[str, Fact]:
        """All that is known of the exchange where it is held."""
        facts = facts_of_leaf(self.item.call.entry.facts)
        if self.gate is Gate.REQUEST:
            return facts
        return facts_at_response(facts, facts_of_leaf(self.item.exchange.entry.facts))


def held(item: ReviewItem) -> Held:
    """An item of the queue with the decision that held it."""
    at_request = item.gate == Gate.REQUEST.value
    record = item.call.entry.decision if at_request else item.exchange.entry.decision
    assert record is not None  # noqa: S101 - the queue holds items with a verdict
    return Held(item=item, record=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a held exchange waits for today, and what a person could do about it."""

    held: Held
    decision: Decision
    """By the policies in force, today, with nothing cleared."""
    clears: frozenset[str]
    """The rules that a clearance would lift."""
    after: Decision
    """The decision once they are."""

    def may_supply(self, fact: str) -> bool:
        """Whether a person may say what a fact is."""
        return _problem_with(self.held, fact) is None


def look(database: Database, bundle: Bundle, exchange: str) -> Outlook:
    """A held exchange as a reviewer must see it before saying anything.

    Raises:
        LedgerError: it does not wait for review, or the ledger cannot be read.
    """
    waiting = _find(database, exchange)
    then = Moment(at=parse_time(waiting.item.call.entry.at), facts=waiting.facts)
    today = Moment(at=utc_now(), facts=waiting.facts)
    decision = decide(bundle, waiting.gate, then, today)
    ours = _liftable(bundle, decision)
    after = decide(bundle, waiting.gate, then, today, cleared=ours)
    return Outlook(held=waiting, decision=decision, clears=ours, after=after)


def _find(database: Database, exchange: str) -> Held:
    with database.read() as connection:
        item = review_item(connection, exchange)
    if item is None:
        raise LedgerError(
            f"no exchange `{exchange}` waits for review",
            help="see `inbond review list` for those that do",
            code="not-in-review",
        )
    return held(item)


def clear(
    log: Log,
    bundle: Bundle,
    exchange: str,
    *,
    actor: str,
    reason: str,
    supplied: Mapping[str, Fact],
) -> Decision:
    """Let a held exchange pass, on record; gives the decision that follows.

    Raises:
        LedgerError: it does not wait for review, or could not be read; a fact may not be supplied;
            or the clearance would not be enough, and the message says what stands against it.
    """
    waiting = _find(log.database, exchange)
    _refuse_unread(waiting)
    _refuse_unseen(waiting)
    for name, value in supplied.items():
        _refuse_unjudgeable(waiting, name, value)
    facts = {**waiting.facts, **supplied}
    then = Moment(at=parse_time(waiting.item.call.entry.at), facts=facts)
    today = Moment(at=utc_now(), facts=facts)
    ours = _liftable(bundle, decide(bundle, waiting.gate, then, today))
    decision = decide(bundle, waiting.gate, then, today, cleared=ours)
    if decision.verdict is not Effect.PERMIT:
        raise _not_enough(decision)
    at = stamp(utc_now())
    entries = [
        Pending(
            DecisionEntry(
                id=new_id(),
                at=at,
                actor=actor,
                action="clear",
                exchange=exchange,
                gate="request" if waiting.gate is Gate.REQUEST else "response",
                clears=sorted(ours),
                reason=reason,
                nonce=new_nonce(),
            )
        )
    ]
    if supplied:
        judgement = JudgementEntry(
            id=new_id(),
            at=at,
            actor=actor,
            exchange=exchange,
            facts=leaf_facts(supplied),
            reason=reason,
            nonce=new_nonce(),
        )
        entries.insert(0, Pending(judgement))
    log.append(entries)
    return decision


def reject(log: Log, exchange: str, *, actor: str, reason: str) -> None:
    """Say on record that a held exchange stays out.

    Raises:
        LedgerError: it does not wait for review, or the ledger cannot be written.
    """
    waiting = _find(log.database, exchange)
    entry = DecisionEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor,
        action="reject",
        exchange=exchange,
        gate="request" if waiting.gate is Gate.REQUEST else "response",
        reason=reason,
        nonce=new_nonce(),
    )
    log.append([Pending(entry)])


def _refuse_unread(waiting: Held) -> None:
    problem = waiting.item.exchange.entry.problem
    if problem is not None:
        raise LedgerError(
            f"this call was refused because it could not be read (`{problem}`)",
            help="a clearance would not let it pass: reject it, and mend the call",
            code="not-clearable",
        )


def _refuse_unseen(waiting: Held) -> None:
    """A call is let pass by the bytes it sends: one without any would stand for all others."""
    if waiting.gate is Gate.REQUEST and not waiting.item.call.entry.request.size_bytes:
        raise LedgerError(
            "this call was held before anybody could read what it sends",
            help="a clearance would let others pass as well: reject it, and permit such calls by a rule",
            code="not-clearable",
        )


def _refuse_unjudgeable(waiting: Held, name: str, value: Fact) -> None:
    problem, spec = _problem_with(waiting, name), spec_of(name)
    if problem is not None:
        raise problem
    assert spec is not None  # noqa: S101 - a fact that is none is a problem
    if not spec.accepts(value):
        raise LedgerError(
            f"this is no value of `{name}`",
            help=f"give one of: {', '.join(spec.values)}" if spec.values else f"give a {spec.type}",
            code="bad-value",
        )


def _problem_with(waiting: Held, name: str) -> LedgerError | None:
    """Why a person may not supply a fact of a held exchange; None where he may."""
    spec = spec_of(name)
    if spec is None or spec.asserter not in _JUDGEABLE or not known_at(spec, waiting.gate):
        return LedgerError(
            f"`{name}` is not a fact that a person may supply at the {waiting.gate.value} gate",
            help="only what a detector would find or an owner declares can be judged; "
            "what the wire says stays as it is",
            code="not-judgeable",
        )
    if name in _NEEDS_TWO:
        return LedgerError(
            f"`{name}` counts only when a second person approves it",
            help="declare it in the student's file and have that approved",
            code="not-judgeable",
        )
    if name in waiting.facts:
        return LedgerError(
            f"`{name}` is known of this exchange already",
            help="a judgement supplies what is missing; what was stamped on the call stays",
            code="not-missing",
        )
    return None


def _liftable(bundle: Bundle, decision: Decision) -> frozenset[str]:
    """The reviews that hold the exchange and that the organisation alone asked for."""
    layers = {rule.id: rule.layers for rule in bundle.rules}
    return frozenset(
        hit.rule
        for hit in decision.hits
        if hit.rule in decision.by
        and hit.effect is Effect.REVIEW
        and layers[hit.rule] == {Layer.ORGANISATION}
    )


def _not_enough(decision: Decision) -> LedgerError:
    missing = ", ".join(f"`{m.fact}` ({m.supplied_by})" for m in decision.missing)
    rules = ", ".join(f"`{rule}`" for rule in decision.by)
    silent = ", ".join(layer.value for layer in decision.silent)
    why = [f"not known: {missing}"] if missing else []
    why += [f"set by {rules}"] if rules else []
    why += [f"nobody speaks for: {silent}"] if silent else []
    return LedgerError(
        f"a clearance would not be enough, the verdict stays `{decision.verdict.value}`: "
        + "; ".join(why),
        help="supply what is not known with `--fact NAME=VALUE`; "
        "a provider's rule is lifted by a grant of that provider only",
        code="not-enough",
    )

"""One exchange of the ledger, decided again as it was then and as it would be today.

Then: the bundle that decided, found by its digest, on the facts on record. Today: the bundle in force,
with what people cleared and supplied since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.explain import Explanation, explain
from policies.model import Fact, Gate
from proxy.clock import parse_time
from proxy.enforce import facts_at_response, facts_of_leaf
from proxy.errors import LedgerError
from proxy.inforce import bundle_at, bundle_in_force
from proxy.ledger.entry import DecisionEntry, DecisionRecord
from proxy.store.queries import decisions_of, entry_by_id, exchange_with_call, judgements_of
from proxy.store.records import RecordedExchange
from proxy.store.session import Database, Reading

__all__ = ["Retraced", "retrace"]

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraced:
    """An exchange at one gate: what was decided, why, and what would be decided today."""

    exchange: str
    """Its id; that of the call while it is under way."""
    recorded: DecisionRecord | None
    """What the ledger says; None at the dataset gate, whose verdicts stand in manifests."""
    explanation: Explanation
    today: Decision
    """The same exchange under the bundle in force, at today's instant."""

    @property
    def is_as_recorded(self) -> bool:
        """Whether deciding again gave what is on record."""
        decision = self.explanation.decision
        return self.recorded is None or (
            (self.recorded.verdict, tuple(self.recorded.by)) == (decision.verdict, decision.by)
        )

    @property
    def is_same_today(self) -> bool:
        """Whether the policies in force decide the same for the same rules."""
        decision = self.explanation.decision
        return (self.today.verdict, self.today.by) == (decision.verdict, decision.by)


def retrace(database: Database, id_: str, gate: Gate | None, now: datetime) -> Retraced:
    """The exchange of an id, which may be that of its call, at a gate or at the last it reached.

    Raises:
        LedgerError: there is no such exchange, it did not reach the gate, or its bundle is not stored.
    """
    with database.read() as connection:
        found = exchange_with_call(connection, id_)
        if found is None:
            raise LedgerError(
                f"no exchange `{id_}` is on record",
                help="`x-inbond-exchange` of an answer and `inbond review list` name exchanges",
                code="unknown-exchange",
            )
        case = _Case(connection, found)
    return case.retrace(database, gate or case.last_gate, now)


class _Case:
    """One exchange and all that is on record about it."""

    def __init__(self, connection: Reading, found: RecordedExchange) -> None:
        self._call = found.call.entry
        self._end = None if found.exchange is None else found.exchange.entry
        self.id = self._call.id if self._end is None else self._end.id
        self._cleared_by = _cleared_by(connection, self._call.cleared_by)
        self._said: Sequence[DecisionEntry] = [
            item.entry for item in decisions_of(connection, self.id)
        ]
        self._supplied: dict[str, Fact] = {}
        for judgement in judgements_of(connection, self.id):
            self._supplied |= facts_of_leaf(judgement.entry.facts)

    @property
    def last_gate(self) -> Gate:
        """The last gate at which the ledger has a decision."""
        is_judged = self._end is not None and self._end.decision is not None
        return Gate.RESPONSE if is_judged else Gate.REQUEST

    def retrace(self, database: Database, gate: Gate, now: datetime) -> Retraced:
        """Decide again at a gate."""
        recorded = self._recorded(gate)
        facts, at = self._facts(gate), parse_time(self._call.at)
        in_force = bundle_in_force(database)
        known = {**self._supplied, **facts}
        today = self._today(in_force, gate, Moment(at=at, facts=known), now)
        if recorded is None:
            explanation = explain(in_force, gate, *today, cleared=self._cleared(gate))
        else:
            bundle = bundle_at(database, recorded.bundle)
            then = Moment(at=parse_time(recorded.exchange_at), facts=facts)
            end = Moment(at=parse_time(recorded.today_at), facts=facts)
            lifted = self._cleared_by if gate is Gate.REQUEST else _NOTHING
            explanation = explain(bundle, gate, then, end, cleared=lifted)
        return Retraced(
            exchange=self.id,
            recorded=recorded,
            explanation=explanation,
            today=decide(in_force, gate, *today, cleared=self._cleared(gate)),
        )

    def _today(
        self, bundle: Bundle, gate: Gate, then: Moment, now: datetime
    ) -> tuple[Moment, Moment]:
        """Both clocks as they are read today; at the dataset gate with what the student declares."""
        student = bundle.students.get(self._call.student or "")
        if gate is not Gate.DATASET or student is None:
            return then, Moment(at=now, facts=then.facts)
        kept = {n: value for n, value in then.facts.items() if not n.startswith("student.")}
        return then, Moment(at=now, facts={**kept, **student.facts})

    def _recorded(self, gate: Gate) -> DecisionRecord | None:
        if gate is Gate.REQUEST:
            return self._call.decision
        decision = None if self._end is None else self._end.decision
        if decision is None or gate is Gate.RELEASE:
            raise LedgerError(
                f"the exchange `{self.id}` did not reach the {gate} gate",
                help="only an answer that was read to its end is judged; see `--gate request`",
                code="not-judged",
            )
        return decision if gate is Gate.RESPONSE else None

    def _facts(self, gate: Gate) -> Mapping[str, Fact]:
        facts = facts_of_leaf(self._call.facts)
        if gate is Gate.REQUEST or self._end is None:
            return facts
        return facts_at_response(facts, facts_of_leaf(self._end.facts))

    def _cleared(self, gate: Gate) -> frozenset[str]:
        """What people lifted for this exchange, as their last word at the gate has it."""
        at_request = gate is Gate.REQUEST
        said = [one for one in self._said if (one.gate == Gate.REQUEST.value) is at_request]
        lifted = frozenset(said[-1].clears) if said and said[-1].action == "clear" else _NOTHING
        return lifted | (self._cleared_by if at_request else _NOTHING)


def _cleared_by(connection: Reading, decision: str | None) -> frozenset[str]:
    """The rules that an earlier clearance lifted for the call."""
    stored = None if decision is None else entry_by_id(connection, decision)
    entry = None if stored is None else stored.entry
    return frozenset(entry.clears) if isinstance(entry, DecisionEntry) else _NOTHING

"""The lines of a batch on their way out: each read, counted and decided on as a call of its own.

All of them, and the call that sends them, are decided and recorded in one transaction: either each
line is durable and permitted, or nothing leaves (P1). What is not permitted is recorded as refused.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Effect, Fact, Gate
from proxy.clock import new_id
from proxy.counting import Counted, Settling
from proxy.detect import NOTHING_SEEN, Sighting
from proxy.enforce import body_facts, head_facts, refusal_message
from proxy.entries import Entries
from proxy.errors import WireError
from proxy.exchange import Request, RequestHead
from proxy.ledger.entry import CallEntry, LineRecord, exchange_of
from proxy.redact import unmet
from proxy.refusals import Early
from proxy.services import Clearance
from proxy.store.bodies import Prepared, prepare_body
from proxy.store.counters import OpenTallies, Step
from proxy.store.log import Pending
from proxy.wire.batch import Ask, twice
from proxy.wire.dialects import format_for
from proxy.wire.document import compact

__all__ = ["BatchSettling", "Judged", "Line", "look_at", "read_lines"]

MAX_LINES = 100_000
"""Requests of one batch: the largest that any provider takes."""

_SALT_BYTES = 32
_NAMED = 5
"""How many refused lines a message names."""
_RECORDED = 1_000
"""How many refused lines are recorded each by itself."""
_NO_MODELS = frozenset({"batch", "file", "models"})


@dataclass(slots=True, kw_only=True)
class Line:
    """One request of a batch."""

    custom_id: str
    entries: Entries
    facts: dict[str, Fact]
    whole: bytes
    """What is sealed as its request."""
    sealed: Prepared
    counted: Counted | None
    record: LineRecord
    cleared: Clearance | None = None
    asked: tuple[bytes, Request] | None = None
    """What the model would be sent, as long as detectors are to look at it."""
    seen: Sighting = NOTHING_SEEN


def read_lines(create: Entries, asks: Iterable[Ask], digest: Callable[[str], str]) -> list[Line]:
    """The lines that leave with a call.

    Raises:
        WireError: one cannot be read as a call to a model, two share an id, or there are too many.
    """
    lines: list[Line] = []
    seen: set[str] = set()
    for ask in asks:
        record = LineRecord(create=create.id, custom=digest(ask.custom_id))
        if record.custom in seen:
            raise twice(ask.custom_id)
        if len(lines) == MAX_LINES:
            raise WireError(
                f"the batch holds more than {MAX_LINES} requests",
                code="batch-too-large",
                help="send it as several batches",
            )
        seen.add(record.custom)
        lines.append(_line(create, ask, record))
    if not lines:
        raise WireError(
            "the batch holds no request that could be read",
            code="empty-batch",
            help="send at least one request",
        )
    return lines


async def look_at(lines: Iterable[Line]) -> None:
    """Let detectors look at each line, as at any request."""
    for line in lines:
        if line.asked is None:
            continue
        body, request = line.asked
        services, line.asked = line.entries.services, None
        line.seen = await services.detectors.in_request(body, request)
        line.facts |= line.seen.facts("request")
        line.counted = services.counting.of(line.facts, line.entries.at, body)


def _line(create: Entries, ask: Ask, record: LineRecord) -> Line:
    head = RequestHead(method="POST", path=ask.path, headers=create.head.headers)
    wire_format = format_for(head, create.teacher.formats)
    operation = None if wire_format is None else wire_format.claims(head)
    if wire_format is None or operation is None or operation in _NO_MODELS:
        raise _of_line(
            ask,
            WireError(
                f"`{ask.path}` is no call to a model that could be read",
                code="unclassified",
                help="send only requests that could be sent alone",
            ),
        )
    body = compact(ask.body).encode("utf-8", "backslashreplace")
    try:
        request = wire_format.reader(head).request(body)
    except WireError as error:
        raise _of_line(ask, error) from error
    whole = ask.sealed()
    services, caller = create.services, create.caller
    call = new_id()
    facts = head_facts(
        create.teacher,
        operation,
        project=caller.project,
        account_id=caller.account_id,
        student=services.bundle.students.get(caller.student or ""),
        declared=services.declared.of(caller.account_id),
    ) | body_facts(create.teacher, request)
    return Line(
        custom_id=ask.custom_id,
        entries=replace(create, id=call, exchange=exchange_of(call), head=head),
        facts=facts,
        whole=whole,
        sealed=prepare_body(whole, os.urandom(_SALT_BYTES)),
        counted=services.counting.of(facts, create.at, body),
        record=record,
        asked=(body, request) if services.detectors.is_on else None,
    )


def _of_line(ask: Ask, error: WireError) -> WireError:
    shown = _shown(ask.custom_id)
    where = f"request `{shown}` of the batch" + (f", {error.where}" if error.where else "")
    return WireError(error.message, code=error.code, where=where, help=error.help)


def _shown(custom_id: str) -> str:
    return custom_id[:64].encode("ascii", "backslashreplace").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was decided on one line."""

    line: Line
    facts: Mapping[str, Fact]
    decision: Decision

    @property
    def verdict(self) -> Effect:
        """The verdict of the request gate; of a line whose duties are not met, forbid."""
        return Effect.FORBID if self.unmet else self.decision.verdict

    @property
    def unmet(self) -> str:
        """Why a permitted line may not leave as it is; empty where it may."""
        is_permitted = self.decision.verdict is Effect.PERMIT
        return unmet(self.decision, self.line.seen) if is_permitted else ""

    def call(self, *, is_sent: bool) -> Pending:
        """The line's own intent."""
        line = self.line
        by = line.cleared.entry if line.cleared is not None and is_sent else None
        step = line.counted.step if line.counted is not None and is_sent else None
        made = line.entries.call(line.sealed, self.facts, self.decision, cleared_by=by, step=step)
        assert isinstance(made.entry, CallEntry)  # noqa: S101 - it says so
        return replace(made, entry=made.entry.model_copy(update={"line": line.record}))


class BatchSettling(Settling):
    """Decides a batch, line by line, in the transaction that records it.

    With `may_hold` nothing is recorded where lines are held and none is forbidden: a person may have
    cleared them before.
    """

    def __init__(  # noqa: PLR0913 - a batch is its own call and its lines
        self,
        *,
        create: Entries,
        facts: Mapping[str, Fact],
        sealed: Prepared,
        counted: Counted | None,
        found: Clearance | None,
        lines: Sequence[Line],
        refuse: Callable[[Decision, Mapping[str, Fact]], Early],
        unmet: Callable[[Decision], Early | None],
        may_hold: bool,
    ) -> None:
        """`refuse` words the refusal of the call itself, `unmet` that of one whose duties are not met."""
        nothing = Step(groups=(), at=create.at)
        super().__init__(
            counted=counted or Counted(step=nothing, asked=nothing),
            facts=facts,
            decide=lambda facts: _decide(create.services.bundle, create.at, facts, _rules(found)),
            entries=lambda _facts, _decision: (),
        )
        self.held: list[Judged] = []
        """The lines that wait for a person, once it was run."""
        self.verdict = Effect.FORBID
        """The strictest of all, once it was run."""
        self.early: Early | None = None
        """Why nothing leaves, once it was run."""
        self.is_passing = False
        self.is_held = False
        """Whether nothing was recorded, since a person may have cleared what is held."""
        self._create = create
        self._sealed = sealed
        self._found = found
        self._lines = lines
        self._refuse = refuse
        self._unmet = unmet
        self._may_hold = may_hold

    def __call__(self, tallies: OpenTallies) -> tuple[Pending, ...]:
        """Read the numbers, decide, and give the entries to append: none of a batch withdrawn."""
        running = _Running(tallies)
        self.facts = {**self._given, **running.numbers(self._counted.asked)}
        decision = self.decision = self._decide(self.facts)
        is_permitted = decision.verdict is Effect.PERMIT
        unmet = self._unmet(decision) if is_permitted else None
        if is_permitted:
            running.add(self._counted.step)
        judged = [self._judge(line, running) for line in self._lines]
        stopped = [one for one in judged if one.verdict is not Effect.PERMIT]
        self.held = [one for one in stopped if one.verdict is Effect.REVIEW]
        self.is_passing = is_permitted and unmet is None and not stopped
        entries = self._record(decision, judged, stopped, unmet)
        with self._lock:
            if self._is_withdrawn:
                return ()
            self._passes = self.is_passing
        return entries

    def _judge(self, line: Line, running: "_Running") -> Judged:
        given = line.facts if line.cleared is None else {**line.cleared.facts, **line.facts}
        numbers = {} if line.counted is None else running.numbers(line.counted.asked)
        facts = {**given, **numbers}
        create = self._create
        decision = _decide(create.services.bundle, create.at, facts, _rules(line.cleared))
        judged = Judged(line=line, facts=facts, decision=decision)
        if judged.verdict is Effect.PERMIT and line.counted is not None:
            running.add(line.counted.step)
        return judged

    def _record(
        self,
        decision: Decision,
        judged: Sequence[Judged],
        stopped: Sequence[Judged],
        unmet: Early | None,
    ) -> tuple[Pending, ...]:
        by = self._found.entry if self._found is not None and self.is_passing else None
        step = self._counted.step if self.is_passing else None
        call = self._create.call(self._sealed, self.facts, decision, cleared_by=by, step=step)
        if self.is_passing:
            self.early, self.verdict, self.is_held = None, Effect.PERMIT, False
            return call, *(one.call(is_sent=True) for one in judged)
        self.early = unmet or self._worded(decision, stopped, len(judged))
        own = decision.verdict if unmet is None else Effect.FORBID
        verdicts = {own, *(one.verdict for one in stopped)}
        self.verdict = Effect.FORBID if Effect.FORBID in verdicts else Effect.REVIEW
        self.is_held = self._may_hold and self.verdict is Effect.REVIEW
        if self.is_held:
            return ()
        problem = _problem(stopped) if unmet is None else unmet.code
        refused = Pending(self._create.refused(self.early, problem=problem))
        return call, refused, *self._refused(stopped)

    def _refused(self, stopped: Sequence[Judged]) -> Iterable[Pending]:
        """What was held back, each by itself: all that a person could clear, and some of the rest."""
        is_final = any(one.verdict is Effect.FORBID for one in stopped)
        for one in stopped[: _RECORDED if is_final else None]:
            early = Early(status=403, code="refused-by-policy", message="")
            problem = "not-redacted" if one.unmet else None
            yield one.call(is_sent=False)
            yield Pending(one.line.entries.refused(early, problem=problem))

    def _worded(self, decision: Decision, stopped: Sequence[Judged], count: int) -> Early:
        early = self._refuse(decision, self.facts)
        if not stopped or decision.verdict is Effect.FORBID:
            return early
        forbidden = [one for one in stopped if one.verdict is Effect.FORBID]
        named = (forbidden or list(stopped))[:_NAMED]
        words = "; ".join(_said(one) for one in named)
        more = len(forbidden or stopped) - len(named)
        rest = f"; and {more} more" if more else ""
        verb = "are refused" if forbidden else "wait for a person"
        message = (
            f"inbond sent nothing of this batch: of {count} requests {len(forbidden or stopped)} "
            f"{verb}: {words}{rest}; send the others in a batch of their own; "
            f"exchange {self._create.exchange}"
        )
        code = "refused-by-policy" if forbidden else "needs-review"
        return Early(status=403, code=code, message=message)


def _said(one: Judged) -> str:
    message = one.unmet or refusal_message(one.decision, one.facts, one.line.entries.exchange)
    return f"request `{_shown(one.line.custom_id)}`: {message}"


def _problem(stopped: Sequence[Judged]) -> str | None:
    return "batch-refused" if stopped else None


def _rules(found: Clearance | None) -> frozenset[str]:
    return frozenset() if found is None else found.rules


def _decide(
    bundle: Bundle, at: datetime, facts: Mapping[str, Fact], cleared: frozenset[str]
) -> Decision:
    return decide(bundle, Gate.REQUEST, Moment(at=at, facts=facts), cleared=cleared)


class _Running:
    """Numbers as they stand for each line in turn: those before it, of its own batch, count."""

    def __init__(self, tallies: OpenTallies) -> None:
        self._tallies = tallies
        self._added: dict[bytes, int] = {}
        self._sent: set[tuple[bytes, bytes | None]] = set()

    def numbers(self, asked: Step) -> dict[str, int]:
        """The facts `counter.NAME` of a line, this line included."""
        if not asked.groups:
            return {}
        found = self._tallies.numbers(asked)
        for group in asked.groups:
            found[group.fact] += self._added.get(group.key, 0)
            if (group.key, asked.prompt) in self._sent:
                found[group.fact] -= self._is_new(asked, group.fact)
        return found

    def add(self, step: Step) -> None:
        """Count a line that may leave."""
        for group in step.groups:
            match group.counter.count:
                case "requests":
                    grown = step.requests
                case "distinct_prompts":
                    mark = group.key, step.prompt
                    grown = 0 if mark in self._sent else self._is_new(step, group.fact)
                    self._sent.add(mark)
                case _:
                    grown = 0
            self._added[group.key] = self._added.get(group.key, 0) + grown

    def _is_new(self, step: Step, fact: str) -> int:
        """1 where the ledger does not know the prompt of a line in this counter's window, else 0."""
        groups = tuple(group for group in step.groups if group.fact == fact)
        with_it = self._tallies.numbers(replace(step, groups=groups))[fact]
        without = self._tallies.numbers(replace(step, groups=groups, requests=0, prompt=None))[fact]
        return with_it - without

"""What a provider counted, beside what went through the proxy: per day of UTC, model and key.

What the provider saw and the ledger did not went around the proxy; nothing but this comparison can
show it (question 13 of an audit). Imported calls never count: they did not come through either.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import ProxyError
from proxy.ledger.entry import AdminEntry, CallEntry, ExchangeEntry, ReconcileRecord, UsageRecord
from proxy.providers import Entry, model_id
from proxy.route import Registry
from proxy.store.log import Log, Pending
from proxy.store.queries import entries
from proxy.store.session import Database, Reading
from proxy.usage_export import UsageRow

__all__ = ["Compared", "Line", "Scope", "State", "compare", "put_on_record", "scope_of"]

_NOT_BILLED = frozenset({"batch", "count-tokens", "file", "models", "moderation"})
"""Operations that no model answers."""
_ROUTES = {
    "openai": ("openai-api",),
    "anthropic": ("anthropic-api",),
    "google": ("google-gemini-api", "google-vertex"),
}


class State(StrEnum):
    """How a row stands."""

    MATCHED = "matched"
    AROUND = "around"
    """The provider saw more: it went around the proxy."""
    BEYOND = "beyond"
    """More went through the proxy than the provider counts."""


@dataclass(slots=True)
class _Sum:
    """Counts of one side. None is "did not say"."""

    calls: int | None = None
    input: int | None = None
    output: int | None = None
    silent: int = 0
    """Answers that did not say how many tokens they took."""

    def add(self, calls: int | None, given: int | None, made: int | None) -> None:
        self.calls = _plus(self.calls, calls)
        self.input = _plus(self.input, given)
        self.output = _plus(self.output, made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One day, model and key, as the provider and as the ledger has it."""

    day: date
    model: str
    """The canonical id where the registry knows one."""
    key: str
    """The account here; empty where keys are not told apart."""
    state: State
    provider_calls: int | None
    recorded_calls: int
    provider_input: int | None
    recorded_input: int
    provider_output: int | None
    recorded_output: int
    silent: int
    """Recorded answers that did not say how many tokens they took."""

    @property
    def calls_around(self) -> int | None:
        """How many calls more the provider saw; None where it does not count them."""
        return None if self.provider_calls is None else self.provider_calls - self.recorded_calls

    @property
    def tokens_around(self) -> int:
        """How many tokens more the provider saw."""
        pairs = (
            (self.provider_input, self.recorded_input),
            (self.provider_output, self.recorded_output),
        )
        return sum(seen - ours for seen, ours in pairs if seen is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """All rows, and the days they are of."""

    since: date
    until: date
    """The last day, itself included."""
    lines: tuple[Line, ...]

    def of(self, state: State) -> list[Line]:
        """The rows of one state."""
        return [line for line in self.lines if line.state is state]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of the ledger an export is compared with."""

    provider: str
    routes: frozenset[str]
    """The fact `route` of the calls that the provider answered."""
    contracts: tuple[Entry, ...]
    accounts: Mapping[str, str] = field(default_factory=dict)
    """By the provider's own id of a key: the account here. Without any, keys are not told apart."""

    def model(self, name: str) -> str:
        """The canonical id of a name on the wire, or the name itself."""
        known = (model_id(entry, name) for entry in self.contracts)
        return next((found for found in known if found is not None), name)

    def account(self, key: str) -> str:
        """The account of a key; one that nobody named stands for itself."""
        return self.accounts.get(key, key or "not named") if self.accounts else ""


def scope_of(
    registry: Registry, provider: str, routes: Collection[str], accounts: Mapping[str, str]
) -> Scope:
    """What an export of a provider is compared with: its own contracts, or those named.

    Raises:
        ProxyError: the registry has no such contract, or none was named for a generic export.
    """
    wanted = frozenset(routes or _ROUTES.get(provider, ()))
    known = {entry.route for entry in registry.entries}
    if not wanted:
        fix = "name the contract that it is of with `--route`"
        raise _wrong("a generic export does not say whose it is", fix)
    if wanted - known:
        fix = f"the routes are {', '.join(sorted(known))}"
        raise _wrong(f"the registry has no route `{min(wanted - known)}`", fix)
    contracts = tuple(entry for entry in registry.entries if entry.route in wanted)
    return Scope(provider=provider, routes=wanted, contracts=contracts, accounts=accounts)


def compare(
    database: Database,
    scope: Scope,
    rows: Iterable[UsageRow],
    *,
    since: date | None = None,
    until: date | None = None,
    tolerance: Fraction = Fraction(0),
) -> Compared:
    """Both sides, per day, model and key. `tolerance` is a share of what was recorded.

    Without them the days are the first and the last that the export has.

    Raises:
        ProxyError: there is no row of these days, or the last lies before the first.
        LedgerError: the ledger cannot be read.
    """
    given = list(rows)
    days = [row.day for row in given]
    first, last = since or min(days), until or max(days)
    if last < first:
        raise _wrong("the last day lies before the first", "write `--since` before `--until`")
    theirs: dict[tuple[date, str, str], _Sum] = {}
    for row in given:
        if first <= row.day <= last:
            name = (row.day, scope.model(row.model), scope.account(row.key))
            theirs.setdefault(name, _Sum()).add(row.calls, row.input, row.output)
    if not theirs:
        raise _wrong(f"the export has no row of {first} to {last}", "export those days as well")
    with database.read() as connection:
        ours = _recorded(connection, scope, first, last)
    names = sorted(theirs.keys() | ours.keys())
    return Compared(
        since=first,
        until=last,
        lines=tuple(_line(n, theirs.get(n), ours.get(n, _Sum()), tolerance) for n in names),
    )


def put_on_record(
    log: Log, scope: Scope, compared: Compared, *, export: str, actor: str
) -> AdminEntry:
    """Put a result on record; `export` is the digest of the provider's files.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    around = compared.of(State.AROUND)
    calls = [line.calls_around for line in around]
    entry = AdminEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor,
        action="reconcile",
        reconciled=ReconcileRecord(
            provider=scope.provider,
            export=export,
            since=compared.since.isoformat(),
            until=compared.until.isoformat(),
            matched=len(compared.of(State.MATCHED)),
            around=len(around),
            beyond=len(compared.of(State.BEYOND)),
            calls_around=None if None in calls else sum(max(call or 0, 0) for call in calls),
            tokens_around=sum(max(line.tokens_around, 0) for line in around),
        ),
        nonce=new_nonce(),
    )
    log.append([Pending(entry)])
    return entry


def _line(
    name: tuple[date, str, str], theirs: _Sum | None, ours: _Sum, tolerance: Fraction
) -> Line:
    day, model, key = name
    # A row that the export does not have counts nothing.
    seen = _Sum(0, 0, 0) if theirs is None else theirs
    pairs = [
        (seen.calls, ours.calls or 0),
        (seen.input, ours.input or 0),
        (seen.output, ours.output or 0),
    ]
    known = [(seen, mine) for seen, mine in pairs if seen is not None]
    if any(seen - mine > mine * tolerance for seen, mine in known):
        state = State.AROUND
    else:
        is_less = any(mine - seen > mine * tolerance for seen, mine in known)
        state = State.BEYOND if is_less else State.MATCHED
    return Line(
        day=day,
        model=model,
        key=key,
        state=state,
        provider_calls=seen.calls,
        recorded_calls=ours.calls or 0,
        provider_input=seen.input,
        recorded_input=ours.input or 0,
        provider_output=seen.output,
        recorded_output=ours.output or 0,
        silent=ours.silent,
    )


def _recorded(
    connection: Reading, scope: Scope, first: date, last: date
) -> dict[tuple[date, str, str], _Sum]:
    """What the ledger has of calls that reached the provider."""
    found: dict[tuple[date, str, str], _Sum] = {}
    for call, end in _exchanges(connection, scope, first, last):
        usage = end.usage or UsageRecord()
        given, made = _tokens(usage, scope.provider)
        asked = call.facts.get("model.asked", "")
        model = end.facts.get("model.id") or call.facts.get("model.id") or scope.model(str(asked))
        account = str(call.facts.get("account.id", "not named")) if scope.accounts else ""
        total = found.setdefault((_day(call), str(model), account), _Sum())
        total.add(1, given, made)
        total.silent += given is None or made is None
    return found


def _exchanges(
    connection: Reading, scope: Scope, first: date, last: date
) -> Iterator[tuple[CallEntry, ExchangeEntry]]:
    calls: dict[str, CallEntry] = {}
    after = -1
    while page := entries(connection, after=after):
        for item in page:
            entry = item.entry
            if isinstance(entry, CallEntry) and _is_billed(entry, scope, first, last):
                calls[entry.id] = entry
            elif isinstance(entry, ExchangeEntry):
                call = calls.pop(entry.call, None)
                if call is not None and entry.outcome != "refused":
                    yield call, entry
        after = page[-1].seq


def _is_billed(call: CallEntry, scope: Scope, first: date, last: date) -> bool:
    return (
        call.imported is None
        and call.facts.get("route") in scope.routes
        and call.facts.get("operation") not in _NOT_BILLED
        and first <= _day(call) <= last
    )


def _day(call: CallEntry) -> date:
    return date.fromisoformat(call.at[:10])


def _tokens(usage: UsageRecord, provider: str) -> tuple[int | None, int | None]:
    """Tokens in the meaning of the provider's export: all of the prompt, all that was written."""
    given, made = usage.input, usage.output
    if provider == "anthropic" and given is not None:
        given += (usage.cache_read or 0) + (usage.cache_write or 0)
    if provider == "google" and made is not None:
        made += usage.reasoning or 0
    return given, made


def _plus(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other


def _wrong(message: str, fix: str) -> ProxyError:
    return ProxyError(message, help=fix, code="bad-reconcile")

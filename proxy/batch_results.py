"""Results of batches: each becomes the exchange of the call that its request was, once.

The request was sealed when it left, maybe weeks ago and by another process; it is opened to read the
answer beside it. A result that nobody asked for through this ledger is counted, and never admitted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched

from proxy.batches import Batches
from proxy.clock import new_nonce, parse_time, stamp
from proxy.enforce import facts_of_leaf
from proxy.entries import Entries
from proxy.errors import LedgerError, WireError
from proxy.exchange import Exchange, Outcome, Request, RequestHead, ResponseHead
from proxy.identity import Caller
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from proxy.providers import Entry
from proxy.services import Services
from proxy.store.batches import LineOf, Sent
from proxy.store.bodies import Absent
from proxy.store.log import Pending
from proxy.tap import Tap
from proxy.wire.batch import Ask, Result
from proxy.wire.batch_reading import MAX_LINE_BYTES, BatchReader
from proxy.wire.dialects import format_for
from proxy.wire.document import Object, compact
from proxy.wire.format import Reader

__all__ = ["Harvest", "ended_without"]

_PAGE = 100
"""Results that are looked up and recorded together."""
_JSON = (("content-type", "application/json"),)
_TRIES = 5
_UNREACHED = {"batch-cancelled": Outcome.CUT}
_GOOD, _BAD = 200, 400
"""How an answer reads whose status the provider does not state."""


@dataclass(slots=True, kw_only=True)
class Harvest:
    """Records the results that one call brought, and counts those that are nobody's."""

    services: Services
    batches: Batches
    teacher: Entry
    reader: BatchReader
    creates: tuple[str, ...]
    """The calls that sent requests in the batch: none where it was made elsewhere."""
    call: str
    """The call whose answer brought the results."""
    caller: Caller
    """Who fetches the results."""
    found: int = 0
    """Results of calls of ours, those recorded before included."""
    unknown: int = 0
    """Results whose request was never seen here."""
    unknown_choices: int = 0
    unreadable: int = 0
    _done: set[str] = field(default_factory=set)

    @property
    def problem(self) -> str | None:
        """A slug where something was brought that can never be admitted."""
        if self.unknown:
            return "unknown-request"
        return "unreadable-result" if self.unreadable else None

    async def take(self, lines: Iterable[bytes]) -> None:
        """Record results.

        Raises:
            LedgerError: the ledger cannot be read or written; what was recorded stays so.
        """
        for page in batched(lines, _PAGE):
            results = self._read(page)
            by_custom = {self.batches.digest(result.custom_id): result for result in results}
            fresh = {k: result for k, result in by_custom.items() if k not in self._done}
            self._done |= fresh.keys()
            await self._record(fresh)

    async def _record(self, fresh: Mapping[str, Result]) -> None:
        """Record results that this answer had not brought before."""
        known = await self.batches.lines(self.creates, fresh)
        self.found += len(known)
        for custom in fresh.keys() - known.keys():
            self.unknown += 1
            self.unknown_choices += fresh[custom].choices
        ends: dict[str, Pending] = {}
        for _ in range(_TRIES):
            left = {custom: line for custom, line in known.items() if line.is_open}
            if not left:
                return
            ends = ends or await self._ends(left, fresh)
            if await self._append([ends[custom] for custom in left]):
                return
            known = await self.batches.lines(self.creates, fresh)

    async def _ends(
        self, left: Mapping[str, LineOf], fresh: Mapping[str, Result]
    ) -> dict[str, Pending]:
        """The ends of calls that are open, by their digests."""
        calls = [call for line in left.values() for call in (line.call, *line.others)]
        sent = await self.batches.sent(calls)
        ends: dict[str, Pending] = {}
        for custom, line in left.items():
            asked = {sent[call].request for call in (line.call, *line.others)}
            ends[custom] = await self._end(sent[line.call], fresh[custom], is_told=len(asked) == 1)
        return ends

    async def _append(self, pending: Sequence[Pending]) -> bool:
        """Append ends; false where another process ended one of these calls meanwhile."""
        size_bytes = sum(len(body.blob or b"") for one in pending for body in one.bodies)
        try:
            # Not as ends that must not be lost: a result that is not recorded now is fetched again.
            await self.services.recorder.settle(lambda _: pending, size_bytes=size_bytes)
        except LedgerError:
            calls = [one.entry.call for one in pending if isinstance(one.entry, ExchangeEntry)]
            if not await self.batches.has_ended(calls):
                raise
            return False
        return True

    def _read(self, page: Iterable[bytes]) -> list[Result]:
        found: list[Result] = []
        for line in page:
            try:
                found.append(self.reader.result(line))
            except WireError:
                self.unreadable += 1
        return found

    async def _end(self, sent: Sent, result: Result, *, is_told: bool) -> Pending:
        """The end of a call; unless `is_told`, another request of the same id asked something else."""
        call = sent.call
        if result.body is None:
            reason = result.reason or "no-result"
            return self._without(call, _UNREACHED.get(reason, Outcome.UPSTREAM_FAILED), reason)
        if not is_told:
            return self._without(call, Outcome.COMPLETE, "ambiguous-request")
        if isinstance(sent.request, Absent):
            return self._without(call, Outcome.COMPLETE, "request-erased")
        try:
            ask = Ask.opened(sent.request)
            reader = self._reader(ask, result)
        except WireError as error:
            return self._without(call, Outcome.COMPLETE, error.code)
        return await self._read_as_alone(call, ask, reader, result)

    def _without(self, call: CallEntry, outcome: Outcome, problem: str) -> Pending:
        return ended_without(
            self.services, call.id, outcome=outcome, problem=problem, brought_by=self.call
        )

    def _reader(self, ask: Ask, result: Result) -> Reader:
        """A reader that has read the request.

        Raises:
            WireError: the teacher's formats read it no more.
        """
        asked = self._of_path(ask.path)
        request = asked.request(_bytes(ask.body))
        if result.path in {None, ask.path}:
            return asked
        return _Answered(self._of_path(result.path or ""), request)

    def _of_path(self, path: str) -> Reader:
        head = RequestHead(method="POST", path=path)
        wire_format = format_for(head, self.teacher.formats)
        if wire_format is None:
            raise WireError(f"`{path}` is read no more", code="unclassified")
        return wire_format.reader(head)

    async def _read_as_alone(
        self, call: CallEntry, ask: Ask, reader: Reader, result: Result
    ) -> Pending:
        """The end that the call would have had if it had been sent alone."""
        facts, at = facts_of_leaf(call.facts), parse_time(call.at)
        entries = Entries(
            services=self.services,
            id=call.id,
            exchange=exchange_of(call.id),
            at=at,
            teacher=self.teacher,
            caller=self.caller,
            head=RequestHead(method="POST", path=ask.path),
        )
        tap = Tap(reader, keep_wire=False, limit_bytes=MAX_LINE_BYTES)
        tap.respond(result.status or (_BAD if result.is_error else _GOOD), _JSON)
        tap.feed(_bytes(result.body or {}))
        counted = self.services.counting.of(facts, at, _bytes(ask.body))
        ended = await entries.ended(tap, Outcome.COMPLETE, facts, counted)
        # The bytes of the wire are those of the whole file, sealed by the call that brought it.
        said = {"brought_by": self.call, "status": result.status, "wire": None}
        entry = ended.entry
        assert isinstance(entry, ExchangeEntry)  # noqa: S101 - it ends a call
        kept = tuple(
            body for body in ended.bodies if entry.wire is None or body.seal != entry.wire.seal
        )
        return replace(ended, entry=entry.model_copy(update=said), bodies=kept)


class _Answered:
    """Reads an answer of another format than its request was asked in."""

    def __init__(self, reader: Reader, request: Request) -> None:
        self._inner = reader
        self._request = request

    def request(self, body: bytes) -> Request:  # noqa: ARG002 - it was read before
        return self._request

    def respond(self, head: ResponseHead) -> None:
        self._inner.respond(head)

    def feed(self, chunk: bytes) -> None:
        self._inner.feed(chunk)

    @property
    def is_terminal(self) -> bool:
        return self._inner.is_terminal

    def finish(self, *, is_clean: bool = False) -> Exchange:
        return replace(self._inner.finish(is_clean=is_clean), request=self._request)


def _bytes(body: Object) -> bytes:
    return compact(body).encode("utf-8", "backslashreplace")


def ended_without(
    services: Services,
    call: str,
    *,
    outcome: Outcome,
    problem: str,
    status: int | None = None,
    brought_by: str | None = None,
) -> Pending:
    """The end of a line that got no answer."""
    return Pending(
        ExchangeEntry(
            id=exchange_of(call),
            at=stamp(services.now()),
            actor=services.worker,
            call=call,
            outcome=outcome.value,
            status=status,
            problem=problem,
            brought_by=brought_by,
            nonce=new_nonce(),
        )
    )

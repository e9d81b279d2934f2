"""Calls about batches: their requests are decided on line by line, their results recorded so too.

The call itself is a `proxy.call.Call` without a teacher's words: what matters is what leaves with it
and what it brings.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import batched
from typing import Unpack

from policies.decision import Decision
from policies.model import Effect
from proxy.batch_lines import BatchSettling, Line, look_at, read_lines
from proxy.batch_results import Harvest, ended_without
from proxy.batch_spool import Spool
from proxy.batches import Batches
from proxy.call import Call, CallParts, CallState
from proxy.contributors import ContributorError, names_any
from proxy.detect import NOTHING_SEEN
from proxy.enforce import body_facts, plain_name
from proxy.errors import LedgerError, ProofError, RouteError, WireError
from proxy.exchange import Outcome
from proxy.gate import Forward, Refused
from proxy.ledger.entry import BatchRecord, ExchangeEntry
from proxy.redact import unmet
from proxy.refusals import Early
from proxy.services import Clearance
from proxy.store.log import Pending
from proxy.tap import Tap
from proxy.wire.batch import Ask
from proxy.wire.batch_reading import BatchReader, Lines
from proxy.wire.document import read_object

__all__ = ["BatchCall"]

_RESULTS_BYTES = 64 * 2**30
"""How much of a file of results is read: it passes at constant memory."""
_MOST = 100_000
"""Lines that end together, where their batch brings nothing more."""
_AT_ONCE = 500


class BatchCall(Call):
    """One call about a batch or its files."""

    def __init__(
        self, *, batches: Batches, reader: BatchReader, **given: Unpack[CallParts]
    ) -> None:
        super().__init__(reader=reader, **given)
        self._batches = batches
        self._about = reader
        self._sent: tuple[str, ...] = ()
        """The calls of the lines that leave with this one."""
        self._spool = Spool(batches.directory)
        if reader.door.does != "create":
            # Of what may hold results only the lines are stored, each as its own decision says.
            limit_bytes = self._services.answer_limit_bytes
            most = max(_RESULTS_BYTES, limit_bytes) if reader.door.is_lines else limit_bytes
            self._tap = Tap(reader, keep_wire=False, limit_bytes=most)

    # -- requests ----------------------------------------------------------------------------

    async def _judge(self, body: bytes) -> Forward | Refused:
        if self._early is not None or self._about.door.does != "create":
            return await super()._judge(body)
        if self._services.delivery.holds(self._route.entry.id):
            return await self._refuse_early(body, self._unheld())
        try:
            if names_any(self._sent_headers):
                made_from = await self._services.contributors(self._sent_headers)
                self._entries = replace(self._entries, contributors=made_from)
            read = self._decoded(body)
            request = self._reader.request(read)
            lines = await self._lines()
        except (ContributorError, ProofError, WireError) as error:
            return await self._refuse_early(body, self._refusals.of(400, error))
        await look_at(lines)
        self._sent = tuple(line.entries.id for line in lines)
        self._facts |= body_facts(self._route.entry, request)
        self._seen = await self._look(read, request)
        self._facts |= self._seen.facts("request")
        self._counted = await self._count(body)
        try:
            connect = await self._address()
        except RouteError as error:
            return await self._refuse_route(body, self._decide_request(self._facts), error)
        settling = await self._settle_lines(body, lines, None, may_hold=True)
        if settling.is_held and not self._is_over():
            found = await self._clear(body, settling)
            settling = await self._settle_lines(body, lines, found, may_hold=False)
        if settling.early is not None:
            return self._refusals.say(settling.early, settling.verdict.value)
        return self._refusals.unsent() if self._is_over() else self._sent_to(connect, body)

    def _unheld(self) -> Early:
        """The refusal of a batch whose results nobody could hold back line by line."""
        message = (
            f"inbond refused this call: answers of `{self._route.entry.id}` are held until they were "
            "decided on (`delivery: buffer`), and those of a batch come all at once; send its "
            f"requests alone, or stream this teacher's answers; exchange {self.exchange}"
        )
        return Early(status=403, code="batch-buffered", message=message)

    async def _lines(self) -> list[Line]:
        """The lines that leave with this call, read off the event loop.

        Raises:
            WireError: one cannot be read, or they stand in a file that was not read here.
            ProofError: what is kept of such a file is damaged.
        """
        asked = self._about.asked
        uploads: list[str] = []
        for file in asked.files:
            upload = await self._batches.upload(self._route.entry.route, file)
            if upload is None:
                raise _unread(file)
            uploads.append(upload)

        def asks() -> Iterator[Ask]:
            yield from asked.asks
            for file, upload in zip(asked.files, uploads, strict=True):
                yield from self._of_file(file, upload)

        return await asyncio.to_thread(read_lines, self._entries, asks(), self._batches.digest)

    def _of_file(self, file: str, upload: str) -> Iterator[Ask]:
        """The requests in a file that was uploaded.

        Raises:
            WireError: a line is none; its number is in `where`.
        """
        read, lines = self._about.asked.line, Lines()
        assert read is not None  # noqa: S101 - every format that takes files reads their lines
        found = (line for piece in self._batches.kept(upload) for line in lines.feed(piece))
        number = 0
        for number, line in enumerate(found, start=1):
            try:
                yield read(read_object(line, of="the line"))
            except WireError as error:
                where = f"line {number} of `{_shown(file)}`" + (error.where and f", {error.where}")
                raise WireError(
                    error.message, code=error.code, where=where, help=error.help
                ) from error
        if not number:
            raise _unread(file)

    async def _settle_lines(
        self, body: bytes, lines: list[Line], found: Clearance | None, *, may_hold: bool
    ) -> BatchSettling:
        """Decide and record the call and its lines in one transaction."""
        settling = BatchSettling(
            create=self._entries,
            facts=self._facts,
            sealed=await self._services.recorder.seal(body),
            counted=self._counted,
            found=found,
            lines=lines,
            refuse=self._refusals.by,
            unmet=partial(self._unmet_by, lines),
            may_hold=may_hold,
        )
        if self._is_over():
            return settling
        size_bytes = sum(len(line.sealed.body.blob or b"") for line in lines)
        self._settling, self._state = settling, CallState.SETTLING
        try:
            await self._services.recorder.settle(settling, size_bytes=size_bytes)
        except LedgerError:
            self._state = CallState.ENDED
            raise
        self._facts = dict(settling.facts)
        if not self._is_over():
            self._state = _after(settling)
        return settling

    def _unmet_by(self, lines: Sequence[Line], decision: Decision) -> Early | None:
        """The refusal of a batch of which anything that leaves does not meet the call's own duties."""
        if not unmet(decision, NOTHING_SEEN):  # none of them asks for masking
            return None
        reasons = (unmet(decision, seen) for seen in (self._seen, *(line.seen for line in lines)))
        why = next(filter(None, reasons), "")
        return self._refusals.not_redacted(why) if why else None

    async def _clear(self, body: bytes, settling: BatchSettling) -> Clearance | None:
        """Note on each held line what a person decided before; give what was on the call itself."""
        for judged in settling.held:
            line = judged.line
            line.cleared = await self._services.clearance(line.facts, line.whole)
        if settling.decision is None or settling.decision.verdict is not Effect.REVIEW:
            return None
        found = await self._services.clearance(self._facts, body)
        self._facts = self._facts if found is None else {**found.facts, **self._facts}
        return found

    # -- results -----------------------------------------------------------------------------

    def tap(self, chunk: bytes) -> bool:
        """Read a copy of the next chunk; results wait on disk until all of them are there."""
        goes_on = super().tap(chunk)
        self._collect()
        return goes_on

    def _collect(self) -> None:
        try:
            self._spool.add(self._about.drain())
        except OSError:
            self._tap.poison("results-not-kept")

    async def _ending(self, outcome: Outcome) -> Pending:
        """The end of the call, once each result it brought is on record."""
        ending = await super()._ending(outcome)
        entry = ending.entry
        assert isinstance(entry, ExchangeEntry)  # noqa: S101 - it ends a call
        self._collect()
        try:
            return replace(ending, entry=await self._about_batch(entry))
        finally:
            self._spool.close()

    async def _about_batch(self, entry: ExchangeEntry) -> ExchangeEntry:
        # Where a hook of ours broke nothing is taken from the answer: results are fetched again (P9).
        is_ours = entry.problem == "hook-failed"
        is_good = entry.status is not None and 200 <= entry.status < 300 and not is_ours
        record = self._record() if is_good else None
        if self._about.door.does == "create":
            self._beside = self._unmade(entry, record)
        elif record is not None and self._about.door.does in {"read", "results"}:
            return await self._with_results(entry, record)
        return entry.model_copy(update={"batch": _or_none(record)})

    def _record(self) -> BatchRecord:
        """What the answer said, in words that a leaf may keep."""
        notice, door = self._about.notice, self._about.door
        batch = notice.batch
        if batch is None and door.operation == "batch":
            batch = self._about.subject
        outputs = [name for name in map(plain_name, notice.outputs) if name is not None]
        is_batch = door.operation == "batch"
        return BatchRecord(
            batch=plain_name(batch),
            state=notice.state,
            input=plain_name(notice.input) if is_batch else None,
            outputs=outputs,
        )

    def _unmade(self, entry: ExchangeEntry, record: BatchRecord | None) -> tuple[Pending, ...]:
        """The ends of lines whose batch no answer named: nothing can be told to be theirs."""
        if record is not None and record.batch is not None:
            return ()
        return tuple(
            ended_without(
                self._services,
                call,
                outcome=Outcome(entry.outcome),
                status=entry.status,
                problem="batch-not-made",
                brought_by=self._entries.id,
            )
            for call in self._sent
        )

    async def _with_results(self, entry: ExchangeEntry, record: BatchRecord) -> ExchangeEntry:
        """Record what was brought, and what the batch will not bring any more."""
        route, subject = self._route.entry.route, self._about.subject
        batch = record.batch
        if batch is None and subject is not None:
            batch = await self._batches.batch_of(route, subject)
        creates = () if batch is None else await self._batches.creates(route, batch)
        harvest = Harvest(
            services=self._services,
            batches=self._batches,
            teacher=self._route.entry,
            reader=self._about,
            creates=creates,
            call=self._entries.id,
            caller=self._caller,
        )
        await harvest.take(self._spool)
        if batch is not None and creates:
            record = await self._closed(batch, creates, entry, record)
        return entry.model_copy(
            update={
                "batch": _or_none(record),
                "choices": harvest.unknown_choices,
                "problem": entry.problem or harvest.problem,
            }
        )

    async def _closed(
        self, batch: str, creates: tuple[str, ...], entry: ExchangeEntry, record: BatchRecord
    ) -> BatchRecord:
        """End what stays open of a batch whose results have all been read."""
        files = await self._batches.files(self._route.entry.route, batch)
        door, part = self._about.door, self._about.part(self._route.query)
        is_ended = files.is_ended or record.state == "ended" or door.is_lines
        # A part that was asked for (206) is no whole file, however it ended.
        is_whole = entry.outcome == "complete" and entry.problem is None and entry.status == 200
        is_brought = door.does == "results" or self._spool.lines > 0
        if is_ended and is_whole and is_brought:
            record = record.model_copy(update={"batch": batch, "read": part})
        named = files.named | set(record.outputs)
        read = files.read | ({record.read} - {None})
        if is_ended and is_whole and (batch in read or named <= read):
            await self._end_left(creates)
        return record

    async def _end_left(self, creates: tuple[str, ...]) -> None:
        left = await self._batches.left(creates, limit=_MOST)
        for calls in batched(left, _AT_ONCE):
            ends = [
                ended_without(
                    self._services,
                    call,
                    outcome=Outcome.UPSTREAM_FAILED,
                    problem="no-result",
                    brought_by=self._entries.id,
                )
                for call in calls
            ]
            try:
                await self._services.recorder.settle(partial(_given, ends), size_bytes=0)
            except LedgerError:
                if not await self._batches.has_ended(calls):
                    raise


def _after(settling: BatchSettling) -> CallState:
    if settling.is_passing:
        return CallState.CALLED
    return CallState.OPEN if settling.is_held else CallState.ENDED


def _given(ends: Sequence[Pending], _: object) -> Sequence[Pending]:
    return ends


def _or_none(record: BatchRecord | None) -> BatchRecord | None:
    return None if record == BatchRecord() else record


def _shown(file: str) -> str:
    return file[:80].encode("ascii", "backslashreplace").decode()


def _unread(file: str) -> WireError:
    return WireError(
        f"nobody read the requests in the file `{_shown(file)}`",
        code="unread-batch",
        help="upload the file through inbond, with `purpose` `batch`, and make the batch of that file",
    )

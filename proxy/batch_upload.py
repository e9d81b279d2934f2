"""Uploads of files: decided on from the head, sent on while they come in, read at constant memory.

The lines of a file of requests are kept, encrypted, until a batch is made of it: there each is
decided on. Of every other file nothing is kept but a seal of what was sent.
"""

import hmac
import os
from dataclasses import replace
from datetime import timedelta
from typing import Unpack

from policies.decision import Decision
from proxy.batch_spool import Spool
from proxy.batches import Batches
from proxy.call import Call, CallParts
from proxy.clock import stamp
from proxy.detect import NOTHING_SEEN, Sighting
from proxy.enforce import plain_name
from proxy.errors import WireError
from proxy.exchange import Outcome, Request
from proxy.gate import Forward, Refused, Wait
from proxy.ledger.entry import BatchRecord, ExchangeEntry, SealRecord
from proxy.ledger.seal import SALT_BYTES
from proxy.redact import unmet
from proxy.refusals import Early
from proxy.store.bodies import Body
from proxy.store.log import Pending
from proxy.wire.batch_form import FormStream
from proxy.wire.batch_reading import BatchReader, Lines
from proxy.wire.form import is_form

__all__ = ["UploadCall"]

_KEPT = timedelta(days=30)
"""How long the lines of a file wait for a batch to be made of it."""
_PURPOSE = "batch"


class UploadCall(Call):
    """One upload (`proxy.gate.Streamed`)."""

    def __init__(
        self, *, batches: Batches, reader: BatchReader, **given: Unpack[CallParts]
    ) -> None:
        super().__init__(reader=reader, **given)
        self._batches = batches
        self._about = reader
        self._salt = os.urandom(SALT_BYTES)
        self._seal = hmac.new(self._salt, digestmod="sha256")
        self._size_bytes = 0
        self._lines = Lines()
        self._spool = Spool(batches.directory)
        self._unread: str | None = None
        """Why no batch can be made of the file: a slug."""
        self._form = self._open()

    def _open(self) -> FormStream | None:
        content_type = self._head.header("content-type")
        if not is_form(content_type) or self._head.header("content-encoding") is not None:
            self._unread = "unread-upload"
            return None
        try:
            return FormStream(content_type or "")
        except WireError as error:
            self._unread = error.code
            return None

    # -- the request -------------------------------------------------------------------------

    async def begin(self, body: bytes) -> Forward | Refused | Wait:  # noqa: ARG002 - it passes `upload` as well
        """Decide from the head alone: the `call` is durable before a byte goes on (P1)."""
        return await super().request(b"")

    async def request(self, body: bytes) -> Forward | Refused:
        """Decide on a request that came without a body, or whole."""
        verdict = await super().request(b"")
        if body and isinstance(verdict, Forward):
            self.upload(body)
        return verdict

    def _read(self, body: bytes) -> Request:
        """Nothing is read before it is sent: what cannot be read is no file of requests later."""
        return self._reader.request(body)

    async def _look(self, body: bytes, request: Request) -> Sighting:  # noqa: ARG002 - neither is the file
        """Nothing: the file comes after the decision, so that nobody knows what it holds."""
        return NOTHING_SEEN

    def _unmet(self, decision: Decision) -> Early | None:
        """The refusal of a file in which something must be masked: nobody could look before it goes on."""
        if not unmet(decision, NOTHING_SEEN):
            return None
        duties = ", ".join(f"`{duty.value}`" for duty in decision.duties if duty.kind == "redact")
        return self._refusals.not_redacted(
            f"{duties} must be masked, and a file goes on while it comes in, so that it cannot be "
            "shown to hold none; send each request as a call of its own"
        )

    def upload(self, chunk: bytes) -> bool:
        """Read and seal a copy of what is sent on."""
        self._seal.update(chunk)
        self._size_bytes += len(chunk)
        if self._form is not None and self._unread is None:
            try:
                self._keep(self._lines.feed(self._form.feed(chunk)))
            except (WireError, OSError) as error:
                self._give_up(error.code if isinstance(error, WireError) else "upload-not-kept")
        return True

    def _keep(self, lines: list[bytes]) -> None:
        assert self._form is not None  # noqa: S101 - only what is read is kept
        if self._form.fields.get("purpose", _PURPOSE) != _PURPOSE:
            self._give_up("other-purpose")
        else:
            self._spool.add(lines)

    def _give_up(self, reason: str) -> None:
        self._unread = self._unread or reason
        self._spool.close()

    # -- the answer --------------------------------------------------------------------------

    async def _ending(self, outcome: Outcome) -> Pending:
        """The end of the call: a file of requests is kept before its id is on record."""
        ending = await super()._ending(outcome)
        entry = ending.entry
        assert isinstance(entry, ExchangeEntry)  # noqa: S101 - it ends a call
        seal = SealRecord(seal=self._seal.hexdigest(), size_bytes=self._size_bytes)
        file = plain_name(self._about.notice.input)
        is_kept = file is not None and entry.outcome == "complete" and self._is_requests()
        try:
            if is_kept:
                await self._store()
        finally:
            self._spool.close()
        said = {
            "upload": seal,
            "batch": BatchRecord(input=file) if is_kept else None,
        }
        body = Body(seal=seal.seal, salt=self._salt, blob=None)
        return replace(ending, entry=entry.model_copy(update=said), bodies=(*ending.bodies, body))

    def _is_requests(self) -> bool:
        """Whether the whole of a file of requests was read."""
        if self._form is None or self._unread is not None:
            return False
        try:
            self._form.finish()
            self._keep(self._lines.finish())
        except (WireError, OSError):
            return False
        return self._form.fields.get("purpose") == _PURPOSE and self._spool.lines > 0

    async def _store(self) -> None:
        now = self._services.now()
        await self._batches.keep(
            self._entries.id, stamp(now), self._spool.sealed(), before=stamp(now - _KEPT)
        )

"""What a call makes of its answer while the bytes pass by: a copy, decoded, read and sealed.

What a tap cannot read poisons the record, not the stream: a poisoned record is never admitted (P9).
"""

import hmac
import os

from proxy.errors import WireError
from proxy.exchange import Exchange, Headers, Outcome, ResponseHead
from proxy.headers import storable_response_headers
from proxy.ledger.entry import SealRecord
from proxy.ledger.seal import SALT_BYTES, encrypt_body
from proxy.store.bodies import Body, Prepared
from proxy.wire.encoding import Decoder
from proxy.wire.format import Reader

__all__ = ["Tap"]


class Tap:
    """Reads one answer; `problem` is a slug once the record is poisoned.

    Memory holds what the reader keeps of at most `limit_bytes` of the answer, and with `keep_wire`
    as many bytes of the wire; what goes beyond is sealed as it passes, and poisons the record.
    """

    def __init__(self, reader: Reader, *, keep_wire: bool, limit_bytes: int) -> None:
        self.problem: str | None = None
        self.head = ResponseHead(status=0)
        self._reader = reader
        self._decoder: Decoder | None = None
        self._limit_bytes = limit_bytes
        self._salt = os.urandom(SALT_BYTES)
        self._seal = hmac.new(self._salt, digestmod="sha256")
        self._size_bytes = 0
        self._read_bytes = 0
        self._kept = bytearray() if keep_wire else None

    @property
    def kept_bytes(self) -> int:
        """How many bytes of the wire are kept to be stored."""
        return len(self._kept or b"")

    def respond(self, status: int, headers: Headers) -> None:
        """Take note of the response's head: status, encoding, and what may be stored of it."""
        lower = tuple((name.lower(), value) for name, value in headers)
        self.head = ResponseHead(status=status, headers=storable_response_headers(lower))
        try:
            self._reader.respond(self.head)
            self._decoder = Decoder(
                self.head.header("content-encoding"), limit_bytes=self._limit_bytes
            )
        except WireError as error:
            self.poison(error.code)

    def feed(self, chunk: bytes) -> None:
        """Seal and read the next bytes of the wire."""
        self._seal.update(chunk)
        self._size_bytes += len(chunk)
        self._keep(chunk)
        if self.problem is not None or self._decoder is None:
            return
        try:
            self._read(self._decoder.feed(chunk))
        except WireError as error:
            self.poison(error.code)

    def _keep(self, chunk: bytes) -> None:
        if self._kept is not None:
            self._kept += chunk
            if len(self._kept) > self._limit_bytes:
                self._kept = None

    def _read(self, data: bytes) -> None:
        self._read_bytes += len(data)
        if self._read_bytes > self._limit_bytes:
            raise WireError("the answer is longer than is recorded", code="answer-too-large")
        self._reader.feed(data)

    def poison(self, slug: str) -> None:
        """Keep the first reason why this record can never be admitted."""
        self.problem = self.problem or slug

    def finish(self, wire: Outcome) -> Exchange:
        """What was read, given what happened on the wire; a broken encoding poisons the record."""
        if self._decoder is not None and self.problem is None:
            try:
                self._decoder.finish()
            except WireError as error:
                if not self._reader.is_terminal:
                    self.poison(error.code)
        return self._reader.finish(is_clean=wire is Outcome.COMPLETE)

    def outcome(self, wire: Outcome, exchange: Exchange) -> Outcome:
        """How the call ended, given what happened on the wire and what `finish` gave.

        A stream whose terminal frame was read is complete even if the socket died after it; one that
        ended without its terminal frame failed upstream, however politely the socket closed. Of an
        answer that we could not read, the wire alone says how it ended.
        """
        if self._reader.is_terminal:
            return Outcome.COMPLETE
        if wire is Outcome.COMPLETE and self._is_cut_short(exchange):
            return Outcome.UPSTREAM_FAILED
        return wire

    def _is_cut_short(self, exchange: Exchange) -> bool:
        answer = exchange.answer
        is_good = answer.error is None and 200 <= self.head.status < 300
        is_unfinished = exchange.request.is_streamed and not answer.is_complete
        return is_unfinished and is_good and self.problem in {None, "cut-encoding"}

    def sealed(self) -> Prepared:
        """The seal of the wire bytes; the body holds them only where they are kept."""
        record = SealRecord(seal=self._seal.hexdigest(), size_bytes=self._size_bytes)
        blob = None if self._kept is None else encrypt_body(self._salt, bytes(self._kept))
        return Prepared(record, Body(seal=record.seal, salt=self._salt, blob=blob))
